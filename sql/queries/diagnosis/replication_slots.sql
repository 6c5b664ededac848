-- diagnosis/replication_slots
-- Slots that nobody reads keep write-ahead log until the disk is full; lost ones want their replica made anew.
SELECT s.slot_name::text AS subject,
       CASE WHEN s.wal_status IN ('lost', 'unreserved') THEN format('its write-ahead log is %s', s.wal_status)
            ELSE format('nobody reads it, and it keeps %s of write-ahead log', pg_size_pretty(kept.bytes)) END AS detail
FROM pg_replication_slots s
CROSS JOIN LATERAL (SELECT CASE WHEN pg_is_in_recovery() THEN 0 ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), s.restart_lsn) END AS bytes) AS kept
WHERE s.wal_status IN ('lost', 'unreserved') OR NOT s.active AND kept.bytes > 1::bigint << 30
ORDER BY 1
