-- backup/available_extensions
SELECT a.name::text AS name, a.default_version AS version FROM pg_available_extensions a
