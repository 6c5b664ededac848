-- How calls end: intents of those under way that change something, the functions that close a call, and the reaper.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE call_intents (
    tenant_id    uuid NOT NULL,
    call_id      uuid NOT NULL,
    user_id      text NOT NULL,
    action       text NOT NULL,
    resource     text,
    started_at   timestamptz NOT NULL,
    opened_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    lease        bigint NOT NULL,
    reserved_usd numeric(24, 12) NOT NULL DEFAULT 0,
    reserved_at  timestamptz,
    user_agent   text,
    ip_address   inet,
    PRIMARY KEY (tenant_id, call_id),
    CONSTRAINT call_intents_reservation CHECK (reserved_usd = 0 OR reserved_usd > 0 AND reserved_usd < 'NaN' AND reserved_at IS NOT NULL)
);
COMMENT ON TABLE call_intents IS 'Calls under way that change data or spend money, committed before they begin: what a dead server leaves open is known by it.';
COMMENT ON COLUMN call_intents.started_at IS 'As in audit_logs."timestamp".';
COMMENT ON COLUMN call_intents.opened_at IS 'By the database''s clock, for the reaper: no call lives long.';
COMMENT ON COLUMN call_intents.reserved_at IS 'Which day and month the reservation is of, and what it pays for, too: a call that crosses midnight is one of the day before.';
COMMENT ON COLUMN call_intents.lease IS 'Advisory lock key that the serving process holds while it lives.';
CREATE INDEX idx_call_intents_lease ON call_intents (lease);

SELECT protect_tenant_table('call_intents');
-- What is held is set by reserve_budget() alone.
GRANT SELECT, INSERT (tenant_id, call_id, user_id, action, resource, started_at, lease, user_agent, ip_address), UPDATE (lease) ON call_intents TO bailiwick_app;
GRANT SELECT, DELETE, UPDATE (reserved_usd, reserved_at) ON call_intents TO bailiwick_definer;

-- The reaper closes calls of every tenant, so it has an owner of its own, to whom these two tables open.
CREATE POLICY call_intents_reaper ON call_intents TO bailiwick_reaper USING (true) WITH CHECK (true);
CREATE POLICY audit_logs_reaper_reads ON audit_logs FOR SELECT TO bailiwick_reaper USING (true);
CREATE POLICY audit_logs_reaper_adds ON audit_logs FOR INSERT TO bailiwick_reaper WITH CHECK (true);
GRANT SELECT, UPDATE, DELETE ON call_intents TO bailiwick_reaper;
GRANT SELECT, INSERT ON audit_logs TO bailiwick_reaper;
GRANT USAGE ON SEQUENCE audit_logs_id_seq TO bailiwick_reaper;

-- What calls under way hold of a day or month: a tenant's intents are few.
CREATE FUNCTION reserved_budget(p_tenant_id uuid, p_period text, p_starts date, p_user_id text) RETURNS numeric
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT coalesce(sum(i.reserved_usd), 0) FROM call_intents i
    WHERE i.tenant_id = p_tenant_id AND i.reserved_usd > 0 AND p_user_id IN ('', i.user_id)
      AND date_trunc(p_period, i.reserved_at AT TIME ZONE 'UTC')::date = p_starts
$$;
COMMENT ON FUNCTION reserved_budget(uuid, text, date, text) IS 'What calls under way hold of a row of budget_ledger.';
GRANT EXECUTE ON FUNCTION reserved_budget(uuid, text, date, text) TO bailiwick_app, bailiwick_definer;

