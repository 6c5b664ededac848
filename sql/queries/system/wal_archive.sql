-- system/wal_archive
-- Whether write-ahead log is archived, whether the last try failed or hangs, and how much waits; any role may ask. It hangs where nothing was
-- archived for three times as long as a file may take to be due, although one is full or, where archive_timeout has each end in time, none ever was.
SELECT s.is_on,
       s.is_on AND (
           coalesce(a.last_failed_time > coalesce(a.last_archived_time, '-infinity'), false)
           OR s.settings ->> 'archive_command' IN ('', '(disabled)') AND s.settings ->> 'archive_library' = ''
           OR NOT pg_is_in_recovery()
              AND now() - greatest(coalesce(a.last_archived_time, a.stats_reset), pg_postmaster_start_time())
                  > 3 * make_interval(secs => coalesce(nullif((s.settings ->> 'archive_timeout')::bigint, 0), 300))
              AND coalesce(w.unarchived_bytes >= (s.settings ->> 'wal_segment_size')::bigint, a.last_archived_wal IS NULL AND s.settings ->> 'archive_timeout' <> '0')) AS is_failing,
       CASE WHEN s.is_on AND NOT pg_is_in_recovery() THEN coalesce(w.unarchived_bytes, 0)::bigint ELSE 0 END AS unarchived_bytes
FROM (SELECT jsonb_object_agg(name, setting) AS settings, max(setting) FILTER (WHERE name = 'archive_mode') <> 'off' AS is_on FROM pg_settings
      WHERE name IN ('archive_mode', 'archive_command', 'archive_library', 'archive_timeout', 'wal_segment_size')) AS s
CROSS JOIN pg_stat_archiver AS a,
     LATERAL (SELECT CASE WHEN NOT pg_is_in_recovery() AND a.last_archived_wal ~ '^[0-9A-F]{24}' THEN greatest(0, (pg_current_wal_lsn() - '0/0') -
           ((pg_split_walfile_name(substring(a.last_archived_wal FROM '^[0-9A-F]{24}'))).segment_number + 1)
           * (s.settings ->> 'wal_segment_size')::bigint) END AS unarchived_bytes) AS w
