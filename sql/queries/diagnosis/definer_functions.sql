-- diagnosis/definer_functions
-- Functions with their owner's powers that everybody may call, or whose names can be bent by the caller's search path.
SELECT p.oid::regprocedure::text AS subject,
       CASE WHEN has_function_privilege('public', p.oid, 'EXECUTE') THEN 'everybody may call it, with its owner''s powers'
            WHEN NOT coalesce(p.proconfig @> '{"search_path=pg_catalog, public, pg_temp"}', false) THEN 'its search_path is not set'
            ELSE 'its owner is none of the roles made for that' END AS detail
FROM pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
  AND (NOT coalesce(p.proconfig @> '{"search_path=pg_catalog, public, pg_temp"}', false)
       OR p.proowner NOT IN (SELECT oid FROM pg_roles WHERE rolname IN ('bailiwick_definer', 'bailiwick_identity', 'bailiwick_statistics', 'bailiwick_reaper'))
       OR has_function_privilege('public', p.oid, 'EXECUTE'))
ORDER BY 1
