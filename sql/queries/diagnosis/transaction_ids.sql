-- diagnosis/transaction_ids
-- How old the oldest transaction id is: at two thousand million PostgreSQL takes no more writes.
SELECT d.datname::text AS subject, format('its oldest transaction id is %s transactions old', d.age) AS detail
FROM (SELECT datname, age(datfrozenxid) FROM pg_database) AS d
WHERE d.datname = current_database() AND d.age > 1000000000
