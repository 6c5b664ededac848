-- migrate/begin_step: the settings of one migration's transaction, and its id.
SELECT
    pg_current_xact_id()::text AS transaction,
    -- An autovacuum in the way is ended once somebody has waited for deadlock_timeout. Who may not shorten that waits past it now
    -- and then.
    set_config('lock_timeout', CASE WHEN has_parameter_privilege('deadlock_timeout', 'SET') THEN $1::text ELSE $3::text END, true),
    CASE WHEN has_parameter_privilege('deadlock_timeout', 'SET') THEN set_config('deadlock_timeout', '100ms', true) END,
    -- The wait for locks is bounded; the work itself may take long, whatever the role's default says.
    set_config('statement_timeout', '0', true),
    set_config('search_path', 'public', true),
    CASE WHEN $2::text IS NOT NULL THEN set_config('bailiwick.embedding_dimensions', $2::text, true) END;
