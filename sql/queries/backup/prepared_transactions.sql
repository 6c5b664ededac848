-- backup/prepared_transactions
-- What keeps a database from being renamed, and no end of a session takes away.
SELECT p.gid FROM pg_prepared_xacts p WHERE p.database = $1::text ORDER BY 1
