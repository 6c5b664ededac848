-- maintenance/take_fresh
DELETE FROM fresh_postings WHERE tenant_id = $1::uuid AND chunk_no = ANY ($2::integer[]) RETURNING chunk_no
