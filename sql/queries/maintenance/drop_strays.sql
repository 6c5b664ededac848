-- maintenance/drop_strays
-- Before a rebuild: fresh rows of chunks that are no more.
DELETE FROM fresh_postings f
WHERE f.tenant_id = $1::uuid
  AND NOT EXISTS (SELECT FROM document_chunks c WHERE c.tenant_id = $1 AND c.chunk_no = f.chunk_no)
