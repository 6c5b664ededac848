-- documents/list
-- One page. It is planned for its own parameters: what they rule out falls away, and the order that is left is that of an index.
-- $8 is the order, $9 whether it is descending; $10 to $13 are the last row of the page before.
SELECT d.id, d.title, d.source, d.language, d.embedding_status, d.created_at, d.updated_at, octet_length(d.content) AS content_bytes,
       CASE WHEN octet_length(d.metadata::text) <= 1000 THEN d.metadata END AS metadata
FROM documents d
WHERE d.tenant_id = $1::uuid
  AND ($2::text IS NULL OR d.source COLLATE "C" = $2)
  AND ($3::jsonb IS NULL OR d.metadata @> $3)
  AND ($4::timestamptz IS NULL OR d.created_at >= $4)
  AND ($5::timestamptz IS NULL OR d.created_at < $5)
  AND ($6::timestamptz IS NULL OR d.updated_at >= $6)
  AND ($7::text IS NULL OR d.language = $7)
  AND ($10::uuid IS NULL OR $8::text <> 'created_at' OR $9::boolean OR (d.created_at, d.id) > ($11::timestamptz, $10))
  AND ($10 IS NULL OR $8 <> 'created_at' OR NOT $9 OR (d.created_at, d.id) < ($11, $10))
  AND ($10 IS NULL OR $8 <> 'updated_at' OR $9 OR (d.updated_at, d.id) > ($11, $10))
  AND ($10 IS NULL OR $8 <> 'updated_at' OR NOT $9 OR (d.updated_at, d.id) < ($11, $10))
  AND ($10 IS NULL OR $8 <> 'title' OR $9 OR (d.title COLLATE "C", d.id) > ($12::text, $10))
  AND ($10 IS NULL OR $8 <> 'title' OR NOT $9 OR (d.title COLLATE "C", d.id) < ($12, $10))
ORDER BY CASE WHEN $8 = 'created_at' AND NOT $9 THEN d.created_at END,
         CASE WHEN $8 = 'created_at' AND $9 THEN d.created_at END DESC,
         CASE WHEN $8 = 'updated_at' AND NOT $9 THEN d.updated_at END,
         CASE WHEN $8 = 'updated_at' AND $9 THEN d.updated_at END DESC,
         CASE WHEN $8 = 'title' AND NOT $9 THEN d.title END COLLATE "C",
         CASE WHEN $8 = 'title' AND $9 THEN d.title END COLLATE "C" DESC,
         CASE WHEN NOT $9 THEN d.id END,
         CASE WHEN $9 THEN d.id END DESC
LIMIT $13::integer
