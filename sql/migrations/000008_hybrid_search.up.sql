-- Hybrid search for people with psql: the ranking of the tool, scored in SQL.
SET LOCAL ROLE bailiwick_owner;

CREATE FUNCTION block_postings(p_postings bytea, p_lexeme text)
RETURNS TABLE (chunk_no integer, ordinal integer, frequency integer, length integer)
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    v_at integer := 5; -- behind version and checksum
    v_wanted bytea := convert_to(p_lexeme, 'UTF8');
    v_lexeme bytea := '';
    v_numbers bigint[];
    v_number bigint;
    v_shift integer;
    v_byte integer;
    v_stop integer;
    v_chunk_no bigint := 0;
    v_next integer;
BEGIN
    WHILE v_at < octet_length(p_postings) LOOP
        -- An entry: bytes shared with the lexeme before, bytes of its own, those bytes, size of the list, number of postings.
        v_numbers := '{}';
        WHILE cardinality(v_numbers) < 4 LOOP
            v_number := 0; v_shift := 0;
            LOOP
                v_byte := get_byte(p_postings, v_at);
                v_at := v_at + 1;
                v_number := v_number | ((v_byte & 127)::bigint << v_shift);
                EXIT WHEN v_byte < 128;
                v_shift := v_shift + 7;
            END LOOP;
            v_numbers := v_numbers || v_number;
            IF cardinality(v_numbers) = 2 THEN
                v_lexeme := substr(v_lexeme, 1, v_numbers[1]::integer) || substr(p_postings, v_at + 1, v_numbers[2]::integer);
                v_at := v_at + v_numbers[2]::integer;
            END IF;
        END LOOP;
        EXIT WHEN v_lexeme > v_wanted;
        v_stop := v_at + v_numbers[3]::integer;
        IF v_lexeme = v_wanted THEN
            v_next := 0;
            WHILE v_at < v_stop LOOP
                v_number := 0; v_shift := 0;
                LOOP
                    v_byte := get_byte(p_postings, v_at);
                    v_at := v_at + 1;
                    v_number := v_number | ((v_byte & 127)::bigint << v_shift);
                    EXIT WHEN v_byte < 128;
                    v_shift := v_shift + 7;
                END LOOP;
                -- A posting: distance from the chunk before, with two flags; length; ordinal and frequency where flagged.
                IF v_next = 0 THEN
                    v_chunk_no := v_chunk_no + (v_number >> 2);
                    v_numbers[4] := v_number & 3;
                    v_next := 1;
                ELSIF v_next = 1 THEN
                    chunk_no := v_chunk_no; ordinal := 0; frequency := 1; length := v_number;
                    v_next := CASE WHEN v_numbers[4] & 2 > 0 THEN 2 WHEN v_numbers[4] & 1 > 0 THEN 3 ELSE 0 END;
                ELSIF v_next = 2 THEN
                    ordinal := v_number;
                    v_next := CASE WHEN v_numbers[4] & 1 > 0 THEN 3 ELSE 0 END;
                ELSE
                    frequency := v_number;
                    v_next := 0;
                END IF;
                IF v_next = 0 THEN
                    RETURN NEXT;
                END IF;
            END LOOP;
            EXIT;
        END IF;
        v_at := v_stop;
    END LOOP;
END
$$;
COMMENT ON FUNCTION block_postings(bytea, text) IS 'The postings of one lexeme in a block of posting_blocks.';
GRANT EXECUTE ON FUNCTION block_postings(bytea, text) TO bailiwick_app;

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
        SELECT f.chunk_no, f.ordinal, f.length, held.lexeme, held.positions[1]::integer AS frequency
        FROM fresh_postings f
        CROSS JOIN LATERAL unnest(f.terms) AS held
        WHERE f.tenant_id = p_tenant_id AND held.lexeme IN (SELECT terms.lexeme FROM terms)
        UNION ALL
        SELECT p.chunk_no, p.ordinal, p.length, t.lexeme, p.frequency
        FROM terms t
        CROSS JOIN LATERAL (
            SELECT b.postings FROM posting_blocks b WHERE b.tenant_id = p_tenant_id AND b.first_lexeme = t.lexeme
            UNION ALL
            -- The lexeme may begin in the block before the first that begins with it.
            (SELECT b.postings FROM posting_blocks b
             WHERE b.tenant_id = p_tenant_id AND b.first_lexeme < t.lexeme
             ORDER BY b.first_lexeme DESC, b.first_chunk_no DESC LIMIT 1)
        ) AS block
        CROSS JOIN LATERAL block_postings(block.postings, t.lexeme) AS p
        WHERE NOT EXISTS (SELECT FROM chunk_tombstones d WHERE d.tenant_id = p_tenant_id AND d.chunk_no = p.chunk_no)
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
        ORDER BY score DESC, first_chunk_no LIMIT 200
    ), vector_documents AS (
        SELECT first_chunk_no, score, row_number() OVER (ORDER BY score DESC, first_chunk_no) AS rank
        FROM (
            SELECT c.chunk_no - c.ordinal AS first_chunk_no, max(1 - (c.embedding <=> l2_normalize(p_query_embedding)::halfvec)) AS score
            FROM document_chunks c
            WHERE c.tenant_id = p_tenant_id AND c.embedding IS NOT NULL AND p_query_embedding IS NOT NULL AND p_vector_weight > 0
              -- Vectors of different models are never compared: p_query_embedding is of the tenant's newest.
              AND c.embedding_model_id = (SELECT max(own.embedding_model_id) FROM document_chunks own WHERE own.tenant_id = p_tenant_id)
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
    'BM25 and vector similarity fused by Reciprocal Rank Fusion, for the tenant of the transaction''s context. A side''s score is NULL where the document is not among its best, 200 by words and 100 by vectors.';
GRANT EXECUTE ON FUNCTION hybrid_search(uuid, text, vector, integer, double precision, double precision) TO bailiwick_app;
