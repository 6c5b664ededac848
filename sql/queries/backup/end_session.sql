-- backup/end_session
-- Ends a session that may be in the middle of something, and waits until it has.
-- Another may have its number after a restart.
SELECT pg_terminate_backend(a.pid, 5000) AS has_ended FROM pg_stat_activity a WHERE a.pid = $1::integer AND a.backend_start = $2::timestamptz
