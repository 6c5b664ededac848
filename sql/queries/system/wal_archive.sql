-- system/wal_archive
-- Whether write-ahead log is archived, whether the last try failed, and how much waits; any role may ask.
SELECT s.settings ->> 'archive_mode' <> 'off' AS is_on,
       s.settings ->> 'archive_mode' <> 'off' AND (
           coalesce(a.last_failed_time > coalesce(a.last_archived_time, '-infinity'), false)
           OR s.settings ->> 'archive_command' IN ('', '(disabled)') AND s.settings ->> 'archive_library' = '') AS is_failing,
       CASE WHEN s.settings ->> 'archive_mode' <> 'off' AND NOT pg_is_in_recovery() THEN coalesce(greatest(0, (pg_current_wal_lsn() - '0/0') -
           ((pg_split_walfile_name(substring(a.last_archived_wal FROM '^[0-9A-F]{24}'))).segment_number + 1)
           * (s.settings ->> 'wal_segment_size')::bigint), 0)::bigint ELSE 0 END AS unarchived_bytes
FROM (SELECT jsonb_object_agg(name, setting) AS settings FROM pg_settings
      WHERE name IN ('archive_mode', 'archive_command', 'archive_library', 'wal_segment_size')) AS s
CROSS JOIN pg_stat_archiver AS a
