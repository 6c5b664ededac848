-- migrate/try_lock: session level, since it spans the transactions of several migrations.
SELECT pg_try_advisory_lock($1::bigint) AS locked;
