-- maintenance/vector_index
-- A tenant's partition of document_chunks, and the state of its vector index by its name.
SELECT p.relname::text AS partition, i.indisvalid AS is_valid
FROM pg_inherits h
JOIN pg_class p ON p.oid = h.inhrelid
LEFT JOIN pg_class c ON c.relname = $2::text AND c.relnamespace = p.relnamespace
LEFT JOIN pg_index i ON i.indexrelid = c.oid
WHERE h.inhparent = 'document_chunks'::regclass
  AND satisfies_hash_partition(h.inhparent, 32, substr(p.relname::text, length('document_chunks_p') + 1)::integer, $1::uuid)
