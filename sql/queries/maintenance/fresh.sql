-- maintenance/fresh
SELECT chunk_no, ordinal, length, terms FROM fresh_postings WHERE tenant_id = $1::uuid ORDER BY chunk_no LIMIT $2::bigint
