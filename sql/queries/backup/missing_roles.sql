-- backup/missing_roles
SELECT wanted.name FROM unnest($1::text[]) AS wanted (name)
WHERE NOT EXISTS (SELECT FROM pg_roles r WHERE r.rolname = wanted.name) ORDER BY 1
