-- migrate/lock_holder: the session that holds the migration lock of this database.
SELECT l.pid, a.usename::text AS usename, a.application_name, a.client_addr::text AS client_addr
FROM pg_catalog.pg_locks AS l
LEFT JOIN pg_catalog.pg_stat_activity AS a ON a.pid = l.pid
WHERE l.locktype = 'advisory'
    AND l.granted
    AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
    -- A one-key advisory lock shows its halves in classid and objid, with objsubid 1.
    AND l.classid = ($1::bigint >> 32)::oid
    AND l.objid = ($1::bigint & 4294967295)::oid
    AND l.objsubid = 1
LIMIT 1;
