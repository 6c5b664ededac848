-- backup/database_id
SELECT d.oid AS id FROM pg_database d WHERE d.datname = $1::text
