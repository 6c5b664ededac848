-- diagnosis/archive
-- How write-ahead log is archived. What is not archived counts from the end of the last file that was.
SELECT s.settings ->> 'archive_mode' AS archive_mode,
       s.settings ->> 'wal_level' AS wal_level,
       CASE WHEN s.settings ->> 'archive_command' = '(disabled)' THEN '' ELSE s.settings ->> 'archive_command' END AS archive_command,
       s.settings ->> 'archive_library' AS archive_library,
       (s.settings ->> 'archive_timeout')::integer AS archive_timeout_s,
       a.last_archived_wal, a.last_archived_time AS last_archived_at,
       a.last_failed_wal, a.last_failed_time AS last_failed_at,
       CASE WHEN NOT pg_is_in_recovery() AND a.last_archived_wal ~ '^[0-9A-F]{24}' THEN greatest(0, (pg_current_wal_lsn() - '0/0') -
           ((pg_split_walfile_name(substring(a.last_archived_wal FROM '^[0-9A-F]{24}'))).segment_number + 1)
           * (s.settings ->> 'wal_segment_size')::bigint)::bigint END AS unarchived_bytes,
       has_function_privilege('pg_catalog.pg_ls_waldir()', 'EXECUTE') AS sees_base_backups
FROM (SELECT jsonb_object_agg(name, setting) AS settings FROM pg_settings
      WHERE name IN ('archive_mode', 'wal_level', 'archive_command', 'archive_library', 'archive_timeout', 'wal_segment_size')) AS s
CROSS JOIN pg_stat_archiver AS a
