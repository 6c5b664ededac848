-- diagnosis/sees_statistics
-- Whether this role is told what others' sessions and statements do; others get rows of NULLs.
SELECT pg_has_role('pg_read_all_stats', 'USAGE') AS sees_all
