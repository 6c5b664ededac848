-- The inverted index: how text becomes terms, where postings live, and the triggers that keep them.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE fresh_postings (
    tenant_id uuid NOT NULL,
    chunk_no  integer NOT NULL,
    ordinal   integer NOT NULL,
    length    integer NOT NULL,
    terms     tsvector NOT NULL,
    PRIMARY KEY (tenant_id, chunk_no)
);
COMMENT ON TABLE fresh_postings IS
    'The terms of chunks that are not merged into posting blocks yet: one row a chunk, searchable in the transaction that wrote it.';
COMMENT ON COLUMN fresh_postings.length IS 'Number of terms of the chunk, title terms counted three times.';
COMMENT ON COLUMN fresh_postings.terms IS 'Each term with one position: not where it stands but how often.';

CREATE TABLE posting_blocks (
    tenant_id      uuid NOT NULL,
    first_lexeme   text COLLATE "C" NOT NULL,
    first_chunk_no integer NOT NULL,
    lexeme_count   integer NOT NULL,
    posting_count  integer NOT NULL,
    postings       bytea NOT NULL,
    PRIMARY KEY (tenant_id, first_lexeme, first_chunk_no),
    CONSTRAINT posting_blocks_not_empty CHECK (lexeme_count > 0 AND posting_count >= lexeme_count)
    -- Two blocks fill a page; they are never compressed again nor moved out of it.
) WITH (toast_tuple_target = 8160);
ALTER TABLE posting_blocks ALTER COLUMN postings SET STORAGE PLAIN;
COMMENT ON TABLE posting_blocks IS
    'Merged postings in the order of lexeme and chunk number, cut into blocks like the leaves of a B-tree: a common lexeme fills many blocks, rare ones share one. A block holds what lies from its own first key to the next block''s.';
COMMENT ON COLUMN posting_blocks.postings IS 'Format and checksum: src/search/postings/block.rs.';

CREATE TABLE chunk_segments (
    tenant_id  uuid NOT NULL,
    segment_no integer NOT NULL,
    lengths    integer[] NOT NULL,
    PRIMARY KEY (tenant_id, segment_no)
);
COMMENT ON TABLE chunk_segments IS
    'Lengths of the merged chunks from segment_no * 1024 on, so that a deletion can give back exactly what it takes from the mean.';

CREATE TABLE chunk_tombstones (
    tenant_id  uuid NOT NULL,
    chunk_no   integer NOT NULL,
    deleted_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, chunk_no)
);
COMMENT ON TABLE chunk_tombstones IS 'Deleted chunks whose postings still stand in blocks.';

CREATE TABLE index_state (
    tenant_id      uuid PRIMARY KEY REFERENCES tenants (id) ON DELETE CASCADE,
    merged_through integer NOT NULL DEFAULT 0,
    purged_chunks  bigint NOT NULL DEFAULT 0,
    merged_at      timestamptz,
    purged_at      timestamptz
);
COMMENT ON TABLE index_state IS 'How far maintenance has come with a tenant''s index; written by maintenance alone.';
COMMENT ON COLUMN index_state.merged_through IS 'No chunk up to this number can be new: numbers are given out in the order of commits.';
COMMENT ON COLUMN index_state.purged_chunks IS 'Of tenant_usage.buried_chunks, those whose tombstones are gone.';

SELECT protect_tenant_table('fresh_postings'), protect_tenant_table('posting_blocks'), protect_tenant_table('chunk_segments'),
       protect_tenant_table('chunk_tombstones'), protect_tenant_table('index_state');
GRANT SELECT ON fresh_postings, posting_blocks, chunk_tombstones, index_state TO bailiwick_app;
GRANT SELECT, INSERT, DELETE ON fresh_postings TO bailiwick_definer;
GRANT SELECT, INSERT ON chunk_tombstones TO bailiwick_definer;
GRANT SELECT ON posting_blocks, chunk_segments, index_state TO bailiwick_definer;

CREATE FUNCTION estonian_configuration() RETURNS regconfig
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- It came with PostgreSQL 18.
    SELECT (CASE WHEN EXISTS (SELECT FROM pg_ts_config WHERE cfgname = 'estonian') THEN 'pg_catalog.estonian' ELSE 'pg_catalog.simple' END)::regconfig
$$;
COMMENT ON FUNCTION estonian_configuration() IS 'The text search configuration for Estonian, where there is one.';

