-- What tokens cost, what each tenant spent, and what is left of its month.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE model_prices (
    provider               text NOT NULL,
    model_name             text NOT NULL,
    effective_from         timestamptz NOT NULL,
    input_usd_per_million  numeric(24, 12) NOT NULL,
    output_usd_per_million numeric(24, 12) NOT NULL,
    cached_input_usd_per_million numeric(24, 12),
    source                 text NOT NULL,
    PRIMARY KEY (provider, model_name, effective_from),
    CONSTRAINT model_prices_plausible CHECK (
        input_usd_per_million BETWEEN 0 AND 10000 AND output_usd_per_million BETWEEN 0 AND 10000
        AND cached_input_usd_per_million BETWEEN 0 AND 10000),
    -- Whatever number of tokens then costs a number of USD that twelve decimals hold, so nothing is ever rounded.
    CONSTRAINT model_prices_exact CHECK (
        scale(trim_scale(input_usd_per_million)) <= 6 AND scale(trim_scale(output_usd_per_million)) <= 6
        AND coalesce(scale(trim_scale(cached_input_usd_per_million)), 0) <= 6)
);
COMMENT ON TABLE model_prices IS 'List prices in USD per million tokens. A row is never edited: a new price is a new row with a later effective_from.';
GRANT SELECT ON model_prices TO bailiwick_app;

-- Prices as their providers listed them when this step was written; operators add rows as prices change.
INSERT INTO model_prices (provider, model_name, effective_from, input_usd_per_million, output_usd_per_million, source) VALUES
    ('openai', 'text-embedding-3-small', '2024-01-25 00:00+00', 0.02, 0, 'provider price list'),
    ('openai', 'text-embedding-3-large', '2024-01-25 00:00+00', 0.13, 0, 'provider price list'),
    ('openai', 'text-embedding-ada-002', '2023-06-13 00:00+00', 0.10, 0, 'provider price list'),
    ('openai', 'gpt-4', '2023-03-14 00:00+00', 30, 60, 'provider price list'),
    ('openai', 'gpt-4o', '2024-10-01 00:00+00', 2.50, 10, 'provider price list'),
    ('openai', 'gpt-4o-mini', '2024-07-18 00:00+00', 0.15, 0.60, 'provider price list'),
    ('anthropic', 'claude-3-5-haiku', '2024-11-04 00:00+00', 0.80, 4, 'provider price list'),
    ('anthropic', 'claude-sonnet-4', '2025-05-22 00:00+00', 3, 15, 'provider price list'),
    ('anthropic', 'claude-opus-4', '2025-05-22 00:00+00', 15, 75, 'provider price list'),
    ('ollama', 'llama3.2', '2024-09-25 00:00+00', 0, 0, 'runs on own hardware');

-- A sequence of its own: PostgreSQL 16 knows no identity columns on partitioned tables.
CREATE SEQUENCE cost_tracking_id_seq;

CREATE TABLE cost_tracking (
    id            bigint NOT NULL DEFAULT nextval('cost_tracking_id_seq'),
    "timestamp"   timestamptz NOT NULL DEFAULT now(),
    tenant_id     uuid NOT NULL,
    user_id       text NOT NULL,
    call_id       uuid,
    model_name    text NOT NULL,
    provider      text NOT NULL,
    input_tokens  integer NOT NULL,
    output_tokens integer NOT NULL,
    total_tokens  integer GENERATED ALWAYS AS (input_tokens + output_tokens) STORED,
    input_cost    numeric(24, 12) NOT NULL,
    output_cost   numeric(24, 12) NOT NULL,
    total_cost    numeric(24, 12) GENERATED ALWAYS AS (input_cost + output_cost) STORED,
    operation     text,
    metadata      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, "timestamp", id),
    -- Half of the integer range each, so that the generated sum cannot overflow.
    CONSTRAINT cost_tracking_tokens_in_range
        CHECK (input_tokens BETWEEN 0 AND 1000000000 AND output_tokens BETWEEN 0 AND 1000000000),
    CONSTRAINT cost_tracking_costs_not_negative CHECK (input_cost >= 0 AND output_cost >= 0)
) PARTITION BY RANGE ("timestamp");
COMMENT ON TABLE cost_tracking IS 'Every token spent, priced: one row for each paid operation.';
COMMENT ON COLUMN cost_tracking.input_cost IS 'USD to twelve decimals: ten tokens of a small embedding model cost 0.0000002.';
COMMENT ON COLUMN cost_tracking.call_id IS 'The call that spent it, as in audit_logs.';
CREATE INDEX idx_cost_tracking_user_timestamp ON cost_tracking (tenant_id, user_id, "timestamp" DESC);

