-- The audit trail: one row for each call, partitioned by month.
SET LOCAL ROLE bailiwick_owner;

-- A sequence of its own: PostgreSQL 16 knows no identity columns on partitioned tables.
CREATE SEQUENCE audit_logs_id_seq;

CREATE TABLE audit_logs (
    id            bigint NOT NULL DEFAULT nextval('audit_logs_id_seq'),
    "timestamp"   timestamptz NOT NULL DEFAULT now(),
    completed_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
    tenant_id     uuid NOT NULL,
    user_id       text NOT NULL,
    call_id       uuid NOT NULL,
    action        text NOT NULL,
    resource      text,
    resource_id   uuid,
    details       jsonb NOT NULL DEFAULT '{}',
    outcome       text NOT NULL,
    success       boolean NOT NULL,
    error_message text,
    ip_address    inet,
    user_agent    text,
    duration_ms   integer,
    -- The fence: whoever closes a call, and however often it is tried, a second row cannot be.
    PRIMARY KEY (tenant_id, "timestamp", call_id),
    CONSTRAINT audit_logs_outcome_known
        CHECK (outcome IN ('ok', 'error', 'denied', 'cancelled', 'timeout', 'panic', 'interrupted')),
    CONSTRAINT audit_logs_success_is_ok CHECK (success = (outcome = 'ok'))
) PARTITION BY RANGE ("timestamp");
COMMENT ON TABLE audit_logs IS 'Exactly one row for each call, however it ended. No text of documents or queries: lengths, counts and ids.';
COMMENT ON COLUMN audit_logs.id IS 'In the order of completion: seals and pages go by it.';
COMMENT ON COLUMN audit_logs."timestamp" IS 'When the call reached the server, by the server''s clock: settled once, so that with call_id it names the call wherever it is closed.';
COMMENT ON COLUMN audit_logs.completed_at IS 'When the call was closed, by the database''s clock.';
COMMENT ON COLUMN audit_logs.action IS 'search, insert, update, delete, read, report, record, embed, alert or unknown.';
COMMENT ON COLUMN audit_logs.resource IS 'What was called: tools/hybrid_search.';
COMMENT ON COLUMN audit_logs.error_message IS 'Stable code of the failure, for example invalid_input; NULL when the call succeeded.';

CREATE INDEX idx_audit_logs_tenant_completed ON audit_logs (tenant_id, completed_at DESC, id DESC);
CREATE INDEX idx_audit_logs_user_timestamp ON audit_logs (tenant_id, user_id, "timestamp" DESC);
-- For the seals, which go over all tenants.
CREATE INDEX idx_audit_logs_id ON audit_logs (id);

SELECT protect_tenant_table('audit_logs');
-- The application reads its tenant's trail; rows are written by functions alone.
GRANT SELECT ON audit_logs TO bailiwick_app;
GRANT SELECT, INSERT ON audit_logs TO bailiwick_definer;
GRANT USAGE ON SEQUENCE audit_logs_id_seq TO bailiwick_definer;

CREATE FUNCTION create_month_partition(p_parent regclass, p_month date) RETURNS boolean
-- A lock that is waited for keeps every call behind it waiting. Months are made ahead, so whoever is in the way may end first.
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '200ms'
AS $$
DECLARE
    v_table text := (SELECT relname FROM pg_class WHERE oid = p_parent);
    v_name text := format('%s_%s', v_table, to_char(p_month, 'YYYY_MM'));
    v_default regclass := to_regclass(format('public.%I', v_table || '_default'));
    -- Months are UTC, whatever the session's time zone.
    v_from timestamptz := date_trunc('month', p_month::timestamp) AT TIME ZONE 'UTC';
    v_to   timestamptz := (date_trunc('month', p_month::timestamp) + interval '1 month') AT TIME ZONE 'UTC';
    v_columns text := (SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) FROM pg_attribute
                       WHERE attrelid = p_parent AND attnum > 0 AND NOT attisdropped AND attgenerated = '');
    v_has_strays boolean := false;
    v_role text := coalesce(current_setting('app.current_user_role', true), '');
BEGIN
    IF to_regclass(format('public.%I', v_name)) IS NOT NULL THEN
        RETURN false;
    END IF;
    -- Made apart and attached then: to make it as a partition would lock its parent against every call.
    EXECUTE format('CREATE TABLE public.%I (LIKE %s INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING GENERATED INCLUDING INDEXES INCLUDING STORAGE)',
                   v_name, p_parent);
    -- Queried by its own name a partition would skip its parent's policies: forced security with no policy shows nothing.
    EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY', v_name);
    IF v_default IS NOT NULL THEN
        -- Rows that came while the month was missing stand in its way; the administrator's policy shows them.
        PERFORM set_config('app.current_user_role', 'admin', true);
        EXECUTE format('SELECT EXISTS (SELECT FROM %s WHERE "timestamp" >= %L AND "timestamp" < %L)', v_default, v_from, v_to)
            INTO v_has_strays;
    END IF;
    IF v_has_strays THEN
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', p_parent, v_default);
        -- Into the partition itself: what their insertion triggered has happened.
        EXECUTE format('INSERT INTO public.%I (%s) SELECT %s FROM %s WHERE "timestamp" >= %L AND "timestamp" < %L',
                       v_name, v_columns, v_columns, v_default, v_from, v_to);
        EXECUTE format('DELETE FROM %s WHERE "timestamp" >= %L AND "timestamp" < %L', v_default, v_from, v_to);
    END IF;
    EXECUTE format('ALTER TABLE %s ATTACH PARTITION public.%I FOR VALUES FROM (%L) TO (%L)', p_parent, v_name, v_from, v_to);
    IF v_has_strays THEN
        EXECUTE format('ALTER TABLE %s ATTACH PARTITION %s DEFAULT', p_parent, v_default);
    END IF;
    EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', v_name);
    PERFORM set_config('app.current_user_role', v_role, true);
    RETURN true;