-- The functions from here to chunk_entry() are written so that the planner can put their bodies in the place of their calls, which
-- is why they are not STRICT: called once a passage, each by itself cost more than what it computes.
CREATE FUNCTION text_search_configuration(p_language text) RETURNS regconfig
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- Constants, so that no name is looked up where a text is read.
    SELECT CASE p_language
        WHEN 'ar' THEN 'pg_catalog.arabic'::regconfig     WHEN 'hy' THEN 'pg_catalog.armenian'::regconfig   WHEN 'eu' THEN 'pg_catalog.basque'::regconfig
        WHEN 'ca' THEN 'pg_catalog.catalan'::regconfig    WHEN 'da' THEN 'pg_catalog.danish'::regconfig     WHEN 'nl' THEN 'pg_catalog.dutch'::regconfig
        WHEN 'en' THEN 'pg_catalog.english'::regconfig    WHEN 'fi' THEN 'pg_catalog.finnish'::regconfig    WHEN 'fr' THEN 'pg_catalog.french'::regconfig
        WHEN 'de' THEN 'pg_catalog.german'::regconfig     WHEN 'el' THEN 'pg_catalog.greek'::regconfig      WHEN 'hi' THEN 'pg_catalog.hindi'::regconfig
        WHEN 'hu' THEN 'pg_catalog.hungarian'::regconfig  WHEN 'id' THEN 'pg_catalog.indonesian'::regconfig WHEN 'ga' THEN 'pg_catalog.irish'::regconfig
        WHEN 'it' THEN 'pg_catalog.italian'::regconfig    WHEN 'lt' THEN 'pg_catalog.lithuanian'::regconfig WHEN 'ne' THEN 'pg_catalog.nepali'::regconfig
        WHEN 'no' THEN 'pg_catalog.norwegian'::regconfig  WHEN 'pt' THEN 'pg_catalog.portuguese'::regconfig WHEN 'ro' THEN 'pg_catalog.romanian'::regconfig
        WHEN 'ru' THEN 'pg_catalog.russian'::regconfig    WHEN 'sr' THEN 'pg_catalog.serbian'::regconfig    WHEN 'es' THEN 'pg_catalog.spanish'::regconfig
        WHEN 'sv' THEN 'pg_catalog.swedish'::regconfig    WHEN 'ta' THEN 'pg_catalog.tamil'::regconfig      WHEN 'tr' THEN 'pg_catalog.turkish'::regconfig
        WHEN 'yi' THEN 'pg_catalog.yiddish'::regconfig
        WHEN 'et' THEN estonian_configuration()
        -- Latin words in Korean, Japanese and Chinese text are mostly English.
        WHEN 'ko' THEN 'pg_catalog.english'::regconfig    WHEN 'ja' THEN 'pg_catalog.english'::regconfig    WHEN 'zh' THEN 'pg_catalog.english'::regconfig
        ELSE 'pg_catalog.simple'::regconfig
    END
$$;
COMMENT ON FUNCTION text_search_configuration(text) IS 'The text search configuration (stemmer, stop words) for an ISO 639 language code.';

CREATE FUNCTION east_asian_runs() RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- Hangul, Kana and Han: characters that form words without spaces or with endings glued on.
    SELECT U&'[\1100-\11FF\3005-\3007\3040-\30FF\3130-\318F\31F0-\31FF\3400-\4DBF\4E00-\9FFF\A960-\A97F\AC00-\D7FF\F900-\FAFF\+020000-\+0323AF]+'
$$;
COMMENT ON FUNCTION east_asian_runs() IS 'A regular expression for runs of Hangul, Kana and Han.';

