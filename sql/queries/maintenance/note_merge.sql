-- maintenance/note_merge
INSERT INTO index_state AS s (tenant_id, merged_through, purged_chunks, merged_at)
VALUES ($1::uuid, $2::integer, - $3::bigint, clock_timestamp())
ON CONFLICT (tenant_id) DO UPDATE
SET merged_through = greatest(s.merged_through, excluded.merged_through),
    -- Tombstones that the merge made itself are in no count of tenant_usage's.
    purged_chunks = s.purged_chunks + excluded.purged_chunks,
    merged_at = excluded.merged_at
