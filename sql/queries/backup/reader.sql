-- backup/reader
-- Whether this session reads past row-level security, and whether it may act as the role that is made for it.
SELECT r.rolsuper OR r.rolbypassrls AS bypasses,
       EXISTS (SELECT FROM pg_roles b WHERE b.rolname = 'bailiwick_backup' AND b.rolbypassrls AND pg_has_role(b.oid, 'SET')) AS acts_as_backup
FROM pg_roles r WHERE r.rolname = current_user
