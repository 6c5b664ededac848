-- backup/end_session
-- Ends a session that may be in the middle of something, and waits until it has.
SELECT pg_terminate_backend($1::integer, 5000) AS has_ended
