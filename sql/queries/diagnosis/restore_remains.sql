-- diagnosis/restore_remains
-- Databases that a restore left when it was killed, into whatever name, and that no restore is at work on.
SELECT d.datname::text AS subject, 'is what a restore left that was broken off; it takes room and nobody reads it' AS detail
FROM pg_database d,
     LATERAL (SELECT substring(d.datname FROM '^bailiwick_(?:restoring|replaced)_([0-9a-f]{8})(?:_[0-9]+)?$') AS target) AS of,
     LATERAL (SELECT hashtextextended('bailiwick.restore.' || of.target, 0) AS key) AS turn
WHERE of.target IS NOT NULL
  AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'advisory' AND l.granted AND (l.classid::bigint << 32) | l.objid::bigint = turn.key)
ORDER BY 1
