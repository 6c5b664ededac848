-- maintenance/forget_tombstones
WITH gone AS (
    DELETE FROM chunk_tombstones WHERE tenant_id = $1::uuid AND chunk_no = ANY ($2::integer[]) RETURNING chunk_no
)
INSERT INTO index_state AS s (tenant_id, purged_chunks, purged_at)
SELECT $1, count(*), clock_timestamp() FROM gone
ON CONFLICT (tenant_id) DO UPDATE
SET purged_chunks = s.purged_chunks + excluded.purged_chunks, purged_at = excluded.purged_at
