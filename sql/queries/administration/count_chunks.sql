-- administration/count_chunks
SELECT tenant_id, chunk_count AS passages FROM tenant_usage WHERE chunk_count > 0 ORDER BY tenant_id
