-- Hybrid search for people with psql: the ranking of the tool, scored in SQL.
SET LOCAL ROLE bailiwick_owner;

CREATE FUNCTION hybrid_search(
    p_tenant_id uuid,
    p_query text,
    p_query_embedding vector,
    p_limit integer DEFAULT 10,
    p_bm25_weight double precision DEFAULT 0.5,
    p_vector_weight double precision DEFAULT 0.5
) RETURNS TABLE (
    id uuid, title text, content text,
    combined_score double precision, bm25_score double precision, vector_score double precision
)
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    WITH collection AS (
        SELECT u.chunk_count::double precision AS chunks, u.total_length::double precision / nullif(u.chunk_count, 0) AS mean_length
        FROM tenant_usage u WHERE u.tenant_id = p_tenant_id
    ), terms AS MATERIALIZED (
        SELECT t.lexeme, t.frequency FROM query_terms(p_tenant_id, p_query) AS t WHERE p_bm25_weight > 0
    ), postings AS MATERIALIZED (
        SELECT f.chunk_no, f.ordinal, f.length, p.lexeme, p.frequency
        FROM fresh_postings f
        CROSS JOIN LATERAL unnest(f.lexemes, f.frequencies) AS p (lexeme, frequency)
        WHERE f.tenant_id = p_tenant_id AND p.lexeme IN (SELECT terms.lexeme FROM terms)
    ), idf AS (
        SELECT t.lexeme, t.frequency, ln(1 + (c.chunks - count(p.chunk_no) + 0.5) / (count(p.chunk_no) + 0.5)) AS weight
        FROM terms t CROSS JOIN collection c LEFT JOIN postings p ON p.lexeme = t.lexeme
        GROUP BY t.lexeme, t.frequency, c.chunks
    ), bm25_chunks AS (
        -- Robertson and Zaragoza (2009) with k1 = 1.2, b = 0.75, without the constant factor k1 + 1, as in Lucene.
        SELECT p.chunk_no, p.ordinal,
               sum(idf.weight * idf.frequency * p.frequency
                   / (p.frequency + 1.2 * (0.25 + 0.75 * p.length / c.mean_length))) AS score
        FROM postings p JOIN idf ON idf.lexeme = p.lexeme CROSS JOIN collection c
        GROUP BY p.chunk_no, p.ordinal
    ), bm25_documents AS (
        SELECT first_chunk_no, score, row_number() OVER (ORDER BY score DESC, first_chunk_no) AS rank
        FROM (SELECT chunk_no - ordinal AS first_chunk_no, max(score) AS score FROM bm25_chunks GROUP BY 1) AS best
        ORDER BY score DESC, first_chunk_no LIMIT 100
    ), vector_documents AS (
        SELECT first_chunk_no, score, row_number() OVER (ORDER BY score DESC, first_chunk_no) AS rank
        FROM (
            SELECT c.chunk_no - c.ordinal AS first_chunk_no, max(1 - (c.embedding <=> l2_normalize(p_query_embedding)::halfvec)) AS score
            FROM document_chunks c
            WHERE c.tenant_id = p_tenant_id AND c.embedding IS NOT NULL AND p_query_embedding IS NOT NULL AND p_vector_weight > 0
              -- Vectors of different models are never compared: p_query_embedding is of the newest.
              AND c.embedding_model_id = (SELECT max(m.id) FROM embedding_models m)
            GROUP BY 1
        ) AS best
        ORDER BY score DESC, first_chunk_no LIMIT 100
    ), fused AS (
        -- Reciprocal Rank Fusion (Cormack, Clarke and Buettcher 2009) with k = 60; a side without the document adds nothing.
        SELECT coalesce(b.first_chunk_no, v.first_chunk_no) AS first_chunk_no,
               coalesce(p_bm25_weight / (60 + b.rank), 0) + coalesce(p_vector_weight / (60 + v.rank), 0) AS combined_score,
               b.score AS bm25_score, v.score AS vector_score
        FROM bm25_documents b FULL JOIN vector_documents v ON v.first_chunk_no = b.first_chunk_no
    )
    SELECT d.id, d.title, d.content, f.combined_score, f.bm25_score, f.vector_score
    FROM fused f
    JOIN document_chunks c ON c.tenant_id = p_tenant_id AND c.chunk_no = f.first_chunk_no
    JOIN documents d ON d.tenant_id = p_tenant_id AND d.id = c.document_id
    ORDER BY f.combined_score DESC, f.first_chunk_no
    LIMIT p_limit
$$;
COMMENT ON FUNCTION hybrid_search(uuid, text, vector, integer, double precision, double precision) IS
    'BM25 and vector similarity fused by Reciprocal Rank Fusion, for the tenant of the transaction''s context. A side''s score is NULL where the document is not among its 100 best.';
GRANT EXECUTE ON FUNCTION hybrid_search(uuid, text, vector, integer, double precision, double precision) TO bailiwick_app;
