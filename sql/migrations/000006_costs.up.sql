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
    noted_on               date NOT NULL DEFAULT (now() AT TIME ZONE 'UTC')::date,
    PRIMARY KEY (provider, model_name, effective_from),
    CONSTRAINT model_prices_plausible CHECK (
        input_usd_per_million BETWEEN 0 AND 10000 AND output_usd_per_million BETWEEN 0 AND 10000
        AND cached_input_usd_per_million BETWEEN 0 AND 10000),
    -- Whatever number of tokens then costs a number of USD that twelve decimals hold, so nothing is ever rounded.
    CONSTRAINT model_prices_exact CHECK (
        scale(trim_scale(input_usd_per_million)) <= 6 AND scale(trim_scale(output_usd_per_million)) <= 6
        AND coalesce(scale(trim_scale(cached_input_usd_per_million)), 0) <= 6),
    CONSTRAINT model_prices_cached_is_no_dearer CHECK (cached_input_usd_per_million <= input_usd_per_million),
    CONSTRAINT model_prices_named CHECK (
        length(trim(provider)) BETWEEN 1 AND 100 AND length(trim(model_name)) BETWEEN 1 AND 200 AND length(trim(source)) BETWEEN 1 AND 500)
);
COMMENT ON TABLE model_prices IS 'List prices in USD per million tokens. A row is never edited: a new price is a new row with a later effective_from.';
COMMENT ON COLUMN model_prices.cached_input_usd_per_million IS 'Of input that the provider had in its cache; NULL where that costs what other input costs.';
COMMENT ON COLUMN model_prices.source IS 'Where the price stood, in words.';
COMMENT ON COLUMN model_prices.noted_on IS 'The day on which it is known to have stood there.';
GRANT SELECT ON model_prices TO bailiwick_app, bailiwick_definer;

CREATE FUNCTION keep_model_prices() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
    RAISE EXCEPTION 'a price is never edited or removed: add a row with a later effective_from' USING ERRCODE = 'integrity_constraint_violation';
END
$$;
CREATE TRIGGER model_prices_are_kept
    BEFORE UPDATE OR DELETE OR TRUNCATE ON model_prices
    FOR EACH STATEMENT EXECUTE FUNCTION keep_model_prices();

