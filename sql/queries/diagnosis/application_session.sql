-- diagnosis/application_session
-- What the application's own session stands on. It is asked without being prepared, for a pooler may be between.
SELECT current_user AS role_name, current_setting('transaction_read_only') AS is_read_only, current_setting('search_path') AS search_path,
       to_regclass('documents') IS NOT DISTINCT FROM to_regclass('public.documents') AS finds_tables
