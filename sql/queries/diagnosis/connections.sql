-- diagnosis/connections
-- Connections that are taken, of those that ordinary roles can have. Of others' sessions not every role is told what kind they are.
SELECT 'connections' AS subject, format('%s of %s are taken', used.count, places.count) AS detail
FROM (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend') AS used
CROSS JOIN (SELECT current_setting('max_connections')::integer - current_setting('superuser_reserved_connections')::integer
                   - current_setting('reserved_connections')::integer AS count) AS places
WHERE used.count > 0.9 * places.count
