-- backup/take_turn
-- One restore of a database at a time; whoever vanishes gives its turn back with its session.
SELECT pg_try_advisory_lock(hashtextextended('bailiwick.restore.' || $1::text, 0)) AS is_ours, pg_backend_pid() AS pid
