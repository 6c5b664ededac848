-- diagnosis/restore_remains
-- Databases that a restore of this one left when it was killed, and that no restore is at work on.
SELECT d.datname::text AS subject, 'is what a restore left that was broken off; it takes room and nobody reads it' AS detail
FROM pg_database d,
     LATERAL (SELECT encode(substr(sha256(convert_to(current_database()::text, 'UTF8')), 1, 4), 'hex') AS target) AS of,
     LATERAL (SELECT hashtextextended('bailiwick.restore.' || of.target, 0) AS key) AS turn
WHERE (d.datname LIKE 'bailiwick\_restoring\_' || of.target || '\_%' OR d.datname = 'bailiwick_replaced_' || of.target)
  AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32) | l.objid::bigint = turn.key)
ORDER BY 1
