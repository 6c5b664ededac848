-- maintenance/tombstones
SELECT chunk_no FROM chunk_tombstones WHERE tenant_id = $1::uuid
