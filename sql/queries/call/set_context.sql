-- call/set_context
SELECT set_config('app.current_tenant_id', $1::text, true),
       set_config('app.current_user_id', $2::text, true),
       set_config('app.current_user_role', 'user', true),
       set_config('statement_timeout', $3::text, true),
       set_config('lock_timeout', $4::text, true),
       set_config('idle_in_transaction_session_timeout', $5::text, true),
       -- Statements keep the plan of their first run, which saves planning at every call: each is written so that one plan is
       -- right for all tenants, through indexes however small the tables were then. What needs a plan of its own gets it
       -- (db::TenantTransaction::query_planned).
       set_config('plan_cache_mode', 'force_generic_plan', true),
       set_config('enable_seqscan', 'off', true),
       -- Candidates that an index search keeps, and that it goes on where some do not pass.
       set_config('hnsw.ef_search', '130', true),
       set_config('hnsw.iterative_scan', 'relaxed_order', true),
       -- How often the server looks whether its peer is still there: behind a pooler, a call is stopped by hanging up.
       set_config('client_connection_check_interval', coalesce($6::text, current_setting('client_connection_check_interval')), true),
       -- A standby, or a primary that was taken out of service: nothing could be kept there.
       current_setting('transaction_read_only')::boolean AS is_read_only
