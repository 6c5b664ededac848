-- resources/fields
-- The keys of the newest documents' metadata, with the kinds of their values, most frequent first.
SELECT field.key, array_agg(DISTINCT jsonb_typeof(field.value)) AS kinds, count(*) AS documents
FROM (
    SELECT d.metadata FROM documents d WHERE d.tenant_id = $1::uuid ORDER BY d.created_at DESC LIMIT 1000
) AS newest
CROSS JOIN LATERAL jsonb_each(newest.metadata) AS field
GROUP BY field.key
ORDER BY count(*) DESC, field.key COLLATE "C"
LIMIT 100
