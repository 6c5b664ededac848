-- diagnosis/autovacuum
-- Nobody cleans up.
SELECT s.name AS subject, 'is off: dead rows stay and statistics grow old' AS detail
FROM pg_settings s WHERE s.name IN ('autovacuum', 'track_counts') AND s.setting = 'off'
UNION ALL
SELECT c.relname::text, 'autovacuum is switched off for it'
FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.reloptions && '{autovacuum_enabled=false,autovacuum_enabled=off}'
ORDER BY 1