END
$$;
COMMENT ON FUNCTION create_month_partition(regclass, date) IS
    'Makes a month''s partition of a table partitioned by timestamp, with the rows of that month that had landed in the DEFAULT partition; false if it is there.';

CREATE FUNCTION maintain_partitions(p_months_ahead integer DEFAULT 3, p_today date DEFAULT (now() AT TIME ZONE 'UTC')::date) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_parent regclass;
    v_created integer := 0;
    v_strays date[];
    v_month date;
    v_role text := coalesce(current_setting('app.current_user_role', true), '');
BEGIN
    -- Another who is at it makes the same ones.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('bailiwick.maintain_partitions', 0)) THEN
        RETURN 0;
    END IF;
    FOR v_parent IN
        SELECT p.partrelid::regclass FROM pg_partitioned_table p
        WHERE p.partstrat = 'r' AND p.partrelid::regclass::text IN ('audit_logs', 'cost_tracking')
        ORDER BY 1
    LOOP
        -- Of months that have rows in the DEFAULT partition, the oldest; the rest are for the next time. Months ahead are those of a clock
        -- that was wrong; rows from beyond ten years stay and are told of.
        PERFORM set_config('app.current_user_role', 'admin', true);
        EXECUTE format('SELECT ARRAY(SELECT DISTINCT date_trunc(''month'', "timestamp" AT TIME ZONE ''UTC'')::date FROM %s
                                     WHERE "timestamp" < %L ORDER BY 1 LIMIT 12)',
                       to_regclass(format('public.%I', v_parent::text || '_default')),
                       (date_trunc('month', p_today)::timestamp + interval '10 years') AT TIME ZONE 'UTC')
            INTO v_strays;
        PERFORM set_config('app.current_user_role', v_role, true);
        FOREACH v_month IN ARRAY v_strays || ARRAY(SELECT (date_trunc('month', p_today) + make_interval(months => m))::date
                                                   FROM generate_series(0, p_months_ahead) AS m) LOOP
            IF create_month_partition(v_parent, v_month) THEN
                v_created := v_created + 1;
            END IF;
        END LOOP;
    END LOOP;
    RETURN v_created;
END
$$;
COMMENT ON FUNCTION maintain_partitions(integer, date) IS
    'Makes the partitions of this month and the months ahead for audit_logs and cost_tracking, and of some others whose rows are in the DEFAULT partition, from no more than ten years ahead; returns how many were new.';

CREATE FUNCTION month_partitions(p_parent regclass, p_before date) RETURNS TABLE (partition regclass, month date)
LANGUAGE sql STABLE SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT c.oid::regclass, to_date(right(c.relname, 7), 'YYYY_MM')
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = p_parent AND c.relname ~ '_\d{4}_\d{2}$'
      AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= p_before
    ORDER BY c.relname
$$;
COMMENT ON FUNCTION month_partitions(regclass, date) IS 'The month partitions that end by that date, the oldest first.';

CREATE FUNCTION hold_month_partitions(p_parent regclass, p_before date) RETURNS integer
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_partition regclass;
    v_held integer := 0;
BEGIN
    FOR v_partition IN SELECT m.partition FROM month_partitions(p_parent, p_before) AS m LOOP
        -- Whoever reads goes on reading; nobody adds to a month that is over, but for a row that was late.
        EXECUTE format('LOCK TABLE %s IN EXCLUSIVE MODE', v_partition);
        v_held := v_held + 1;
    END LOOP;
    RETURN v_held;
END
$$;
COMMENT ON FUNCTION hold_month_partitions(regclass, date) IS
    'Retention: lets nobody write to the month partitions that end by that date until the transaction ends, and returns how many they are.';

CREATE FUNCTION drop_month_partitions(p_parent regclass, p_before date) RETURNS text[]
-- To take a partition off, its parent is locked against every call: for milliseconds, once that lock is had, so it is waited for
-- no longer than calls may be kept behind it. (PostgreSQL refuses DETACH CONCURRENTLY beside a DEFAULT partition.)
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '200ms'
AS $$
DECLARE
    v_partition record;
    v_dropped text[] := '{}';
BEGIN
    FOR v_partition IN
        SELECT m.partition AS name, c.relname FROM month_partitions(p_parent, p_before) AS m JOIN pg_class c ON c.oid = m.partition
    LOOP
        EXECUTE format('ALTER TABLE %s DETACH PARTITION %s', p_parent, v_partition.name);
        EXECUTE format('DROP TABLE %s', v_partition.name);
        v_dropped := v_dropped || v_partition.relname::text;
    END LOOP;
    RETURN v_dropped;
END
$$;
COMMENT ON FUNCTION drop_month_partitions(regclass, date) IS
    'Retention: drops the month partitions that end by that date and returns their names; fails within moments if it cannot have the lock.';

-- Rows of a month without a partition land here rather than fail; one row here blocks adding its month, so it is kept empty.
CREATE TABLE audit_logs_default PARTITION OF audit_logs DEFAULT;
ALTER TABLE audit_logs_default ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_logs_default FORCE ROW LEVEL SECURITY;
-- So that rows here are seen by those who look for them, and can be moved into their month.
CREATE POLICY admin_full_access_policy ON audit_logs_default FOR ALL TO bailiwick_owner
    USING (current_setting('app.current_user_role', true) = 'admin') WITH CHECK (current_setting('app.current_user_role', true) = 'admin');

SELECT maintain_partitions();