CREATE FUNCTION reserve_budget(p_call_id uuid, p_usd numeric, p_binds_user boolean, p_idempotency_key text DEFAULT NULL)
RETURNS TABLE (outcome text, period text, is_user boolean, limit_usd numeric, spent_usd numeric, reserved_usd numeric, renewed_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_tenant_id uuid := current_tenant_id();
    v_user_id text := nullif(current_setting('app.current_user_id', true), '');
    v_at timestamptz;
    v_usd numeric(24, 12) := coalesce(p_usd, 0);
BEGIN
    IF v_tenant_id IS NULL OR v_user_id IS NULL THEN
        RAISE EXCEPTION 'a budget can only be reserved in its tenant''s and user''s context' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF p_usd < 0 OR p_usd = 'NaN' THEN
        RAISE EXCEPTION 'a reservation of % USD', p_usd USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- What the reservation is of is settled by its first part.
    SELECT coalesce(i.reserved_at, now()) INTO v_at FROM call_intents i
    WHERE i.tenant_id = v_tenant_id AND i.call_id = p_call_id AND i.user_id = v_user_id FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the call was already closed by another' USING ERRCODE = 'BW004';
    END IF;
    -- A repeated call spends nothing.
    IF EXISTS (SELECT FROM idempotency_keys k WHERE k.tenant_id = v_tenant_id AND k.key = p_idempotency_key) THEN
        RETURN QUERY SELECT 'repeated', NULL::text, NULL::boolean, NULL::numeric, NULL::numeric, NULL::numeric, NULL::timestamptz;
        RETURN;
    END IF;
    -- Locked until this transaction ends. Whoever else reserves or spends waits, and then sees what is held or spent here.
    INSERT INTO budget_ledger AS l (tenant_id, period, starts, user_id)
    SELECT v_tenant_id, a.period, a.starts, a.user_id FROM budget_accounts(v_at, v_user_id) AS a
    ORDER BY 2, 3, 4
    ON CONFLICT (tenant_id, period, starts, user_id) DO UPDATE SET spent_usd = l.spent_usd;
    RETURN QUERY
    SELECT CASE WHEN p_usd IS NULL OR account.spent_usd + v_usd > account.limit_usd THEN 'exhausted' ELSE 'held' END,
           account.period, account.is_user, account.limit_usd, account.spent_usd, account.reserved_usd,
           (account.starts + CASE account.period WHEN 'day' THEN interval '1 day' ELSE interval '1 month' END) AT TIME ZONE 'UTC'
    FROM (
        SELECT limits.period, limits.is_user, limits.limit_usd, l.starts, l.spent_usd,
               reserved_budget(v_tenant_id, l.period, l.starts, l.user_id) AS reserved_usd
        FROM tenants t
        CROSS JOIN LATERAL budget_limits(t.monthly_budget_usd, t.settings) AS limits
        JOIN budget_accounts(v_at, v_user_id) AS a ON a.period = limits.period AND (a.user_id <> '') = limits.is_user
        JOIN budget_ledger l ON l.tenant_id = v_tenant_id AND l.period = a.period AND l.starts = a.starts AND l.user_id = a.user_id
        WHERE t.id = v_tenant_id AND limits.is_hard AND (p_binds_user OR NOT limits.is_user)
    ) AS account
    -- What has no price is let in while anything is left.
    WHERE CASE WHEN p_usd IS NULL THEN account.spent_usd >= account.limit_usd
               ELSE v_usd > 0 AND account.spent_usd + account.reserved_usd + v_usd > account.limit_usd END
    -- Exhausted before held, and what lasts longest.
    ORDER BY 1, 7 DESC, 3
    LIMIT 1;
    IF FOUND THEN
        RETURN;
    END IF;
    UPDATE call_intents i SET reserved_usd = i.reserved_usd + v_usd, reserved_at = v_at
    WHERE i.tenant_id = v_tenant_id AND i.call_id = p_call_id;
    RETURN QUERY SELECT 'reserved', NULL::text, NULL::boolean, NULL::numeric, NULL::numeric, NULL::numeric, NULL::timestamptz;
END
$$;
COMMENT ON FUNCTION reserve_budget(uuid, numeric, boolean, text) IS
    'Holds money for a call that has an intent, before it spends any; NULL for what has no price. reserved, or why not: exhausted: what is spent leaves too little. held: calls under way hold the rest; repeated: the key was used before, so there is nothing to hold. It is given back with the intent, by whoever closes the call.';
GRANT EXECUTE ON FUNCTION reserve_budget(uuid, numeric, boolean, text) TO bailiwick_app;
ALTER FUNCTION reserve_budget(uuid, numeric, boolean, text) OWNER TO bailiwick_definer;

CREATE FUNCTION complete_call(
    p_call_id uuid, p_started_at timestamptz, p_has_intent boolean, p_action text, p_resource text, p_resource_id uuid,
    p_details jsonb, p_user_agent text, p_ip_address inet, p_duration_ms integer
) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_tenant_id uuid := current_tenant_id();
    v_user_id text := nullif(current_setting('app.current_user_id', true), '');
    v_id bigint;
BEGIN
    IF v_tenant_id IS NULL OR v_user_id IS NULL THEN
        RAISE EXCEPTION 'a call can only be completed in its tenant''s and user''s context'
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF p_has_intent THEN
        DELETE FROM call_intents i WHERE i.tenant_id = v_tenant_id AND i.call_id = p_call_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the call was already closed by another' USING ERRCODE = 'BW004';
        END IF;
    END IF;
    -- The transaction's number first and the row's after it: a seal can then tell which rows may still come.
    PERFORM pg_current_xact_id();
    INSERT INTO audit_logs (id, "timestamp", completed_at, tenant_id, user_id, call_id, action, resource, resource_id,
                            details, outcome, success, user_agent, ip_address, duration_ms)
    VALUES (nextval('audit_logs_id_seq'), p_started_at, clock_timestamp(), v_tenant_id, v_user_id, p_call_id, p_action,
            p_resource, p_resource_id, coalesce(p_details, '{}'), 'ok', true, p_user_agent, p_ip_address, p_duration_ms)
    RETURNING id INTO v_id;
    RETURN v_id;
END
$$;
COMMENT ON FUNCTION complete_call(uuid, timestamptz, boolean, text, text, uuid, jsonb, text, inet, integer) IS
    'Ends a call that succeeded: removes its intent if it has one and writes its audit row, for the tenant and user of the transaction. The last statement of its transaction; fails if the call is closed already.';
GRANT EXECUTE ON FUNCTION complete_call(uuid, timestamptz, boolean, text, text, uuid, jsonb, text, inet, integer) TO bailiwick_app;
ALTER FUNCTION complete_call(uuid, timestamptz, boolean, text, text, uuid, jsonb, text, inet, integer) OWNER TO bailiwick_definer;

CREATE FUNCTION close_calls(p_calls jsonb) RETURNS TABLE (call_id uuid, outcome text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
#variable_conflict use_column
DECLARE
    v_tenant_id uuid := current_tenant_id();
    v_written integer;
BEGIN
    IF v_tenant_id IS NULL THEN
        RAISE EXCEPTION 'calls can only be closed in their tenant''s context' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM pg_current_xact_id();
    -- Intent first and row second, as everybody who closes calls.
    DELETE FROM call_intents i USING jsonb_to_recordset(p_calls) AS g (call_id uuid)
    WHERE i.tenant_id = v_tenant_id AND i.call_id = g.call_id;
    RETURN QUERY
    INSERT INTO audit_logs AS a (id, "timestamp", completed_at, tenant_id, user_id, call_id, action, resource, details,
                            outcome, success, error_message, user_agent, ip_address, duration_ms)
    SELECT nextval('audit_logs_id_seq'), g.started_at, clock_timestamp(), v_tenant_id, g.user_id, g.call_id, g.action,
           g.resource, coalesce(g.details, '{}'), g.outcome, false, g.error_message, g.user_agent, g.ip_address, g.duration_ms
    -- One order for all, so that two who close the same calls wait for each other rather than in a ring.
    FROM (
        SELECT * FROM jsonb_to_recordset(p_calls) AS c (
            call_id uuid, user_id text, started_at timestamptz, action text, resource text, details jsonb, outcome text,
            error_message text, user_agent text, ip_address inet, duration_ms integer)
        ORDER BY c.call_id
    ) AS g
    ON CONFLICT DO NOTHING
    RETURNING a.call_id, a.outcome;
    GET DIAGNOSTICS v_written = ROW_COUNT;
    IF v_written = jsonb_array_length(p_calls) THEN
        RETURN;
    END IF;
    -- Some were closed before. A statement of its own, for it must see what the one above waited for.
    RETURN QUERY
    SELECT a.call_id, a.outcome
    FROM jsonb_to_recordset(p_calls) AS g (call_id uuid, started_at timestamptz)
    JOIN audit_logs a ON a.tenant_id = v_tenant_id AND a."timestamp" = g.started_at AND a.call_id = g.call_id;
END
$$;
COMMENT ON FUNCTION close_calls(jsonb) IS
    'Ends calls of the transaction''s tenant that did not succeed: removes their intents and writes their rows, unless they are closed already. Returns how each of them has ended. May be repeated.';
GRANT EXECUTE ON FUNCTION close_calls(jsonb) TO bailiwick_app;
ALTER FUNCTION close_calls(jsonb) OWNER TO bailiwick_definer;

CREATE FUNCTION reap_calls(p_closed_since interval, p_longest_call interval) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '2s'
AS $$
DECLARE
    v_reaped integer;
BEGIN
    PERFORM pg_current_xact_id();
    WITH leases AS MATERIALIZED (
        SELECT DISTINCT lease FROM call_intents
    ), dead AS MATERIALIZED (
        -- Its server holds the lock while it lives.
        SELECT lease FROM leases WHERE pg_try_advisory_xact_lock(lease)
    ), picked AS (
        SELECT i.tenant_id, i.call_id FROM call_intents i
        WHERE i.lease IN (SELECT lease FROM dead)
           -- A living server's call is its own to close, maybe late, for its row may wait on disk. But an intent that landed after
           -- its call was closed is nobody's, and no call lives for ever.
           OR i.opened_at < clock_timestamp() - p_longest_call
           OR i.opened_at < clock_timestamp() - p_closed_since
              AND EXISTS (SELECT FROM audit_logs a
                          WHERE a.tenant_id = i.tenant_id AND a."timestamp" = i.started_at AND a.call_id = i.call_id)
        LIMIT 1000
        -- Whoever is just closing one may finish.
        FOR UPDATE SKIP LOCKED
    ), removed AS (
        DELETE FROM call_intents i USING picked p WHERE i.tenant_id = p.tenant_id AND i.call_id = p.call_id RETURNING i.*
    )
    INSERT INTO audit_logs (id, "timestamp", completed_at, tenant_id, user_id, call_id, action, resource, details,
                            outcome, success, error_message, user_agent, ip_address, duration_ms)
    SELECT nextval('audit_logs_id_seq'), started_at, clock_timestamp(), tenant_id, user_id, call_id, action, resource, '{}',
           'interrupted', false, 'interrupted', user_agent, ip_address,
           least(extract(epoch FROM clock_timestamp() - opened_at) * 1000, 2147483647)::integer
    FROM removed
    ON CONFLICT DO NOTHING;
    GET DIAGNOSTICS v_reaped = ROW_COUNT;
    RETURN v_reaped;
END
$$;
COMMENT ON FUNCTION reap_calls(interval, interval) IS
    'Closes as interrupted the calls of all tenants whose server is gone, or that are older than any call can be; removes intents of that age whose call is closed. Returns how many rows it added.';

-- What the application may do: no bounds of its own choosing.
CREATE FUNCTION reap_calls() RETURNS integer
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT reap_calls('40 seconds', '10 minutes') $$;
COMMENT ON FUNCTION reap_calls() IS 'The reaper with its usual bounds; any server may run it.';
GRANT EXECUTE ON FUNCTION reap_calls() TO bailiwick_app;
ALTER FUNCTION reap_calls(interval, interval) OWNER TO bailiwick_reaper;
ALTER FUNCTION reap_calls() OWNER TO bailiwick_reaper;
