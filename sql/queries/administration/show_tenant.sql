-- administration/show_tenant
SELECT jsonb_build_object(
    'id', t.id, 'slug', t.slug, 'name', t.name, 'status', t.status, 'settings', t.settings,
    'monthly_budget_usd', trim_scale(t.monthly_budget_usd)::text, 'max_documents', t.max_documents, 'max_storage_mb', t.max_storage_mb,
    'document_count', u.document_count, 'storage_bytes', u.storage_bytes, 'chunk_count', u.chunk_count,
    'spent_this_month_usd', trim_scale(coalesce(l.spent_usd, 0))::text, 'reserved_usd', trim_scale(reserved_budget(t.id, 'month', date_trunc('month', now() AT TIME ZONE 'UTC')::date, ''))::text,
    'created_at', t.created_at, 'updated_at', t.updated_at) AS tenant
FROM tenants t
JOIN tenant_usage u ON u.tenant_id = t.id
LEFT JOIN budget_ledger l ON l.tenant_id = t.id AND l.period = 'month' AND l.user_id = '' AND l.starts = date_trunc('month', now() AT TIME ZONE 'UTC')::date
WHERE t.slug = $1::text
