-- diagnosis/archiving
-- Write-ahead log that should be archived and is not: the last try failed, there is nothing to try with, or a try that hangs, and so neither
-- fails nor ends, while a file is full or, where archive_timeout has each end in time, none was ever archived.
SELECT 'archive_command' AS subject,
       CASE WHEN a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
                THEN format('%s could not be archived at %s', a.last_failed_wal, a.last_failed_time::timestamptz(0))
            WHEN NOT s.has_means THEN 'archive_mode is on, and there is neither a command nor a library'
            ELSE format('nothing was archived since %s, and no try has failed: it hangs, as where the archive''s disk does not answer',
                        t.since::timestamptz(0)) END AS detail
FROM pg_stat_archiver a,
     LATERAL (SELECT max(setting) FILTER (WHERE name = 'archive_mode') <> 'off' AS is_on,
                     bool_or(name IN ('archive_command', 'archive_library') AND setting NOT IN ('', '(disabled)')) AS has_means,
                     max(setting) FILTER (WHERE name = 'archive_timeout')::bigint AS timeout_s,
                     max(setting) FILTER (WHERE name = 'wal_segment_size')::bigint AS segment_bytes
              FROM pg_settings
              WHERE name IN ('archive_mode', 'archive_command', 'archive_library', 'archive_timeout', 'wal_segment_size')) AS s,
     -- It begins with a start of the server at the earliest.
     LATERAL (SELECT greatest(coalesce(a.last_archived_time, a.stats_reset), pg_postmaster_start_time()) AS since) AS t
WHERE s.is_on
  AND (a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
       OR NOT s.has_means
       OR CASE WHEN pg_is_in_recovery() THEN false ELSE
              now() - t.since > 3 * make_interval(secs => coalesce(nullif(s.timeout_s, 0), 300))
              AND coalesce((pg_current_wal_lsn() - '0/0')
                           >= ((pg_split_walfile_name(substring(a.last_archived_wal FROM '^[0-9A-F]{24}'))).segment_number + 2) * s.segment_bytes,
                           a.last_archived_wal IS NULL AND s.timeout_s <> 0)
          END)
