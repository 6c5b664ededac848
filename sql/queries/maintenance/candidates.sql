-- maintenance/candidates
-- What stands to be done for each tenant, without counting rows: numbers given out since the last merge, tombstones since the last purge.
SELECT u.tenant_id, t.slug, u.chunk_count,
       (u.next_chunk_no - 1 - coalesce(s.merged_through, 0))::bigint AS unmerged_chunks,
       u.buried_chunks - coalesce(s.purged_chunks, 0) AS dead_chunks
FROM tenant_usage u
JOIN tenants t ON t.id = u.tenant_id
LEFT JOIN index_state s ON s.tenant_id = u.tenant_id
ORDER BY t.slug
