-- backup/end_sessions
SELECT count(*) FILTER (WHERE pg_terminate_backend(a.pid)) AS ended FROM pg_stat_activity a WHERE a.datname = ANY ($1::text[]) AND a.pid <> pg_backend_pid()
