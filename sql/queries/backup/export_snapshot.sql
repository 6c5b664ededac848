-- backup/export_snapshot
SELECT pg_export_snapshot() AS id
