-- backup/sequences
SELECT s.sequencename::text AS name, coalesce(s.last_value, 0) AS last_value FROM pg_sequences s WHERE s.schemaname = 'public' ORDER BY 1