CREATE TABLE cost_tracking_default PARTITION OF cost_tracking DEFAULT;
ALTER TABLE cost_tracking_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_tracking_default FORCE ROW LEVEL SECURITY;

CREATE TABLE budget_ledger (
    tenant_id    uuid NOT NULL,
    period       text NOT NULL,
    starts       date NOT NULL,
    user_id      text NOT NULL DEFAULT '',
    spent_usd    numeric(24, 12) NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, period, starts, user_id),
    CONSTRAINT budget_ledger_not_negative CHECK (spent_usd >= 0),
    CONSTRAINT budget_ledger_period_known CHECK (period = 'day' OR period = 'month' AND extract(day FROM starts) = 1)
) WITH (fillfactor = 50);
COMMENT ON TABLE budget_ledger IS
    'What was spent in a UTC day or month, by a tenant as a whole and by each of its users: the sum of the cost_tracking rows. Whoever spends or reserves locks its rows.';
COMMENT ON COLUMN budget_ledger.user_id IS 'Empty for the tenant as a whole.';

-- The rows of the ledger that money spent at that moment by that user counts in. Everybody who changes several of them does so in
-- the order of their key, so that nobody waits in a ring.
CREATE FUNCTION budget_accounts(p_at timestamptz, p_user_id text) RETURNS TABLE (period text, starts date, user_id text)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT times.period, times.starts, users.user_id
    FROM (VALUES ('day', (p_at AT TIME ZONE 'UTC')::date),
                 ('month', date_trunc('month', p_at AT TIME ZONE 'UTC')::date)) AS times (period, starts)
    CROSS JOIN (VALUES ('') UNION VALUES (p_user_id)) AS users (user_id)
$$;
COMMENT ON FUNCTION budget_accounts(timestamptz, text) IS 'The rows of budget_ledger that money spent then by that user counts in.';

CREATE TABLE budget_alerts (
    tenant_id     uuid NOT NULL,
    id            uuid NOT NULL DEFAULT gen_random_uuid(),
    period        text NOT NULL,
    starts        date NOT NULL,
    user_id       text NOT NULL DEFAULT '',
    level         text NOT NULL,
    limit_usd     numeric(24, 12) NOT NULL,
    spent_usd     numeric(24, 12) NOT NULL,
    raised_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
    announced_at  timestamptz,
    delivered_at  timestamptz,
    due_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    attempts      integer NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, id),
    -- Once for each crossing of a limit; another limit is crossed anew.
    CONSTRAINT budget_alerts_once UNIQUE (tenant_id, period, starts, user_id, level, limit_usd),
    CONSTRAINT budget_alerts_level_known CHECK (level IN ('WARNING', 'EXCEEDED'))
);
COMMENT ON TABLE budget_alerts IS 'Budgets that came near their limit or reached it, for whoever is to be told: the trail, the log, a webhook.';
COMMENT ON COLUMN budget_alerts.announced_at IS 'When the trail and the log were told; a server does so within seconds.';
COMMENT ON COLUMN budget_alerts.delivered_at IS 'When the webhook had it; the same where there is none.';
COMMENT ON COLUMN budget_alerts.due_at IS 'When it is tried next.';
CREATE INDEX idx_budget_alerts_open ON budget_alerts (tenant_id, due_at) WHERE delivered_at IS NULL;

