-- diagnosis/collations
-- A collation that changed under its indexes: they may be in the wrong order.
SELECT d.datname::text AS subject,
       format('its collation was of version %s, the system now has %s', d.datcollversion, pg_database_collation_actual_version(d.oid)) AS detail
FROM pg_database d
WHERE d.datname = current_database() AND d.datcollversion <> pg_database_collation_actual_version(d.oid)
