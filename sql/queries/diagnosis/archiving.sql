-- diagnosis/archiving
-- Write-ahead log that should be archived and is not.
SELECT 'archive_command' AS subject,
       CASE WHEN a.last_failed_time IS NULL THEN 'archive_mode is on, and there is neither a command nor a library'
            ELSE format('%s could not be archived at %s', a.last_failed_wal, a.last_failed_time::timestamptz(0)) END AS detail
FROM pg_stat_archiver a
WHERE (SELECT setting FROM pg_settings WHERE name = 'archive_mode') <> 'off'
  AND (a.last_failed_time > coalesce(a.last_archived_time, '-infinity')
       OR NOT EXISTS (SELECT FROM pg_settings WHERE name IN ('archive_command', 'archive_library') AND setting NOT IN ('', '(disabled)')))
