-- call/set_context
SELECT set_config('app.current_tenant_id', $1::text, true),
       set_config('app.current_user_id', $2::text, true),
       set_config('app.current_user_role', 'user', true),
       set_config('statement_timeout', $3::text, true),
       set_config('lock_timeout', $4::text, true),
       set_config('idle_in_transaction_session_timeout', $5::text, true),
       -- A generic plan would carry one tenant's choice of index to another.
       set_config('plan_cache_mode', 'force_custom_plan', true)