-- What a tenant may spend by settings: {"budget": {"mode": "hard", "warning_percent": 90, "daily_usd": 5, "user_monthly_usd": 10, "user_daily_usd": 1}}.
CREATE FUNCTION budget_limits(p_monthly_budget_usd numeric, p_settings jsonb)
RETURNS TABLE (period text, is_user boolean, limit_usd numeric, warning_usd numeric, is_hard boolean)
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT l.period, l.is_user, l.limit_usd,
           l.limit_usd * coalesce((p_settings #>> '{budget,warning_percent}')::numeric, 90) / 100,
           coalesce(p_settings #>> '{budget,mode}', 'hard') = 'hard'
    FROM (VALUES ('month', false, p_monthly_budget_usd),
                 ('day', false, (p_settings #>> '{budget,daily_usd}')::numeric),
                 ('month', true, (p_settings #>> '{budget,user_monthly_usd}')::numeric),
                 ('day', true, (p_settings #>> '{budget,user_daily_usd}')::numeric)) AS l (period, is_user, limit_usd)
    WHERE l.limit_usd IS NOT NULL
$$;
COMMENT ON FUNCTION budget_limits(numeric, jsonb) IS 'The spending limits of a tenant, by its monthly budget and its settings.';

CREATE FUNCTION are_budget_settings(p_settings jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT NOT p_settings ? 'budget' OR jsonb_typeof(p_settings -> 'budget') = 'object' AND NOT EXISTS (
        SELECT FROM jsonb_each(CASE jsonb_typeof(p_settings -> 'budget') WHEN 'object' THEN p_settings -> 'budget' ELSE '{}' END) AS s
        WHERE NOT CASE
            WHEN s.key = 'mode' THEN s.value IN ('"hard"', '"soft"')
            WHEN s.key = 'warning_percent' THEN s.value BETWEEN '1' AND '100' AND jsonb_typeof(s.value) = 'number'
            WHEN s.key IN ('daily_usd', 'user_monthly_usd', 'user_daily_usd') THEN jsonb_typeof(s.value) = 'number' AND s.value >= '0' AND s.value < '1000000000'
            ELSE false
        END)
$$;
COMMENT ON FUNCTION are_budget_settings(jsonb) IS 'Whether the budget among a tenant''s settings makes sense: what does not would be no limit at all.';
ALTER TABLE tenants ADD CONSTRAINT tenants_budget_settings CHECK (are_budget_settings(settings));

SELECT protect_tenant_table('cost_tracking'), protect_tenant_table('budget_ledger'), protect_tenant_table('budget_alerts');
GRANT SELECT, INSERT ON cost_tracking TO bailiwick_app;
GRANT USAGE ON SEQUENCE cost_tracking_id_seq TO bailiwick_app;
GRANT SELECT ON budget_ledger TO bailiwick_app;
GRANT SELECT, INSERT, UPDATE ON budget_ledger TO bailiwick_definer;
GRANT SELECT, INSERT ON budget_alerts TO bailiwick_definer;
GRANT SELECT, UPDATE (announced_at, delivered_at, due_at, attempts) ON budget_alerts TO bailiwick_app;
GRANT EXECUTE ON FUNCTION budget_accounts(timestamptz, text), budget_limits(numeric, jsonb) TO bailiwick_app, bailiwick_definer;

CREATE FUNCTION raise_budget_alerts(p_tenant_id uuid, p_user_id text, p_at timestamptz) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO budget_alerts (tenant_id, period, starts, user_id, level, limit_usd, spent_usd)
    SELECT p_tenant_id, l.period, l.starts, l.user_id, levels.level, limits.limit_usd, l.spent_usd
    FROM tenants t
    CROSS JOIN LATERAL budget_limits(t.monthly_budget_usd, t.settings) AS limits
    JOIN budget_accounts(p_at, p_user_id) AS a ON a.period = limits.period AND (a.user_id <> '') = limits.is_user
    JOIN budget_ledger l ON l.tenant_id = p_tenant_id AND l.period = a.period AND l.starts = a.starts AND l.user_id = a.user_id
    CROSS JOIN LATERAL (VALUES ('WARNING', limits.warning_usd), ('EXCEEDED', limits.limit_usd)) AS levels (level, from_usd)
    WHERE t.id = p_tenant_id AND l.spent_usd >= levels.from_usd AND l.spent_usd > 0
      -- The server's own work, which no user's limit binds.
      AND l.user_id NOT LIKE 'bailiwick-%'
    ORDER BY l.period, l.starts, l.user_id, levels.level
    ON CONFLICT DO NOTHING;
END
$$;
COMMENT ON FUNCTION raise_budget_alerts(uuid, text, timestamptz) IS 'Notes which limits are crossed by now, each once.';

CREATE FUNCTION post_costs_to_ledger() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO budget_ledger AS l (tenant_id, period, starts, user_id, spent_usd)
    SELECT i.tenant_id, a.period, a.starts, a.user_id, sum(i.total_cost)
    FROM inserted i CROSS JOIN LATERAL budget_accounts(i."timestamp", i.user_id) AS a
    GROUP BY 1, 2, 3, 4
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (tenant_id, period, starts, user_id) DO UPDATE SET spent_usd = l.spent_usd + excluded.spent_usd;
    PERFORM raise_budget_alerts(spent.tenant_id, spent.user_id, spent.day AT TIME ZONE 'UTC')
    FROM (SELECT DISTINCT i.tenant_id, i.user_id, date_trunc('day', i."timestamp" AT TIME ZONE 'UTC') AS day
          FROM inserted i WHERE i.total_cost > 0 ORDER BY 1, 2, 3) AS spent;
    RETURN NULL;
END
$$;

CREATE TRIGGER cost_tracking_10_post_to_ledger AFTER INSERT ON cost_tracking
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION post_costs_to_ledger();

ALTER FUNCTION raise_budget_alerts(uuid, text, timestamptz) OWNER TO bailiwick_definer;
ALTER FUNCTION post_costs_to_ledger() OWNER TO bailiwick_definer;

SELECT maintain_partitions();
