-- administration/export_header
-- A tenant without what is another's to decide (its id, its keys), and the models of its vectors.
SELECT t.id, t.slug, t.name, t.settings, t.max_documents, t.max_storage_mb, trim_scale(t.monthly_budget_usd)::text AS monthly_budget_usd,
       coalesce(CASE t.status WHEN 'deleted' THEN t.status_before_deletion ELSE t.status END, 'active') AS status,
       t.purge_began_at IS NOT NULL OR t.import_sha256 IS NOT NULL AS is_in_part,
       u.document_count,
       (SELECT a.atttypmod FROM pg_attribute a WHERE a.attrelid = 'documents'::regclass AND a.attname = 'embedding') AS dimensions,
       (SELECT coalesce(jsonb_agg(jsonb_build_object('name', m.name, 'dimensions', m.dimensions, 'provider', m.provider, 'languages', m.languages,
                                                     'prompt_style', m.prompt_style, 'longest_tokens', m.longest_tokens) ORDER BY m.name), '[]')
        FROM embedding_models m
        WHERE EXISTS (SELECT FROM document_chunks c WHERE c.tenant_id = t.id AND c.embedding_model_id = m.id)
           OR EXISTS (SELECT FROM documents d WHERE d.tenant_id = t.id AND d.embedding IS NOT NULL AND d.embedding_model = m.name)) AS models
FROM tenants t JOIN tenant_usage u ON u.tenant_id = t.id
WHERE t.id = $1::uuid
