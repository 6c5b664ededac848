-- The reference design's table, indexes and function as written, in a schema of their own, with its row-level security.
DROP SCHEMA IF EXISTS reference CASCADE;
CREATE SCHEMA reference;
SET search_path = reference, public;
CREATE TABLE documents (
    id uuid PRIMARY KEY, tenant_id uuid NOT NULL, title text NOT NULL, content text NOT NULL, embedding vector(DIMENSIONS)
);
INSERT INTO documents SELECT id, tenant_id, title, content, embedding FROM public.documents;
CREATE INDEX idx_documents_tenant_id ON documents (tenant_id);
CREATE INDEX idx_documents_embedding ON documents USING ivfflat (embedding vector_cosine_ops) WITH (lists = 100);
CREATE INDEX idx_documents_content_fts ON documents USING gin (to_tsvector('english', content));
CREATE INDEX idx_documents_title_fts ON documents USING gin (to_tsvector('english', title));
ALTER TABLE documents ENABLE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation_policy ON documents FOR ALL
    USING (tenant_id = current_setting('app.current_tenant_id', true)::uuid);
CREATE FUNCTION hybrid_search(
    p_tenant_id uuid, p_query text, p_query_embedding vector, p_limit integer DEFAULT 10,
    p_bm25_weight float DEFAULT 0.5, p_vector_weight float DEFAULT 0.5
) RETURNS TABLE (id uuid, title text, content text, combined_score float, bm25_score float, vector_score float) AS $$
BEGIN
    RETURN QUERY
    WITH bm25_results AS (
        SELECT d.id,
               ts_rank_cd(to_tsvector('english', d.content), plainto_tsquery('english', p_query)) AS bm25_score,
               ROW_NUMBER() OVER (ORDER BY ts_rank_cd(to_tsvector('english', d.content), plainto_tsquery('english', p_query)) DESC) AS bm25_rank
        FROM documents d
        WHERE d.tenant_id = p_tenant_id AND to_tsvector('english', d.content) @@ plainto_tsquery('english', p_query)
    ), vector_results AS (
        SELECT d.id, 1 - (d.embedding <=> p_query_embedding) AS vector_score,
               ROW_NUMBER() OVER (ORDER BY d.embedding <=> p_query_embedding) AS vector_rank
        FROM documents d
        WHERE d.tenant_id = p_tenant_id AND d.embedding IS NOT NULL
    ), combined AS (
        SELECT COALESCE(b.id, v.id) AS id,
               (COALESCE(1.0 / (60 + b.bm25_rank), 0) * p_bm25_weight + COALESCE(1.0 / (60 + v.vector_rank), 0) * p_vector_weight)::float AS combined_score,
               COALESCE(b.bm25_score, 0)::float AS bm25_score, COALESCE(v.vector_score, 0)::float AS vector_score
        FROM bm25_results b FULL OUTER JOIN vector_results v ON b.id = v.id
    )
    SELECT d.id, d.title, d.content, c.combined_score, c.bm25_score, c.vector_score
    FROM combined c JOIN documents d ON d.id = c.id
    ORDER BY c.combined_score DESC LIMIT p_limit;
END;
$$ LANGUAGE plpgsql STABLE;
ANALYZE documents;
GRANT USAGE ON SCHEMA reference TO bailiwick_app;
GRANT SELECT ON documents TO bailiwick_app;
