-- maintenance/lock_fresh
-- Rows that are still there, and how many of them nobody is just deleting.
WITH locked AS (
    SELECT chunk_no FROM fresh_postings
    WHERE tenant_id = $1::uuid AND chunk_no = ANY ($2::integer[])
    FOR UPDATE SKIP LOCKED
)
SELECT (SELECT count(*) FROM fresh_postings WHERE tenant_id = $1 AND chunk_no = ANY ($2)) AS standing, count(*) AS locked FROM locked