-- Prices as their providers listed them on the day noted; operators add rows as prices change (`bailiwick prices`).
INSERT INTO model_prices (provider, model_name, effective_from, input_usd_per_million, output_usd_per_million, cached_input_usd_per_million, source, noted_on) VALUES
    ('openai', 'text-embedding-3-small', '2024-01-25 00:00+00', 0.02, 0, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'text-embedding-3-large', '2024-01-25 00:00+00', 0.13, 0, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'text-embedding-ada-002', '2023-06-13 00:00+00', 0.10, 0, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-3.5-turbo', '2024-01-25 00:00+00', 0.50, 1.50, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4', '2023-03-14 00:00+00', 30, 60, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4-turbo', '2024-04-09 00:00+00', 10, 30, NULL, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4o', '2024-10-01 00:00+00', 2.50, 10, 1.25, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4o-mini', '2024-07-18 00:00+00', 0.15, 0.60, 0.075, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4.1', '2025-04-14 00:00+00', 2, 8, 0.50, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4.1-mini', '2025-04-14 00:00+00', 0.40, 1.60, 0.10, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-4.1-nano', '2025-04-14 00:00+00', 0.10, 0.40, 0.025, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'o1', '2024-12-17 00:00+00', 15, 60, 7.50, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'o3', '2025-06-10 00:00+00', 2, 8, 0.50, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'o3-mini', '2025-01-31 00:00+00', 1.10, 4.40, 0.55, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'o4-mini', '2025-04-16 00:00+00', 1.10, 4.40, 0.275, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-5', '2025-08-07 00:00+00', 1.25, 10, 0.125, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-5-mini', '2025-08-07 00:00+00', 0.25, 2, 0.025, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-5-nano', '2025-08-07 00:00+00', 0.05, 0.40, 0.005, 'OpenAI: API pricing page', '2025-10-01'),
    ('openai', 'gpt-5.4', '2026-06-01 00:00+00', 2.50, 15, 0.25, 'as reported from OpenAI''s API pricing page', '2026-06-01'),
    ('openai', 'gpt-5.5', '2026-06-01 00:00+00', 5, 30, 0.50, 'as reported from OpenAI''s API pricing page', '2026-06-01'),
    ('anthropic', 'claude-3-haiku', '2024-03-13 00:00+00', 0.25, 1.25, 0.03, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-3-opus', '2024-03-04 00:00+00', 15, 75, 1.50, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-3-5-haiku', '2024-11-04 00:00+00', 0.80, 4, 0.08, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-3-5-sonnet', '2024-06-20 00:00+00', 3, 15, 0.30, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-3-7-sonnet', '2025-02-24 00:00+00', 3, 15, 0.30, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-sonnet-4', '2025-05-22 00:00+00', 3, 15, 0.30, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-opus-4', '2025-05-22 00:00+00', 15, 75, 1.50, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-opus-4-1', '2025-08-05 00:00+00', 15, 75, 1.50, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-sonnet-4-5', '2025-09-29 00:00+00', 3, 15, 0.30, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-haiku-4-5', '2025-10-15 00:00+00', 1, 5, 0.10, 'Anthropic: pricing page of the Claude documentation', '2025-10-15'),
    ('anthropic', 'claude-opus-4-5', '2025-11-24 00:00+00', 5, 25, 0.50, 'Anthropic: pricing page of the Claude documentation', '2025-11-25'),
    ('google', 'gemini-embedding-001', '2025-07-14 00:00+00', 0.15, 0, NULL, 'Google: pricing page of the Gemini API', '2025-10-01'),
    ('google', 'gemini-2.0-flash', '2025-02-05 00:00+00', 0.10, 0.40, 0.025, 'Google: pricing page of the Gemini API', '2025-10-01'),
    ('google', 'gemini-2.0-flash-lite', '2025-02-25 00:00+00', 0.075, 0.30, NULL, 'Google: pricing page of the Gemini API', '2025-10-01'),
    ('google', 'gemini-2.5-pro', '2025-06-17 00:00+00', 1.25, 10, 0.125, 'Google: pricing page of the Gemini API, prompts up to 200,000 tokens', '2025-10-01'),
    ('google', 'gemini-2.5-flash', '2025-06-17 00:00+00', 0.30, 2.50, 0.03, 'Google: pricing page of the Gemini API, text, images and video', '2025-10-01'),
    ('google', 'gemini-2.5-flash-lite', '2025-07-22 00:00+00', 0.10, 0.40, 0.01, 'Google: pricing page of the Gemini API, text, images and video', '2025-10-01'),
    ('cohere', 'embed-english-v3.0', '2023-11-02 00:00+00', 0.10, 0, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'embed-multilingual-v3.0', '2023-11-02 00:00+00', 0.10, 0, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'embed-v4.0', '2025-04-15 00:00+00', 0.12, 0, NULL, 'Cohere: pricing page, text', '2025-04-15'),
    ('cohere', 'command-r7b-12-2024', '2024-12-13 00:00+00', 0.0375, 0.15, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'command-r-08-2024', '2024-08-30 00:00+00', 0.15, 0.60, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'command-r-plus-08-2024', '2024-08-30 00:00+00', 2.50, 10, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('cohere', 'command-a-03-2025', '2025-03-13 00:00+00', 2.50, 10, NULL, 'Cohere: pricing page', '2025-04-15'),
    ('voyage', 'voyage-3', '2024-09-18 00:00+00', 0.06, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-3-lite', '2024-09-18 00:00+00', 0.02, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-3-large', '2025-01-07 00:00+00', 0.18, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-3.5', '2025-05-20 00:00+00', 0.06, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-3.5-lite', '2025-05-20 00:00+00', 0.02, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-code-3', '2024-12-04 00:00+00', 0.18, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-context-3', '2025-07-23 00:00+00', 0.18, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-finance-2', '2024-06-03 00:00+00', 0.12, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('voyage', 'voyage-law-2', '2024-04-15 00:00+00', 0.12, 0, NULL, 'Voyage AI: pricing page of its documentation', '2025-07-23'),
    ('mistral', 'mistral-embed', '2023-12-11 00:00+00', 0.10, 0, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'codestral-embed-2505', '2025-05-28 00:00+00', 0.15, 0, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'mistral-large-2411', '2024-11-18 00:00+00', 2, 6, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'mistral-medium-2505', '2025-05-07 00:00+00', 0.40, 2, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'mistral-small-2503', '2025-03-17 00:00+00', 0.10, 0.30, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'codestral-2501', '2025-01-13 00:00+00', 0.30, 0.90, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'ministral-8b-2410', '2024-10-16 00:00+00', 0.10, 0.10, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'ministral-3b-2410', '2024-10-16 00:00+00', 0.04, 0.04, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('mistral', 'magistral-medium-2506', '2025-06-10 00:00+00', 2, 5, NULL, 'Mistral AI: pricing page', '2025-06-10'),
    ('ollama', 'llama3.2', '2024-09-25 00:00+00', 0, 0, NULL, 'runs on own hardware', '2024-09-25');
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
    cached_input_tokens integer NOT NULL DEFAULT 0,
    total_tokens  integer GENERATED ALWAYS AS (input_tokens + output_tokens) STORED,
    input_cost    numeric(24, 12) NOT NULL,
    output_cost   numeric(24, 12) NOT NULL,
    total_cost    numeric(24, 12) GENERATED ALWAYS AS (input_cost + output_cost) STORED,
    operation     text,
    tool          text,
    is_priced     boolean NOT NULL DEFAULT true,
    metadata      jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (tenant_id, "timestamp", id),
    -- Half of the integer range each, so that the generated sum cannot overflow.
    CONSTRAINT cost_tracking_tokens_in_range
        CHECK (input_tokens BETWEEN 0 AND 1000000000 AND output_tokens BETWEEN 0 AND 1000000000),
    CONSTRAINT cost_tracking_cached_is_part_of_input CHECK (cached_input_tokens BETWEEN 0 AND input_tokens),
    CONSTRAINT cost_tracking_costs_not_negative CHECK (input_cost >= 0 AND input_cost < 'NaN' AND output_cost >= 0 AND output_cost < 'NaN')
) PARTITION BY RANGE ("timestamp");
COMMENT ON TABLE cost_tracking IS 'Every token spent, priced: one row for each paid operation.';
COMMENT ON COLUMN cost_tracking.input_cost IS 'USD to twelve decimals: ten tokens of a small embedding model cost 0.0000002.';
COMMENT ON COLUMN cost_tracking.cached_input_tokens IS 'Of input_tokens, those that the provider had in its cache; input_cost has them at their own price.';
COMMENT ON COLUMN cost_tracking.tool IS 'The tool that they were spent by: one of this server''s, or whatever the caller names.';
COMMENT ON COLUMN cost_tracking.is_priced IS 'False where the model had no price: the row then costs 0 because nobody knows better.';
COMMENT ON COLUMN cost_tracking.call_id IS 'The call that spent it, as in audit_logs.';
CREATE INDEX idx_cost_tracking_user_timestamp ON cost_tracking (tenant_id, user_id, "timestamp" DESC);

CREATE TABLE cost_tracking_default PARTITION OF cost_tracking DEFAULT;
ALTER TABLE cost_tracking_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE cost_tracking_default FORCE ROW LEVEL SECURITY;
CREATE POLICY admin_full_access_policy ON cost_tracking_default FOR ALL TO bailiwick_owner
    USING (current_setting('app.current_user_role', true) = 'admin') WITH CHECK (current_setting('app.current_user_role', true) = 'admin');

CREATE TABLE budget_ledger (
    tenant_id    uuid NOT NULL,
    period       text NOT NULL,
    starts       date NOT NULL,
    user_id      text NOT NULL DEFAULT '',
    spent_usd    numeric(24, 12) NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, period, starts, user_id),
    CONSTRAINT budget_ledger_not_negative CHECK (spent_usd >= 0 AND spent_usd < 'NaN'),
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
    given_up_at   timestamptz,
    PRIMARY KEY (tenant_id, id),
    -- Once for each crossing of a limit; another limit is crossed anew.
    CONSTRAINT budget_alerts_once UNIQUE (tenant_id, period, starts, user_id, level, limit_usd),
    CONSTRAINT budget_alerts_level_known CHECK (level IN ('WARNING', 'EXCEEDED'))
);
COMMENT ON TABLE budget_alerts IS 'Budgets that came near their limit or reached it, for whoever is to be told: the trail, the log, a webhook.';
COMMENT ON COLUMN budget_alerts.announced_at IS 'When the trail and the log were told; a server does so within seconds.';
COMMENT ON COLUMN budget_alerts.delivered_at IS 'When the webhook had it; the same where there is none.';
COMMENT ON COLUMN budget_alerts.due_at IS 'When it is tried next.';
COMMENT ON COLUMN budget_alerts.given_up_at IS 'When it was tried for the last time: its period was over, and a day had passed since it was raised.';
CREATE INDEX idx_budget_alerts_open ON budget_alerts (tenant_id, due_at) WHERE delivered_at IS NULL AND given_up_at IS NULL;

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


-- What is done about a model without a price: {"costs": {"unknown_models": "refuse"}} (also where nothing is said), or "flag".
CREATE FUNCTION are_cost_settings(p_settings jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT NOT p_settings ? 'costs' OR jsonb_typeof(p_settings -> 'costs') = 'object' AND NOT EXISTS (
        SELECT FROM jsonb_each(CASE jsonb_typeof(p_settings -> 'costs') WHEN 'object' THEN p_settings -> 'costs' ELSE '{}' END) AS s
        WHERE NOT (s.key = 'unknown_models' AND s.value IN ('"refuse"', '"flag"')))
$$;
COMMENT ON FUNCTION are_cost_settings(jsonb) IS 'Whether what a tenant''s settings say of costs makes sense.';
ALTER TABLE tenants ADD CONSTRAINT tenants_cost_settings CHECK (are_cost_settings(settings));

SELECT protect_tenant_table('cost_tracking'), protect_tenant_table('budget_ledger'), protect_tenant_table('budget_alerts');
GRANT SELECT, INSERT ON cost_tracking TO bailiwick_app;
GRANT USAGE ON SEQUENCE cost_tracking_id_seq TO bailiwick_app;
GRANT SELECT ON budget_ledger TO bailiwick_app;
GRANT SELECT, INSERT, UPDATE ON budget_ledger TO bailiwick_definer;
GRANT SELECT, INSERT ON budget_alerts TO bailiwick_definer;
GRANT SELECT, UPDATE (announced_at, delivered_at, due_at, attempts, given_up_at) ON budget_alerts TO bailiwick_app;
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
      -- The server's own work, which no user's limit binds; no caller can have its name.
      AND l.user_id <> 'bailiwick-embedder'
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

-- Reports of months would read every row of them. Sums are kept by the same statement that adds a row, so that they are exact at any
-- moment, for rows that come late as well. Users are many and the other kinds few, so only sums by day are kept for each user.
CREATE TABLE cost_kinds (
    tenant_id  uuid NOT NULL,
    kind_id    uuid NOT NULL,
    provider   text NOT NULL,
    model_name text NOT NULL,
    operation  text,
    tool       text,
    user_id    text,
    PRIMARY KEY (tenant_id, kind_id)
);
COMMENT ON TABLE cost_kinds IS 'What costs are reported by: each combination that a tenant has spent on.';
COMMENT ON COLUMN cost_kinds.kind_id IS 'A hash of the other columns, so that it need not be looked up.';
COMMENT ON COLUMN cost_kinds.user_id IS 'NULL for all users together.';

CREATE TABLE cost_sums (
    tenant_id           uuid NOT NULL,
    grain               text NOT NULL,
    starts              timestamptz NOT NULL,
    kind_id             uuid NOT NULL,
    operations          bigint NOT NULL,
    unpriced            bigint NOT NULL,
    input_tokens        bigint NOT NULL,
    cached_input_tokens bigint NOT NULL,
    output_tokens       bigint NOT NULL,
    input_cost          numeric NOT NULL,
    output_cost         numeric NOT NULL,
    PRIMARY KEY (tenant_id, grain, starts, kind_id),
    CONSTRAINT cost_sums_grain_known CHECK (grain IN ('hour', 'day', 'user day'))
) WITH (fillfactor = 80);
COMMENT ON TABLE cost_sums IS 'Sums of cost_tracking, kept by a trigger: of all users by UTC hour and by UTC day, of each user by UTC day. Those of all users outlive rows that retention drops.';

CREATE TABLE cost_retention (
    is_row    boolean PRIMARY KEY DEFAULT true,
    rows_from timestamptz NOT NULL,
    CONSTRAINT cost_retention_is_one_row CHECK (is_row)
);
COMMENT ON TABLE cost_retention IS 'Since when cost_tracking has its rows and cost_sums those of each user; no row while retention has dropped nothing.';

CREATE FUNCTION cost_kind_id(p_provider text, p_model_name text, p_operation text, p_tool text, p_user_id text) RETURNS uuid
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT encode(substring(sha256(convert_to(jsonb_build_array(p_provider, p_model_name, p_operation, p_tool, p_user_id)::text, 'UTF8')) FROM 1 FOR 16), 'hex')::uuid
$$;
COMMENT ON FUNCTION cost_kind_id(text, text, text, text, text) IS 'The key of cost_kinds.';

-- What a moment is called in reports by day, week (ISO 8601) or month of a time zone; NULL for other units. Without a setting of its own,
-- so that it becomes part of the statement that asks.
CREATE FUNCTION cost_period(p_at timestamptz, p_unit text, p_zone text) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT to_char(p_at AT TIME ZONE p_zone, CASE p_unit WHEN 'day' THEN 'YYYY-MM-DD' WHEN 'week' THEN 'IYYY-"W"IW' WHEN 'month' THEN 'YYYY-MM' END)
$$;
COMMENT ON FUNCTION cost_period(timestamptz, text, text) IS 'The day, week or month that a moment is of, in a time zone.';

-- Midnight by inverse is the second one where clocks go back over it, and the day has begun at the first.
CREATE FUNCTION local_midnight(p_day date, p_zone text) RETURNS timestamptz
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    SELECT min(earlier.at)
    FROM generate_series(0, 12) AS quarters
    CROSS JOIN LATERAL (SELECT (p_day::timestamp AT TIME ZONE p_zone) - quarters * interval '15 minutes' AS at) AS earlier
    WHERE (earlier.at AT TIME ZONE p_zone)::date >= p_day
$$;
COMMENT ON FUNCTION local_midnight(date, text) IS 'The first moment of a day in a time zone.';

CREATE FUNCTION is_time_zone(p_zone text) RETURNS boolean
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
    -- AT TIME ZONE would take "Asia/Seoul5" as well: as a rule of POSIX.
    SELECT p_zone = 'UTC' OR EXISTS (SELECT FROM pg_timezone_names WHERE name = p_zone)
$$;
COMMENT ON FUNCTION is_time_zone(text) IS 'Whether a time zone of that name is known, in the IANA database''s spelling.';

-- What a report reads: whole days where the day is of one period, hours of the others (of which there are none by user), single rows of
-- what is left. A day or hour in which clocks are changed is not taken whole: periods need not be in one piece then.
CREATE FUNCTION cost_spans(p_from timestamptz, p_to timestamptz, p_by_user boolean, p_first_unit text, p_second_unit text, p_zone text)
RETURNS TABLE (grain text, starts timestamptz, ends timestamptz, first_period text, second_period text)
LANGUAGE sql STABLE ROWS 40 SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH days AS MATERIALIZED (
        SELECT d.starts, d.starts + interval '24 hours' AS ends, cost_period(d.starts, p_first_unit, p_zone) AS first_period,
               cost_period(d.starts, p_second_unit, p_zone) AS second_period
        FROM generate_series(date_trunc('day', p_from, 'UTC'), p_to - interval '1 microsecond', interval '24 hours') AS d (starts)
    ), judged_days AS MATERIALIZED (
        SELECT d.*, d.starts >= p_from AND d.ends <= p_to
                    AND (d.ends AT TIME ZONE p_zone) - (d.starts AT TIME ZONE p_zone) = interval '24 hours'
                    AND d.first_period IS NOT DISTINCT FROM cost_period(d.ends - interval '1 microsecond', p_first_unit, p_zone)
                    AND d.second_period IS NOT DISTINCT FROM cost_period(d.ends - interval '1 microsecond', p_second_unit, p_zone) AS is_whole
        FROM days d
    ), hours AS MATERIALIZED (
        SELECT h.starts, h.starts + interval '1 hour' AS ends, cost_period(h.starts, p_first_unit, p_zone) AS first_period,
               cost_period(h.starts, p_second_unit, p_zone) AS second_period
        FROM judged_days d CROSS JOIN LATERAL generate_series(d.starts, d.ends - interval '1 hour', interval '1 hour') AS h (starts)
        WHERE NOT d.is_whole AND NOT p_by_user AND h.starts < p_to AND h.starts + interval '1 hour' > p_from
    ), judged_hours AS MATERIALIZED (
        SELECT h.*, h.starts >= p_from AND h.ends <= p_to
                    AND (h.ends AT TIME ZONE p_zone) - (h.starts AT TIME ZONE p_zone) = interval '1 hour'
                    AND h.first_period IS NOT DISTINCT FROM cost_period(h.ends - interval '1 microsecond', p_first_unit, p_zone)
                    AND h.second_period IS NOT DISTINCT FROM cost_period(h.ends - interval '1 microsecond', p_second_unit, p_zone) AS is_whole
        FROM hours h
    ), pieces AS (
        SELECT CASE WHEN p_by_user THEN 'user day' ELSE 'day' END AS grain, d.starts, d.ends, d.first_period, d.second_period, interval '24 hours' AS width
        FROM judged_days d WHERE d.is_whole
        UNION ALL
        SELECT 'hour', h.starts, h.ends, h.first_period, h.second_period, interval '1 hour' FROM judged_hours h WHERE h.is_whole
        UNION ALL
        SELECT 'row', h.starts, h.ends, NULL, NULL, interval '1 hour' FROM judged_hours h WHERE NOT h.is_whole
        UNION ALL
        SELECT 'row', d.starts, d.ends, NULL, NULL, interval '24 hours' FROM judged_days d WHERE p_by_user AND NOT d.is_whole
    ), numbered AS (
        -- Neighbours of one period have the same: their distance is their width.
        SELECT p.*, p.starts - p.width * row_number() OVER (PARTITION BY p.grain, p.first_period, p.second_period ORDER BY p.starts) AS island
        FROM pieces p
    )
    SELECT n.grain, greatest(min(n.starts), p_from), least(max(n.ends), p_to), n.first_period, n.second_period
    FROM numbered n GROUP BY n.grain, n.first_period, n.second_period, n.island
$$;
COMMENT ON FUNCTION cost_spans(timestamptz, timestamptz, boolean, text, text, text) IS
    'Cuts a time into stretches that cost_sums has by day, by hour, and not at all; together they are the whole, and none overlap.';

SELECT protect_tenant_table('cost_kinds'), protect_tenant_table('cost_sums');
GRANT SELECT ON cost_kinds, cost_sums TO bailiwick_app;
GRANT SELECT ON cost_retention TO bailiwick_app, bailiwick_definer;
GRANT SELECT, INSERT ON cost_kinds TO bailiwick_definer;
GRANT SELECT, INSERT, UPDATE ON cost_sums TO bailiwick_definer;
-- The administrator's reports read as it.
GRANT SELECT ON cost_tracking TO bailiwick_definer;
GRANT EXECUTE ON FUNCTION cost_kind_id(text, text, text, text, text) TO bailiwick_definer;
GRANT EXECUTE ON FUNCTION cost_period(timestamptz, text, text), local_midnight(date, text), is_time_zone(text),
    cost_spans(timestamptz, timestamptz, boolean, text, text, text) TO bailiwick_app, bailiwick_definer;

CREATE FUNCTION add_costs_to_sums() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    WITH pieces AS MATERIALIZED (
        SELECT i.tenant_id, g.grain, date_trunc(g.unit, i."timestamp", 'UTC') AS starts, i.provider, i.model_name, i.operation, i.tool,
               CASE WHEN g.by_user THEN i.user_id END AS user_id, count(*) AS operations, count(*) FILTER (WHERE NOT i.is_priced) AS unpriced,
               sum(i.input_tokens) AS input_tokens, sum(i.cached_input_tokens) AS cached_input_tokens, sum(i.output_tokens) AS output_tokens,
               sum(i.input_cost) AS input_cost, sum(i.output_cost) AS output_cost
        FROM inserted i CROSS JOIN (VALUES ('hour', 'hour', false), ('day', 'day', false), ('user day', 'day', true)) AS g (grain, unit, by_user)
        GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
    ), kinds AS MATERIALIZED (
        SELECT k.*, cost_kind_id(k.provider, k.model_name, k.operation, k.tool, k.user_id) AS kind_id
        FROM (SELECT DISTINCT p.tenant_id, p.provider, p.model_name, p.operation, p.tool, p.user_id FROM pieces p) AS k
    ), known AS (
        INSERT INTO cost_kinds (tenant_id, kind_id, provider, model_name, operation, tool, user_id)
        SELECT k.tenant_id, k.kind_id, k.provider, k.model_name, k.operation, k.tool, k.user_id FROM kinds k
        WHERE NOT EXISTS (SELECT FROM cost_kinds c WHERE c.tenant_id = k.tenant_id AND c.kind_id = k.kind_id)
        ORDER BY 1, 2
        ON CONFLICT (tenant_id, kind_id) DO NOTHING
    )
    INSERT INTO cost_sums AS s (tenant_id, grain, starts, kind_id, operations, unpriced, input_tokens, cached_input_tokens, output_tokens, input_cost, output_cost)
    SELECT p.tenant_id, p.grain, p.starts, k.kind_id, p.operations, p.unpriced, p.input_tokens, p.cached_input_tokens, p.output_tokens, p.input_cost, p.output_cost
    FROM pieces p
    JOIN kinds k ON k.tenant_id = p.tenant_id AND k.provider = p.provider AND k.model_name = p.model_name AND k.operation IS NOT DISTINCT FROM p.operation
                AND k.tool IS NOT DISTINCT FROM p.tool AND k.user_id IS NOT DISTINCT FROM p.user_id
    -- As everybody who adds, so that nobody waits in a ring.
    ORDER BY 1, 2, 3, 4
    ON CONFLICT (tenant_id, grain, starts, kind_id) DO UPDATE
    SET operations = s.operations + excluded.operations, unpriced = s.unpriced + excluded.unpriced,
        input_tokens = s.input_tokens + excluded.input_tokens, cached_input_tokens = s.cached_input_tokens + excluded.cached_input_tokens,
        output_tokens = s.output_tokens + excluded.output_tokens,
        input_cost = s.input_cost + excluded.input_cost, output_cost = s.output_cost + excluded.output_cost;
    RETURN NULL;
END
$$;
-- After the ledger, whose lock keeps a tenant's spenders of one month apart.
CREATE TRIGGER cost_tracking_20_add_to_sums AFTER INSERT ON cost_tracking
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION add_costs_to_sums();
ALTER FUNCTION add_costs_to_sums() OWNER TO bailiwick_definer;

SELECT maintain_partitions();
