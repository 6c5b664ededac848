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
        AND cached_input_usd_per_million BETWEEN 0 AND 10000)
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
    month        date NOT NULL,
    spent_usd    numeric(24, 12) NOT NULL DEFAULT 0,
    reserved_usd numeric(24, 12) NOT NULL DEFAULT 0,
    PRIMARY KEY (tenant_id, month),
    CONSTRAINT budget_ledger_not_negative CHECK (spent_usd >= 0 AND reserved_usd >= 0),
    CONSTRAINT budget_ledger_month_start CHECK (extract(day FROM month) = 1)
);
COMMENT ON TABLE budget_ledger IS 'What a tenant has spent and reserved in a UTC calendar month; spent_usd equals the sum of its cost_tracking rows.';

SELECT protect_tenant_table('cost_tracking'), protect_tenant_table('budget_ledger');
GRANT SELECT, INSERT ON cost_tracking TO bailiwick_app;
GRANT USAGE ON SEQUENCE cost_tracking_id_seq TO bailiwick_app;
GRANT SELECT ON budget_ledger TO bailiwick_app;
GRANT SELECT, INSERT, UPDATE ON budget_ledger TO bailiwick_definer;

CREATE FUNCTION post_costs_to_ledger() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    INSERT INTO budget_ledger AS l (tenant_id, month, spent_usd)
    SELECT i.tenant_id, date_trunc('month', i."timestamp" AT TIME ZONE 'UTC')::date, sum(i.total_cost)
    FROM inserted i
    GROUP BY 1, 2
    ON CONFLICT (tenant_id, month) DO UPDATE SET spent_usd = l.spent_usd + excluded.spent_usd;
    RETURN NULL;
END
$$;

CREATE TRIGGER cost_tracking_10_post_to_ledger AFTER INSERT ON cost_tracking
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION post_costs_to_ledger();

ALTER FUNCTION post_costs_to_ledger() OWNER TO bailiwick_definer;

SELECT maintain_partitions();
