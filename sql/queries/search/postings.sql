-- search/postings
-- One statement, so one snapshot: what maintenance merges meanwhile is seen either fresh or in a block, never twice.
WITH parts AS (
    -- The query's words, and each phrase or word that must or must not occur.
    SELECT 0::bigint AS part, $2::text AS text
    UNION ALL
    SELECT place, condition FROM unnest($3::text[]) WITH ORDINALITY AS c (condition, place)
), analysed AS MATERIALIZED (
    -- In every language that the tenant's documents are in.
    SELECT p.part, spoken.language, t.lexeme, t.frequency
    FROM tenant_languages spoken CROSS JOIN parts p CROSS JOIN LATERAL text_terms(spoken.language, p.text) AS t
    WHERE spoken.tenant_id = $1::uuid
    UNION ALL
    -- Terms that are given as they are indexed: lexemes that resemble a word of the query.
    SELECT -1, '', lexeme, 1 FROM unnest($4::text[]) AS lexeme
    UNION ALL
    -- The filter's facets, and the mark of documents with too many.
    SELECT -2, '', facet, 1 FROM unnest(document_facets($5::text, $6::text, $7::jsonb)) AS facet
    WHERE $5 IS NOT NULL OR $6 IS NOT NULL OR $7 IS NOT NULL
    UNION ALL
    SELECT -3, '', chr(1) || '*', 1 WHERE $5 IS NOT NULL OR $6 IS NOT NULL OR $7 IS NOT NULL
), terms AS MATERIALIZED (
    SELECT DISTINCT lexeme FROM analysed
), wanted AS MATERIALIZED (
    -- As one OR query: inside its quotes a quote is doubled and a backslash escaped.
    SELECT string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery AS query FROM terms
)
SELECT 'collection' AS kind, NULL::text AS lexeme, NULL::text AS language, NULL::integer AS number, u.chunk_count AS count,
       u.total_length AS sum, NULL::bytea AS blocks, NULL::integer[] AS block_bytes,
       NULL::tsvector AS terms, NULL::integer[] AS numbers
FROM tenant_usage u WHERE u.tenant_id = $1
UNION ALL
SELECT 'term', lexeme, language, frequency, part, NULL, NULL, NULL, NULL, NULL FROM analysed
UNION ALL
-- All blocks of a lexeme in one piece, with their sizes: a common one has hundreds, and one piece is sent and read far faster.
SELECT 'blocks', t.lexeme, NULL, NULL, 1, NULL, b.blocks, b.block_bytes, NULL, b.numbers
FROM terms t
CROSS JOIN LATERAL (
    SELECT string_agg(b.postings, '') AS blocks, array_agg(octet_length(b.postings)) AS block_bytes, array_agg(b.first_chunk_no) AS numbers
    FROM posting_blocks b
    WHERE b.tenant_id = $1 AND b.first_lexeme = t.lexeme
) AS b
WHERE b.blocks IS NOT NULL
UNION ALL
-- A lexeme may begin in the block before the first that begins with it.
SELECT 'blocks', t.lexeme, NULL, NULL, 0, NULL, b.postings, ARRAY[octet_length(b.postings)], NULL, ARRAY[b.first_chunk_no]
FROM terms t
CROSS JOIN LATERAL (
    SELECT b.first_chunk_no, b.postings FROM posting_blocks b
    WHERE b.tenant_id = $1 AND b.first_lexeme < t.lexeme
    ORDER BY b.first_lexeme DESC, b.first_chunk_no DESC LIMIT 1
) AS b
UNION ALL
SELECT 'fresh', NULL, NULL, f.chunk_no, f.ordinal, f.length, NULL, NULL, f.terms, NULL
FROM fresh_postings f CROSS JOIN wanted WHERE f.tenant_id = $1 AND f.terms @@ wanted.query
UNION ALL
SELECT 'dead', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, array_agg(d.chunk_no)
FROM chunk_tombstones d WHERE d.tenant_id = $1
