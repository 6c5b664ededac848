-- search/postings
WITH terms AS MATERIALIZED (
    SELECT lexeme, frequency FROM query_terms($1::uuid, $2::text)
), passing AS MATERIALIZED (
    SELECT c.chunk_no
    FROM documents d
    JOIN document_chunks c ON c.tenant_id = $1 AND c.document_id = d.id
    WHERE $3::boolean AND d.tenant_id = $1
      AND ($4::text IS NULL OR d.source = $4)
      AND ($5::jsonb IS NULL OR d.metadata @> $5)
      AND ($6::timestamptz IS NULL OR d.created_at >= $6)
      AND ($7::timestamptz IS NULL OR d.created_at < $7)
      AND ($8::text IS NULL OR d.language = $8)
), hits AS MATERIALIZED (
    SELECT p.lexeme, f.chunk_no, f.ordinal, p.frequency, f.length
    FROM fresh_postings f
    CROSS JOIN LATERAL unnest(f.lexemes, f.frequencies) AS p (lexeme, frequency)
    WHERE f.tenant_id = $1 AND p.lexeme IN (SELECT terms.lexeme FROM terms)
), postings AS (
    SELECT lexeme,
           array_agg(chunk_no ORDER BY chunk_no) AS chunk_nos,
           array_agg(ordinal ORDER BY chunk_no) AS ordinals,
           array_agg(frequency ORDER BY chunk_no) AS frequencies,
           array_agg(length ORDER BY chunk_no) AS lengths,
           array_agg(NOT $3 OR chunk_no IN (SELECT passing.chunk_no FROM passing) ORDER BY chunk_no) AS eligible
    FROM hits
    GROUP BY lexeme
)
SELECT u.chunk_count, u.total_length, t.lexeme, t.frequency AS query_count,
       p.chunk_nos, p.ordinals, p.frequencies, p.lengths, p.eligible
FROM tenant_usage u
LEFT JOIN terms t ON true
LEFT JOIN postings p ON p.lexeme = t.lexeme
WHERE u.tenant_id = $1
ORDER BY t.lexeme
