-- maintenance/rebuild
-- The index of a tenant made anew from its documents: all of it fresh. Its row in tenant_usage is locked, so writers wait.
WITH blocks AS (
    DELETE FROM posting_blocks WHERE tenant_id = $1::uuid
), segments AS (
    DELETE FROM chunk_segments WHERE tenant_id = $1
), tombstones AS (
    DELETE FROM chunk_tombstones WHERE tenant_id = $1
), entries AS (
    SELECT c.chunk_no, c.ordinal, entry.length, entry.terms
    FROM documents d
    JOIN document_chunks c ON c.tenant_id = $1 AND c.document_id = d.id
    CROSS JOIN LATERAL chunk_entry(d.language, d.title, substr(d.content, c.char_start + 1, c.char_end - c.char_start),
                                   document_facets(d.source, d.language, d.metadata)) AS entry
    WHERE d.tenant_id = $1
), fresh AS (
    INSERT INTO fresh_postings (tenant_id, chunk_no, ordinal, length, terms)
    SELECT $1, chunk_no, ordinal, length, terms FROM entries
    ON CONFLICT (tenant_id, chunk_no) DO UPDATE SET ordinal = excluded.ordinal, length = excluded.length, terms = excluded.terms
    RETURNING length
), spoken AS (
    INSERT INTO tenant_languages (tenant_id, language)
    SELECT DISTINCT $1, language FROM documents WHERE tenant_id = $1
    ON CONFLICT DO NOTHING
), state AS (
    INSERT INTO index_state (tenant_id, purged_chunks)
    SELECT $1, buried_chunks FROM tenant_usage WHERE tenant_id = $1
    ON CONFLICT (tenant_id) DO UPDATE SET merged_through = 0, purged_chunks = excluded.purged_chunks
)
UPDATE tenant_usage
SET chunk_count = (SELECT count(*) FROM fresh), total_length = (SELECT coalesce(sum(length), 0) FROM fresh)
WHERE tenant_id = $1
RETURNING chunk_count
