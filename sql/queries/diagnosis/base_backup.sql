-- diagnosis/base_backup
-- When the last base backup ended: each leaves a file of its history with the log, and the last one's stays.
SELECT max(w.modification) AS base_backup_at FROM pg_ls_waldir() AS w WHERE w.name LIKE '%.backup'
