-- backup/remains
-- Databases that earlier restores of the same one left when they were killed.
SELECT d.datname::text AS name FROM pg_database d WHERE d.datname LIKE 'bailiwick\_restoring\_' || $1::text || '\_%' OR d.datname = 'bailiwick_replaced_' || $1::text
ORDER BY 1
