-- diagnosis/find_statement_statistics
-- Lets the session find pg_stat_statements in whatever schema it was put; no row without it.
SELECT set_config('search_path', concat_ws(', ', current_setting('search_path'), quote_ident(n.nspname)), false) AS search_path
FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace
WHERE e.extname = 'pg_stat_statements'
