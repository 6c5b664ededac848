-- Figures per tenant, refreshed on a schedule.
SET LOCAL ROLE bailiwick_owner;

-- A refresh runs as the view's owner, whom FORCE subjects to the policies like anybody else: these let it count.
CREATE POLICY tenants_statistics ON tenants FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY documents_statistics ON documents FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY cost_tracking_statistics ON cost_tracking FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY embedding_attempts_statistics ON embedding_attempts FOR SELECT TO bailiwick_statistics USING (true);
CREATE POLICY budget_alerts_statistics ON budget_alerts FOR SELECT TO bailiwick_statistics USING (true);
GRANT SELECT ON tenants, documents, cost_tracking, embedding_attempts, budget_alerts TO bailiwick_statistics;

SET LOCAL ROLE bailiwick_statistics;
CREATE MATERIALIZED VIEW tenant_statistics AS
SELECT t.id AS tenant_id,
       t.name AS tenant_name,
       coalesce(d.document_count, 0) AS document_count,
       coalesce(d.total_size_mb, 0)::numeric(20, 6) AS total_size_mb,
       coalesce(d.embedded_documents, 0) AS embedded_documents,
       d.last_document_created,
       coalesce(c.monthly_cost, 0)::numeric(24, 12) AS monthly_cost,
       now() AS as_of
FROM tenants t
-- Each side is summed by itself, so that neither multiplies nor hides the other.
LEFT JOIN (
    SELECT tenant_id, count(*) AS document_count, sum(octet_length(content)) / 1048576.0 AS total_size_mb,
           count(*) FILTER (WHERE embedding_status = 'embedded') AS embedded_documents, max(created_at) AS last_document_created
    FROM documents GROUP BY tenant_id
) AS d ON d.tenant_id = t.id
LEFT JOIN (
    SELECT tenant_id, sum(total_cost) AS monthly_cost
    FROM cost_tracking
    WHERE "timestamp" >= date_trunc('month', now(), 'UTC')
    GROUP BY tenant_id
) AS c ON c.tenant_id = t.id
WHERE t.status = 'active';
COMMENT ON MATERIALIZED VIEW tenant_statistics IS
    'Figures per active tenant as of the last refresh. A materialized view has no row-level security, so no role but its owner reads it: current_tenant_statistics() shows a tenant its own row.';
CREATE UNIQUE INDEX idx_tenant_statistics_tenant_id ON tenant_statistics (tenant_id);

CREATE FUNCTION refresh_tenant_statistics() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    REFRESH MATERIALIZED VIEW CONCURRENTLY public.tenant_statistics;
END
$$;
COMMENT ON FUNCTION refresh_tenant_statistics() IS 'Recounts tenant_statistics without blocking its readers.';
REVOKE EXECUTE ON FUNCTION refresh_tenant_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_tenant_statistics() TO bailiwick_owner;

CREATE FUNCTION refresh_stale_statistics(p_older_than interval) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('bailiwick.refresh_statistics', 0))
       OR EXISTS (SELECT FROM tenant_statistics s WHERE s.as_of > now() - p_older_than) THEN
        RETURN false;
    END IF;
    PERFORM refresh_tenant_statistics();
    RETURN true;
END
$$;
COMMENT ON FUNCTION refresh_stale_statistics(interval) IS
    'Recounts tenant_statistics if the last count is older than that and nobody else is counting, so that of several servers one does.';
REVOKE EXECUTE ON FUNCTION refresh_stale_statistics(interval) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION refresh_stale_statistics(interval) TO bailiwick_owner;

CREATE FUNCTION current_tenant_statistics() RETURNS SETOF tenant_statistics
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$ SELECT * FROM tenant_statistics WHERE tenant_id = current_tenant_id() $$;
COMMENT ON FUNCTION current_tenant_statistics() IS 'The current tenant''s row of tenant_statistics.';
REVOKE EXECUTE ON FUNCTION current_tenant_statistics() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION current_tenant_statistics() TO bailiwick_app, bailiwick_owner;

CREATE FUNCTION tenants_to_embed() RETURNS SETOF uuid
LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH leases AS MATERIALIZED (
        SELECT DISTINCT lease FROM embedding_attempts WHERE due_at > now() AND lease IS NOT NULL
    ), dead AS MATERIALIZED (
        SELECT lease FROM leases WHERE pg_try_advisory_xact_lock(lease)
    )
    SELECT t.id FROM tenants t
    WHERE t.status = 'active' AND EXISTS (
        SELECT FROM documents d
        LEFT JOIN embedding_attempts a ON a.tenant_id = d.tenant_id AND a.document_id = d.id
        WHERE d.tenant_id = t.id AND d.embedding_status = 'pending'
          AND (a.due_at IS NULL OR a.due_at <= now() OR a.lease IN (SELECT dead.lease FROM dead)))
    -- Servers side by side begin at different ones.
    ORDER BY random() LIMIT 100
$$;
COMMENT ON FUNCTION tenants_to_embed() IS
    'Active tenants with documents that wait to be embedded, in no order: their ids and nothing else. What is done for them is done in each one''s own context.';
REVOKE EXECUTE ON FUNCTION tenants_to_embed() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_to_embed() TO bailiwick_app;

CREATE FUNCTION open_budget_alerts() RETURNS TABLE (tenant_id uuid, id uuid)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    SELECT a.tenant_id, a.id FROM budget_alerts a JOIN tenants t ON t.id = a.tenant_id
    -- Those of a suspended tenant wait for it: no call of its own would be let in to tell them, and their time would run out.
    WHERE t.status = 'active' AND a.delivered_at IS NULL AND a.given_up_at IS NULL AND a.due_at <= now()
    ORDER BY a.due_at LIMIT 100
$$;
COMMENT ON FUNCTION open_budget_alerts() IS
    'Alerts of any tenant that are to be told now: their ids and nothing else. What they say is read in each one''s own context.';
REVOKE EXECUTE ON FUNCTION open_budget_alerts() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION open_budget_alerts() TO bailiwick_app;

SET LOCAL ROLE bailiwick_owner;
