-- backup/extensions
SELECT e.extname::text AS name, e.extversion AS version FROM pg_extension e WHERE e.extname <> 'plpgsql' ORDER BY 1
