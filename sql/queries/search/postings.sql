-- search/postings
-- One statement, so one snapshot: what maintenance merges meanwhile is seen either fresh or in a block, never twice.
WITH terms AS MATERIALIZED (
    SELECT lexeme, frequency FROM query_terms($1::uuid, $2::text)
), wanted AS MATERIALIZED (
    -- As one OR query: inside its quotes a quote is doubled and a backslash escaped.
    SELECT string_agg('''' || replace(replace(lexeme, '\', '\\'), '''', '''''') || '''', ' | ')::tsquery AS query FROM terms
)
SELECT 'collection' AS kind, NULL::text AS lexeme, NULL::integer AS number, u.chunk_count AS count, u.total_length AS sum,
       NULL::bytea AS block, NULL::tsvector AS terms, NULL::integer[] AS numbers
FROM tenant_usage u WHERE u.tenant_id = $1
UNION ALL
SELECT 'term', lexeme, frequency, NULL, NULL, NULL, NULL, NULL FROM terms
UNION ALL
SELECT 'block', t.lexeme, b.first_chunk_no, 1, NULL, b.postings, NULL, NULL
FROM terms t JOIN posting_blocks b ON b.tenant_id = $1 AND b.first_lexeme = t.lexeme
UNION ALL
-- A lexeme may begin in the block before the first that begins with it.
SELECT 'block', t.lexeme, b.first_chunk_no, 0, NULL, b.postings, NULL, NULL
FROM terms t
CROSS JOIN LATERAL (
    SELECT b.first_chunk_no, b.postings FROM posting_blocks b
    WHERE b.tenant_id = $1 AND b.first_lexeme < t.lexeme
    ORDER BY b.first_lexeme DESC, b.first_chunk_no DESC LIMIT 1
) AS b
UNION ALL
SELECT 'fresh', NULL, f.chunk_no, f.ordinal, f.length, NULL, f.terms, NULL
FROM fresh_postings f CROSS JOIN wanted WHERE f.tenant_id = $1 AND f.terms @@ wanted.query
UNION ALL
SELECT 'dead', NULL, NULL, NULL, NULL, NULL, NULL, array_agg(d.chunk_no)
FROM chunk_tombstones d WHERE d.tenant_id = $1
UNION ALL
-- The chunks of documents that pass.
SELECT 'passing', NULL, NULL, NULL, NULL, NULL, NULL, array_agg(c.chunk_no)
FROM documents d
JOIN document_chunks c ON c.tenant_id = $1 AND c.document_id = d.id
WHERE $3::boolean AND d.tenant_id = $1
  AND ($4::text IS NULL OR d.source = $4)
  AND ($5::jsonb IS NULL OR d.metadata @> $5)
  AND ($6::timestamptz IS NULL OR d.created_at >= $6)
  AND ($7::timestamptz IS NULL OR d.created_at < $7)
  AND ($8::text IS NULL OR d.language = $8)
