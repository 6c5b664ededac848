-- administration/end_import
-- Opens it, if as much is there as the file has.
WITH opened AS (
    UPDATE tenants t
    SET status = $3::text, import_sha256 = NULL, name = $4::text, settings = $5::jsonb, max_documents = $6::integer,
        max_storage_mb = $7::integer, monthly_budget_usd = $8::text::numeric
    FROM tenant_usage u
    WHERE t.id = $1::uuid AND u.tenant_id = t.id AND t.import_sha256 = $2::bytea AND t.purge_began_at IS NULL
      AND u.document_count = $9::bigint AND u.chunk_count = $10::bigint
    RETURNING t.id
), told AS (
    INSERT INTO audit_logs (tenant_id, user_id, call_id, action, resource, resource_id, details, outcome, success)
    SELECT opened.id, 'administrator', gen_random_uuid(), 'insert', 'administration/tenant', opened.id,
           jsonb_build_object('status', 'imported', 'documents', $9, 'chunks', $10, 'sha256', encode($2, 'hex')), 'ok', true
    FROM opened
)
SELECT id FROM opened
