-- diagnosis/prepared_transactions
-- Transactions that were prepared and never ended: they hold their locks, and all cleaning up, also over a restart. The program prepares none.
SELECT format('prepared transaction %s', p.gid) AS subject, format('of %s has been waiting for its end since %s', p.owner, p.prepared::timestamptz(0)) AS detail
FROM pg_prepared_xacts p
WHERE p.database = current_database() AND p.prepared < now() - interval '1 hour'
ORDER BY p.prepared
