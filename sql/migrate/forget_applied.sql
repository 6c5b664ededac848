-- migrate/forget_applied: the history holds nothing above the version that the schema is at.
DELETE FROM public.bailiwick_migrations WHERE version > coalesce($1::bigint, 0);