CREATE FUNCTION spaced_words(p_text text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- ASCII is in NFKC, and has nothing else to leave out.
    SELECT CASE WHEN octet_length(p_text) = length(p_text) THEN p_text
                ELSE regexp_replace(normalize(p_text, NFKC), east_asian_runs(), ' ', 'g') END
$$;
COMMENT ON FUNCTION spaced_words(text) IS 'The words of a text that have spaces between them, in NFKC: what is left without Hangul, Kana and Han.';

CREATE FUNCTION east_asian_pairs(p_text text) RETURNS TABLE (pair text)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- An array, so that the planner expects a few, and a text of ASCII costs nothing.
    SELECT pairs.pair
    FROM unnest(CASE WHEN octet_length(p_text) > length(p_text) THEN ARRAY(
        SELECT substr(run.matches[1], start, 2)
        FROM regexp_matches(normalize(p_text, NFKC), '(' || east_asian_runs() || ')', 'g') AS run (matches),
             generate_series(1, greatest(length(run.matches[1]) - 1, 1)) AS start
    ) END) AS pairs (pair)
$$;
COMMENT ON FUNCTION east_asian_pairs(text) IS
    'Each pair of neighbouring characters of the runs of Hangul, Kana and Han in a text, as often as it occurs; a lone character by itself.';

CREATE FUNCTION text_terms(p_language text, p_text text) RETURNS TABLE (lexeme text, frequency integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT word.lexeme, cardinality(word.positions)
    FROM unnest(to_tsvector(text_search_configuration(p_language), spaced_words(p_text))) AS word
    UNION ALL
    SELECT run.pair, count(*)::integer FROM east_asian_pairs(p_text) AS run GROUP BY run.pair
$$;
COMMENT ON FUNCTION text_terms(text, text) IS
    'The terms of a text and how often each occurs: stemmed words without stop words, and for Hangul, Han and Kana each pair of neighbouring characters (a lone character is a term by itself).';

CREATE FUNCTION chunk_terms(p_language text, p_title text, p_passage text) RETURNS TABLE (lexeme text, frequency integer)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- As text_terms() has it, with one grouping for all.
    SELECT terms.lexeme, sum(terms.frequency)::integer
    FROM (
        SELECT word.lexeme, cardinality(word.positions) AS frequency
        FROM unnest(to_tsvector(text_search_configuration(p_language), spaced_words(p_passage))) AS word
        UNION ALL
        SELECT run.pair, 1 FROM east_asian_pairs(p_passage) AS run
        UNION ALL
        SELECT word.lexeme, 3 * cardinality(word.positions)
        FROM unnest(to_tsvector(text_search_configuration(p_language), spaced_words(p_title))) AS word
        UNION ALL
        SELECT run.pair, 3 FROM east_asian_pairs(p_title) AS run
    ) AS terms
    GROUP BY terms.lexeme
$$;
COMMENT ON FUNCTION chunk_terms(text, text, text) IS 'The terms that a chunk is indexed by: those of its passage, and its document''s title counted three times.';

CREATE FUNCTION nested_facets(p_source text, p_language text, p_metadata jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    WITH RECURSIVE node (path, value) AS (
        SELECT '', p_metadata
        UNION ALL
        SELECT node.path || child.step, child.value
        FROM node CROSS JOIN LATERAL (
            SELECT '.' || to_json(field.key)::text AS step, field.value
            FROM jsonb_each(CASE jsonb_typeof(node.value) WHEN 'object' THEN node.value ELSE '{}' END) AS field
            UNION ALL
            SELECT '[]', element.value
            FROM jsonb_array_elements(CASE jsonb_typeof(node.value) WHEN 'array' THEN node.value ELSE '[]' END) AS element
        ) AS child
    ), facets (facet) AS (
        SELECT 'source=' || p_source WHERE p_source IS NOT NULL
        UNION ALL
        SELECT 'language=' || p_language WHERE p_language IS NOT NULL
        UNION
        -- Equal numbers have one form: 1.0 is 1.
        SELECT 'metadata' || path || '=' || CASE jsonb_typeof(value) WHEN 'number' THEN trim_scale(value::text::numeric)::text ELSE value::text END
        FROM node WHERE jsonb_typeof(value) NOT IN ('object', 'array')
    )
    -- U+0001 tells them from words; a hash keeps long values short.
    SELECT CASE WHEN count(*) > 200 THEN ARRAY[chr(1) || '*']
                ELSE coalesce(array_agg(chr(1) || left(md5(facet), 16)), '{}') END
    FROM facets
$$;
COMMENT ON FUNCTION nested_facets(text, text, jsonb) IS 'What document_facets() gives, of metadata with objects and arrays in it.';

CREATE FUNCTION document_facets(p_source text, p_language text, p_metadata jsonb) RETURNS text[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- Most metadata have nothing nested, and a walk of one level costs a fifth.
    SELECT CASE
        WHEN jsonb_typeof(p_metadata) <> 'object' OR jsonb_path_exists(p_metadata, 'strict $.* ? (@.type() == "object" || @.type() == "array")')
        THEN nested_facets(p_source, p_language, p_metadata)
        ELSE (
            SELECT CASE WHEN count(*) > 200 THEN ARRAY[chr(1) || '*'] ELSE coalesce(array_agg(chr(1) || left(md5(facet), 16)), '{}') END
            FROM (
                SELECT 'source=' || p_source AS facet WHERE p_source IS NOT NULL
                UNION ALL
                SELECT 'language=' || p_language WHERE p_language IS NOT NULL
                UNION ALL
                SELECT 'metadata.' || to_json(field.key)::text || '='
                       || CASE jsonb_typeof(field.value) WHEN 'number' THEN trim_scale(field.value::text::numeric)::text ELSE field.value::text END
                FROM jsonb_each(p_metadata) AS field
            ) AS facets
        )
    END
$$;
COMMENT ON FUNCTION document_facets(text, text, jsonb) IS
    'What a document can be filtered by, as terms of the index: source, language and each scalar of its metadata under its path. A filter passes no document that lacks one of the filter''s own facets. A document with more than 200 has the one term U+0001 * instead, and must be looked at.';

CREATE FUNCTION chunk_entry(p_language text, p_title text, p_passage text, p_facets text[]) RETURNS TABLE (length integer, terms tsvector)
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    -- Written out as text: inside its quotes a quote is doubled and a backslash escaped.
    SELECT coalesce(sum(t.frequency), 0)::integer,
           (coalesce(string_agg('''' || replace(replace(t.lexeme, '\', '\\'), '''', '''''') || ''':' || least(t.frequency, 16383), ' '), '')
            || coalesce((SELECT string_agg(' ''' || facet || ''':1', '') FROM unnest(p_facets) AS facet), ''))::tsvector
    -- OFFSET 0, so that what is given is computed once, wherever it stands above.
    FROM (SELECT p_language AS language, p_title AS title, p_passage AS passage OFFSET 0) AS given
    CROSS JOIN LATERAL chunk_terms(given.language, given.title, given.passage) AS t
$$;
COMMENT ON FUNCTION chunk_entry(text, text, text, text[]) IS
    'What fresh_postings keeps of a chunk: its length, and its terms with their frequencies in the place of positions. Facets are terms that count for no length.';

CREATE FUNCTION query_terms(p_tenant_id uuid, p_query text) RETURNS TABLE (lexeme text, frequency integer)
LANGUAGE sql STABLE STRICT PARALLEL SAFE
AS $$
    SELECT terms.lexeme, max(terms.frequency)
    FROM tenant_languages AS spoken
    CROSS JOIN LATERAL text_terms(spoken.language, p_query) AS terms
    WHERE spoken.tenant_id = p_tenant_id
    GROUP BY terms.lexeme
$$;
COMMENT ON FUNCTION query_terms(uuid, text) IS 'The terms of a query, analysed in every language that the tenant''s documents are in.';
GRANT EXECUTE ON FUNCTION estonian_configuration(), text_search_configuration(text), east_asian_runs(), spaced_words(text), east_asian_pairs(text), text_terms(text, text), query_terms(uuid, text), chunk_terms(text, text, text), nested_facets(text, text, jsonb), document_facets(text, text, jsonb), chunk_entry(text, text, text, text[]) TO bailiwick_app;
GRANT EXECUTE ON FUNCTION estonian_configuration(), text_search_configuration(text), east_asian_runs(), spaced_words(text), east_asian_pairs(text), text_terms(text, text), chunk_terms(text, text, text), nested_facets(text, text, jsonb), document_facets(text, text, jsonb), chunk_entry(text, text, text, text[]) TO bailiwick_definer;

CREATE FUNCTION cut_default_chunks(p_tenant_id uuid, p_document_ids uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    WITH windows AS MATERIALIZED (
        SELECT d.id, d.language, d.embedding, d.embedding_model, w.ordinal,
               w.ordinal * d.chars AS char_start, least((w.ordinal + 1) * d.chars, d.length) AS char_end,
               row_number() OVER (ORDER BY d.created_at, d.id, w.ordinal) AS place
        FROM (
            SELECT d.id, d.language, d.embedding, d.embedding_model, d.created_at, length(d.content) AS length,
                   -- What the model reads behind a title, estimated low; in languages that it does not know words count alone.
                   CASE WHEN m.longest_tokens IS NULL THEN 2000
                        ELSE least(2000, greatest(100, (m.longest_tokens - m.longest_tokens / 8 - 4)
                                                       * CASE WHEN d.language IN ('ko', 'ja', 'zh') THEN 1 ELSE 3 END)) END AS chars
            FROM documents d
            LEFT JOIN embedding_state s ON true
            LEFT JOIN embedding_models m ON m.id = s.current_model_id AND (m.languages IS NULL OR d.language = ANY (m.languages))
            WHERE d.tenant_id = p_tenant_id AND d.id = ANY (p_document_ids)
            OFFSET 0 -- so that a long text is measured once, and not once a window
        ) AS d
        CROSS JOIN LATERAL generate_series(0, (d.length - 1) / d.chars) AS w (ordinal)
    ), numbers AS MATERIALIZED (
        SELECT allocate_chunk_numbers(p_tenant_id, (SELECT count(*) FROM windows)::integer) AS first
        WHERE EXISTS (SELECT FROM windows)
    )
    INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding, embedding_model_id)
    SELECT p_tenant_id, numbers.first + (place - 1)::integer, id, ordinal, char_start, char_end, (char_end - char_start + 3) / 4,
           CASE WHEN ordinal = 0 THEN l2_normalize(embedding)::halfvec END,
           CASE WHEN ordinal = 0 AND embedding IS NOT NULL THEN register_embedding_model(coalesce(embedding_model, 'caller')) END
    FROM windows CROSS JOIN numbers
    ORDER BY place
$$;
COMMENT ON FUNCTION cut_default_chunks(uuid, uuid[]) IS
    'Chunks for documents that came without any (a row inserted by psql): windows of 2,000 characters, fewer where the embedding model reads fewer. The server cuts at sentences and headings instead.';

CREATE FUNCTION complete_new_documents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    PERFORM cut_default_chunks(bare.tenant_id, bare.ids)
    FROM (
        SELECT i.tenant_id, array_agg(i.id) AS ids
        FROM inserted i
        WHERE NOT EXISTS (SELECT FROM document_chunks c WHERE c.tenant_id = i.tenant_id AND c.document_id = i.id)
        GROUP BY i.tenant_id
    ) AS bare;
    -- Embedders are woken by the first document that waits, and go on until none does. To notify at each one would let
    -- commits queue for the one lock on notifications.
    IF EXISTS (SELECT FROM embedding_state WHERE current_model_id IS NOT NULL) THEN
        PERFORM FROM (SELECT DISTINCT i.tenant_id FROM inserted i WHERE i.embedding_status = 'pending') AS waits
        WHERE NOT EXISTS (SELECT FROM documents d WHERE d.tenant_id = waits.tenant_id AND d.embedding_status = 'pending'
                            AND d.id NOT IN (SELECT n.id FROM inserted n));
        IF FOUND THEN
            NOTIFY bailiwick_embedding;
        END IF;
    END IF;
    RETURN NULL;
END
$$;

CREATE FUNCTION follow_changed_documents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_changed record;
BEGIN
    FOR v_changed IN
        SELECT n.tenant_id,
               sum(octet_length(n.title) + octet_length(n.content) - octet_length(o.title) - octet_length(o.content)) AS bytes,
               -- Unless the writer says that it brings this document's new chunks itself (documents/rewrite).
               array_agg(n.id) FILTER (WHERE n.content IS DISTINCT FROM o.content
                                             AND n.id::text IS DISTINCT FROM current_setting('bailiwick.cut_document', true)) AS recut,
               array_agg(n.id) FILTER (WHERE n.content = o.content AND (n.title, n.source, n.language, n.metadata)
                                             IS DISTINCT FROM (o.title, o.source, o.language, o.metadata)) AS reindexed,
               array_agg(n.id) FILTER (WHERE n.embedding IS DISTINCT FROM o.embedding) AS embedded
        FROM changed_to n JOIN changed_from o ON o.tenant_id = n.tenant_id AND o.id = n.id
        GROUP BY n.tenant_id
    LOOP
        UPDATE tenant_usage u SET storage_bytes = u.storage_bytes + v_changed.bytes
        FROM tenants t
        WHERE u.tenant_id = v_changed.tenant_id AND t.id = v_changed.tenant_id AND v_changed.bytes <> 0
          AND (v_changed.bytes < 0 OR t.max_storage_mb IS NULL
               OR u.storage_bytes + v_changed.bytes <= t.max_storage_mb * 1048576::bigint);
        IF NOT FOUND AND v_changed.bytes <> 0 THEN
            RAISE EXCEPTION 'the change would add % bytes, more than the tenant may store', v_changed.bytes
                USING ERRCODE = 'BW002', HINT = 'Delete documents, or ask the operator for a larger max_storage_mb.';
        END IF;

        DELETE FROM document_chunks c
        WHERE c.tenant_id = v_changed.tenant_id AND c.document_id = ANY (v_changed.recut);
        PERFORM cut_default_chunks(v_changed.tenant_id, v_changed.recut) WHERE v_changed.recut IS NOT NULL;

        -- The same chunks with their vectors under new numbers, for postings of a number never change.
        WITH moved AS (
            DELETE FROM document_chunks c
            WHERE c.tenant_id = v_changed.tenant_id AND c.document_id = ANY (v_changed.reindexed)
            RETURNING c.*
        ), numbers AS MATERIALIZED (
            SELECT allocate_chunk_numbers(v_changed.tenant_id, (SELECT count(*) FROM moved)::integer) AS first
            WHERE EXISTS (SELECT FROM moved)
        )
        INSERT INTO document_chunks (tenant_id, chunk_no, document_id, ordinal, char_start, char_end, token_count, embedding, embedding_model_id, next_embedding, next_embedding_model_id)
        SELECT m.tenant_id, numbers.first + (row_number() OVER (ORDER BY m.chunk_no) - 1)::integer, m.document_id, m.ordinal,
               m.char_start, m.char_end, m.token_count,
               -- A title that changed was part of what was embedded.
               CASE WHEN n.title = o.title OR n.embedding_status <> 'pending' THEN m.embedding END,
               CASE WHEN n.title = o.title OR n.embedding_status <> 'pending' THEN m.embedding_model_id END,
               CASE WHEN n.title = o.title THEN m.next_embedding END, CASE WHEN n.title = o.title THEN m.next_embedding_model_id END
        FROM moved m
        JOIN changed_to n ON n.tenant_id = m.tenant_id AND n.id = m.document_id
        JOIN changed_from o ON o.tenant_id = m.tenant_id AND o.id = m.document_id
        CROSS JOIN numbers
        ORDER BY m.chunk_no;

        -- A vector for the whole document also stands for its only chunk; where a document has several, theirs are the embedder's.
        UPDATE document_chunks c
        SET embedding = l2_normalize(d.embedding)::halfvec,
            embedding_model_id = CASE WHEN d.embedding IS NOT NULL
                                      THEN register_embedding_model(coalesce(d.embedding_model, 'caller')) END
        FROM documents d
        WHERE c.tenant_id = v_changed.tenant_id AND c.document_id = ANY (v_changed.embedded) AND c.ordinal = 0
          AND d.tenant_id = v_changed.tenant_id AND d.id = c.document_id
          -- The embedder has just written the same one there.
          AND (d.embedding IS NULL OR c.embedding IS NULL
               OR c.embedding_model_id IS DISTINCT FROM (SELECT m.id FROM embedding_models m WHERE m.name = coalesce(d.embedding_model, 'caller'))
               OR c.embedding <=> l2_normalize(d.embedding)::halfvec > 1e-4)
          AND NOT EXISTS (SELECT FROM document_chunks o
                          WHERE o.tenant_id = v_changed.tenant_id AND o.document_id = c.document_id AND o.ordinal > 0);
    END LOOP;
    RETURN NULL;
END
$$;

CREATE FUNCTION index_ahead(p_tenant_id uuid, p_ordinals integer[], p_lengths integer[], p_terms tsvector[]) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    -- It takes the numbers itself, for what stands under a number is believed later to be of its chunk: nothing can be written
    -- under one that was given out before.
    v_first integer := allocate_chunk_numbers(p_tenant_id, cardinality(p_terms));
BEGIN
    INSERT INTO fresh_postings (tenant_id, chunk_no, ordinal, length, terms)
    SELECT p_tenant_id, v_first + (e.place - 1)::integer, e.ordinal, e.length, e.terms
    FROM unnest(p_ordinals, p_lengths, p_terms) WITH ORDINALITY AS e (ordinal, length, terms, place);
    RETURN v_first;
END
$$;
COMMENT ON FUNCTION index_ahead(uuid, integer[], integer[], tsvector[]) IS
    'Takes consecutive chunk numbers, writes under them what chunk_entry() gave for the chunks that the same statement stores, and returns the first. Their trigger leaves the postings as they are.';
GRANT EXECUTE ON FUNCTION index_ahead(uuid, integer[], integer[], tsvector[]) TO bailiwick_app;

CREATE FUNCTION index_new_chunks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    IF EXISTS (SELECT FROM inserted i JOIN index_state s ON s.tenant_id = i.tenant_id WHERE i.chunk_no <= s.merged_through) THEN
        RAISE EXCEPTION 'a chunk has a number that was given out before'
            USING ERRCODE = 'integrity_constraint_violation',
                  HINT = 'Take chunk numbers from allocate_chunk_numbers() in the transaction that stores the chunks.';
    END IF;
    -- Cutting a passage out of UTF-8 text walks it from its start: 4 ms for the last of a million characters. So a long
    -- document is first cut into blocks, and each passage out of its block.
    WITH ahead AS MATERIALIZED (
        SELECT f.tenant_id, f.chunk_no, f.length FROM inserted i JOIN fresh_postings f ON f.tenant_id = i.tenant_id AND f.chunk_no = i.chunk_no
    ), bare AS MATERIALIZED (
        SELECT i.* FROM inserted i WHERE NOT EXISTS (SELECT FROM ahead WHERE ahead.tenant_id = i.tenant_id AND ahead.chunk_no = i.chunk_no)
    ), touched AS (
        SELECT i.tenant_id, i.document_id, max(i.char_end) AS length, max(i.char_end - i.char_start) AS longest
        FROM bare i GROUP BY i.tenant_id, i.document_id
    ), blocks AS MATERIALIZED (
        SELECT t.tenant_id, t.document_id, d.language, d.title, document_facets(d.source, d.language, d.metadata) AS facets,
               b.no, substr(d.content, b.no * 16384 + 1, 16384 + t.longest) AS body
        FROM touched t
        JOIN documents d ON d.tenant_id = t.tenant_id AND d.id = t.document_id
        CROSS JOIN LATERAL generate_series(0, t.length / 16384) AS b (no)
    ), indexed AS (
        INSERT INTO fresh_postings (tenant_id, chunk_no, ordinal, length, terms)
        SELECT i.tenant_id, i.chunk_no, i.ordinal, entry.length, entry.terms
        FROM bare i
        JOIN blocks b ON b.tenant_id = i.tenant_id AND b.document_id = i.document_id AND b.no = i.char_start / 16384
        CROSS JOIN LATERAL chunk_entry(b.language, b.title, substr(b.body, i.char_start - b.no * 16384 + 1, i.char_end - i.char_start), b.facets) AS entry
        RETURNING tenant_id, length
    )
    UPDATE tenant_usage u
    SET chunk_count = u.chunk_count + added.chunks, total_length = u.total_length + added.length
    FROM (
        SELECT x.tenant_id, count(*) AS chunks, sum(x.length) AS length
        FROM (SELECT tenant_id, length FROM indexed UNION ALL SELECT tenant_id, length FROM ahead) AS x
        GROUP BY x.tenant_id
    ) AS added
    WHERE u.tenant_id = added.tenant_id;

    INSERT INTO tenant_languages (tenant_id, language)
    SELECT DISTINCT d.tenant_id, d.language
    FROM inserted i JOIN documents d ON d.tenant_id = i.tenant_id AND d.id = i.document_id
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;

CREATE FUNCTION forget_deleted_chunks() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_tenant record;
    v_fresh_length bigint;
    v_fresh integer[];
    v_merged integer[];
    v_merged_length bigint;
BEGIN
    FOR v_tenant IN
        SELECT d.tenant_id, array_agg(d.chunk_no) AS chunk_nos FROM deleted d GROUP BY d.tenant_id ORDER BY d.tenant_id
    LOOP
        -- First the row that every writer takes: a rebuild holds it, and what is deleted meanwhile must see what it made.
        PERFORM FROM tenant_usage u WHERE u.tenant_id = v_tenant.tenant_id FOR UPDATE;
        WITH gone AS (
            DELETE FROM fresh_postings f
            WHERE f.tenant_id = v_tenant.tenant_id AND f.chunk_no = ANY (v_tenant.chunk_nos)
            RETURNING f.chunk_no, f.length
        )
        SELECT coalesce(array_agg(gone.chunk_no), '{}'), coalesce(sum(gone.length), 0) INTO v_fresh, v_fresh_length FROM gone;

        -- In a statement of its own, so with a snapshot of its own: what was not fresh may have been merged a moment ago,
        -- while the deletion above waited for the merge.
        WITH merged AS (
            SELECT c.chunk_no, s.lengths[c.chunk_no % 1024 + 1] AS length
            FROM unnest(v_tenant.chunk_nos) AS c (chunk_no)
            LEFT JOIN chunk_segments s ON s.tenant_id = v_tenant.tenant_id AND s.segment_no = c.chunk_no / 1024
            WHERE c.chunk_no NOT IN (SELECT unnest(v_fresh))
        )
        SELECT coalesce(array_agg(merged.chunk_no), '{}'), coalesce(sum(merged.length), 0) INTO v_merged, v_merged_length FROM merged;
        INSERT INTO chunk_tombstones (tenant_id, chunk_no) SELECT v_tenant.tenant_id, unnest(v_merged);

        UPDATE tenant_usage u
        SET chunk_count = u.chunk_count - cardinality(v_tenant.chunk_nos),
            total_length = u.total_length - v_fresh_length - v_merged_length,
            buried_chunks = u.buried_chunks + cardinality(v_merged)
        WHERE u.tenant_id = v_tenant.tenant_id;
    END LOOP;
    RETURN NULL;
END
$$;

-- They fire in the order of their names: counted (000003) before chunks are cut, so that a full tenant is refused first.
CREATE TRIGGER documents_20_complete_new AFTER INSERT ON documents
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION complete_new_documents();
CREATE TRIGGER documents_30_follow_changed AFTER UPDATE ON documents
    REFERENCING OLD TABLE AS changed_from NEW TABLE AS changed_to FOR EACH STATEMENT EXECUTE FUNCTION follow_changed_documents();
CREATE TRIGGER document_chunks_10_index_new AFTER INSERT ON document_chunks
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION index_new_chunks();
CREATE TRIGGER document_chunks_20_forget_deleted AFTER DELETE ON document_chunks
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION forget_deleted_chunks();

-- From one embedding model to the next. Both run as the schema's owner, for they change tables; the server's role may not.
CREATE FUNCTION prepare_next_embeddings(p_model_id smallint) RETURNS void
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    v_dimensions integer := (SELECT dimensions FROM embedding_models WHERE id = p_model_id);
BEGIN
    IF (SELECT next_model_id FROM embedding_state) = p_model_id THEN
        RETURN; -- begun before: it goes on
    END IF;
    UPDATE embedding_state SET next_model_id = p_model_id;
    EXECUTE format('ALTER TABLE documents DROP COLUMN next_embedding, ADD COLUMN next_embedding vector(%s)', v_dimensions);
    EXECUTE format('ALTER TABLE document_chunks DROP COLUMN next_embedding, ADD COLUMN next_embedding halfvec(%s)', v_dimensions);
    -- Beside the other one there may be no room for it in a page.
    ALTER TABLE document_chunks ALTER COLUMN next_embedding SET STORAGE MAIN;
    COMMENT ON COLUMN documents.next_embedding IS 'While the database moves to another model: the document by that model.';
    COMMENT ON COLUMN document_chunks.next_embedding IS 'While the database moves to another model: the passage by that model, beside the vector that is searched.';
END
$$;
COMMENT ON FUNCTION prepare_next_embeddings(smallint) IS 'Makes room for the vectors of another model beside those that are searched.';

CREATE FUNCTION switch_embedding_model() RETURNS smallint
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '100ms'
AS $$
DECLARE
    v_next embedding_models;
    v_index record;
BEGIN
    -- Searches take the two in one order and inserts in the other. Whoever is in the way ends soon, or this gives up before
    -- anybody is called a deadlock, and is tried again.
    LOCK TABLE documents, document_chunks IN ACCESS EXCLUSIVE MODE;
    SELECT m.* INTO v_next FROM embedding_state s JOIN embedding_models m ON m.id = s.next_model_id FOR UPDATE OF s;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the database is not moving to another embedding model' USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- All of it changes the catalog alone, so that it takes milliseconds. The old vectors' indexes go with their column.
    ALTER TABLE documents DROP COLUMN embedding;
    ALTER TABLE documents RENAME COLUMN next_embedding TO embedding;
    ALTER TABLE documents RENAME COLUMN embedding_model TO spare;
    ALTER TABLE documents RENAME COLUMN next_embedding_model TO embedding_model;
    ALTER TABLE documents RENAME COLUMN spare TO next_embedding_model;
    EXECUTE format('ALTER TABLE documents ADD COLUMN next_embedding vector(%s)', v_next.dimensions);
    ALTER TABLE document_chunks DROP COLUMN embedding;
    ALTER TABLE document_chunks RENAME COLUMN next_embedding TO embedding;
    ALTER TABLE document_chunks RENAME COLUMN embedding_model_id TO spare;
    ALTER TABLE document_chunks RENAME COLUMN next_embedding_model_id TO embedding_model_id;
    ALTER TABLE document_chunks RENAME COLUMN spare TO next_embedding_model_id;
    EXECUTE format('ALTER TABLE document_chunks ADD COLUMN next_embedding halfvec(%s)', v_next.dimensions);
    ALTER TABLE document_chunks ALTER COLUMN embedding SET STORAGE PLAIN;
    ALTER TABLE document_chunks ALTER COLUMN next_embedding SET STORAGE MAIN;
    FOR v_index IN SELECT c.relname FROM pg_class c
                   WHERE c.relkind = 'i' AND c.relname LIKE 'hnsw\_next\_%' AND c.relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('ALTER INDEX %I RENAME TO %I', v_index.relname, replace(v_index.relname, 'hnsw_next_', 'hnsw_'));
    END LOOP;
    COMMENT ON COLUMN documents.embedding IS
        'The document as a whole: the caller''s own vector, or the normalised mean of its chunks'' vectors. NULL until it is embedded.';
    COMMENT ON COLUMN documents.embedding_model IS 'Name of the model of embedding, as in embedding_models.';
    COMMENT ON COLUMN documents.next_embedding IS 'While the database moves to another model: the document by that model.';
    COMMENT ON COLUMN document_chunks.embedding IS
        'Unit vector of the passage. A vector that a caller gave for a whole document stands at its first chunk.';
    COMMENT ON COLUMN document_chunks.next_embedding IS 'While the database moves to another model: the passage by that model, beside the vector that is searched.';
    UPDATE embedding_state SET current_model_id = v_next.id, next_model_id = NULL;
    -- Servers of either model are to know at once.
    NOTIFY bailiwick_embedding;
    RETURN v_next.id;
END
$$;
COMMENT ON FUNCTION switch_embedding_model() IS 'Puts the next model''s vectors in the place of those that were searched, which are dropped: for every search at once.';

-- Last, for whoever makes a trigger must be allowed to execute its function.
DO $own$
DECLARE
    v_function text;
BEGIN
    FOREACH v_function IN ARRAY ARRAY[
        'cut_default_chunks(uuid, uuid[])', 'complete_new_documents()', 'follow_changed_documents()',
        'index_new_chunks()', 'index_ahead(uuid, integer[], integer[], tsvector[])', 'forget_deleted_chunks()'
    ] LOOP
        EXECUTE format('ALTER FUNCTION %s OWNER TO bailiwick_definer', v_function);
    END LOOP;
END
$own$;
