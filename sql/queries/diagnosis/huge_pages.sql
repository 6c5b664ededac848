-- diagnosis/huge_pages
-- Vector indexes that are walked in pages of 4 kB, each of which the processor has to look up; PostgreSQL tells it from 17 on.
SELECT 'shared_buffers'::text AS subject,
       format('vector indexes take %s, and shared memory is in pages of 4 kB: in huge pages a search of them takes a fifth to a quarter less',
              pg_size_pretty(v.bytes)) AS detail
FROM (
    SELECT sum(c.relpages::bigint) * current_setting('block_size')::bigint AS bytes
    FROM pg_class c WHERE c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace AND c.relname LIKE 'hnsw\_%'
) AS v
WHERE v.bytes > 256 * 1024 * 1024 AND EXISTS (SELECT FROM pg_settings s WHERE s.name = 'huge_pages_status' AND s.setting = 'off')
