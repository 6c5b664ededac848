-- backup/take_turn
-- One restore of a database at a time; whoever vanishes gives its turn back with its session.
SELECT pg_try_advisory_lock(hashtextextended('bailiwick.restore.' || $1::text, 0)) AS is_ours, pg_backend_pid() AS pid,
       (SELECT a.backend_start FROM pg_stat_activity a WHERE a.pid = pg_backend_pid()) AS began,
       (SELECT c.system_identifier::text FROM pg_control_system() c) AS cluster
