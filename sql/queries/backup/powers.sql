-- backup/powers
SELECT r.rolsuper AS is_superuser, r.rolname::text AS name FROM pg_roles r WHERE r.rolname = current_user
