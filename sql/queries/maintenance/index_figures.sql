-- maintenance/index_figures
SELECT u.chunk_count, u.total_length,
       (SELECT count(*) FROM fresh_postings f WHERE f.tenant_id = $1::uuid) AS fresh_chunks,
       (SELECT count(*) FROM chunk_tombstones d WHERE d.tenant_id = $1) AS dead_chunks,
       (SELECT count(*) FROM posting_blocks b WHERE b.tenant_id = $1) AS blocks,
       u.buried_chunks - coalesce(s.purged_chunks, 0) AS dead_by_count,
       s.merged_at
FROM tenant_usage u LEFT JOIN index_state s ON s.tenant_id = $1
WHERE u.tenant_id = $1
