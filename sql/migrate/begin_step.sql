-- migrate/begin_step: the settings of one migration's transaction, and its id.
SELECT
    pg_current_xact_id()::text AS transaction,
    set_config('lock_timeout', $1::text, true),
    -- The wait for locks is bounded; the work itself may take long, whatever the role's default says.
    set_config('statement_timeout', '0', true),
    set_config('search_path', 'public', true),
    CASE WHEN $2::text IS NOT NULL THEN set_config('bailiwick.embedding_dimensions', $2::text, true) END;
