-- resources/sources
-- The sources that begin with $2, each once: one step of the index a source, however many documents have it.
WITH RECURSIVE found (source) AS (
    (SELECT d.source FROM documents d
     WHERE d.tenant_id = $1::uuid AND d.source IS NOT NULL AND d.source COLLATE "C" >= $2::text
     ORDER BY d.source COLLATE "C" LIMIT 1)
    UNION ALL
    SELECT (SELECT d.source FROM documents d
            WHERE d.tenant_id = $1 AND d.source IS NOT NULL AND d.source COLLATE "C" > found.source
            ORDER BY d.source COLLATE "C" LIMIT 1)
    FROM found WHERE starts_with(found.source, $2)
)
SELECT source FROM found WHERE starts_with(source, $2) LIMIT $3::integer
