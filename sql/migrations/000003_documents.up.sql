-- Documents and the chunks that are retrieved.
SET LOCAL ROLE bailiwick_owner;

CREATE TABLE embedding_models (
    id         smallint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name       text NOT NULL,
    dimensions integer NOT NULL,
    provider   text NOT NULL DEFAULT 'caller',
    languages  text[],
    prompt_style text NOT NULL DEFAULT 'none',
    longest_tokens integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT embedding_models_name_unique UNIQUE (name),
    CONSTRAINT embedding_models_name_length CHECK (length(name) BETWEEN 1 AND 200),
    CONSTRAINT embedding_models_prompt_style_known CHECK (prompt_style IN ('none', 'e5', 'own', 'input_type')),
    CONSTRAINT embedding_models_longest_tokens_positive CHECK (longest_tokens > 0)
);
COMMENT ON TABLE embedding_models IS 'Models whose vectors are stored here; vectors of different models are never compared. Shared by all tenants.';
COMMENT ON COLUMN embedding_models.provider IS 'Who runs it: local is the server itself, caller is whoever gives vectors.';
COMMENT ON COLUMN embedding_models.languages IS 'ISO 639 codes of the languages it covers; NULL is all, as far as is known.';
COMMENT ON COLUMN embedding_models.prompt_style IS 'What goes before texts: none, e5 (query: and passage:), own (the model''s own prompts); input_type leaves it to the service.';
COMMENT ON COLUMN embedding_models.longest_tokens IS 'Tokens of a text that it reads: passages are cut so that they fit with their title; NULL if only its server knows.';
GRANT SELECT ON embedding_models TO bailiwick_app;
GRANT SELECT, INSERT, UPDATE ON embedding_models TO bailiwick_definer;

CREATE TABLE embedding_state (
    singleton        boolean PRIMARY KEY DEFAULT true,
    current_model_id smallint REFERENCES embedding_models (id),
    next_model_id    smallint REFERENCES embedding_models (id),
    CONSTRAINT embedding_state_one_row CHECK (singleton)
);
COMMENT ON TABLE embedding_state IS
    'Which model documents are embedded with. Servers of another model leave documents and vectors alone; `bailiwick embed` moves from one to the next.';
COMMENT ON COLUMN embedding_state.next_model_id IS 'The model that is being moved to: its vectors fill the columns next_embedding.';
INSERT INTO embedding_state DEFAULT VALUES;
GRANT SELECT ON embedding_state TO bailiwick_app;
GRANT SELECT, UPDATE ON embedding_state TO bailiwick_definer;

CREATE TABLE documents (
    id               uuid NOT NULL DEFAULT gen_random_uuid(),
    tenant_id        uuid NOT NULL REFERENCES tenants (id),
    title            text NOT NULL,
    content          text NOT NULL,
    source           text,
    metadata         jsonb NOT NULL DEFAULT '{}',
    language         text NOT NULL DEFAULT 'en',
    content_sha256   bytea NOT NULL,
    embedding_model  text,
    next_embedding_model text,
    embedding_status text NOT NULL DEFAULT 'pending',
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    CONSTRAINT documents_title_not_empty CHECK (length(trim(title)) > 0),
    CONSTRAINT documents_content_not_empty CHECK (length(trim(content)) > 0),
    -- Both are keys of indexes, whose entries are bounded.
    CONSTRAINT documents_title_length CHECK (length(title) <= 500),
    CONSTRAINT documents_source_length CHECK (octet_length(source) <= 2000),
    CONSTRAINT documents_metadata_is_object CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT documents_language_format CHECK (language ~ '^([a-z]{2,3}|simple)$'),
    CONSTRAINT documents_embedding_status_known CHECK (embedding_status IN ('pending', 'embedded', 'failed'))
);

CREATE TABLE document_chunks (
    tenant_id          uuid NOT NULL,
    chunk_no           integer NOT NULL,
    document_id        uuid NOT NULL,
    ordinal            integer NOT NULL,
    char_start         integer NOT NULL,
    char_end           integer NOT NULL,
    token_count        integer NOT NULL,
    embedding_model_id smallint REFERENCES embedding_models (id),
    next_embedding_model_id smallint REFERENCES embedding_models (id),
    PRIMARY KEY (tenant_id, chunk_no),
    CONSTRAINT document_chunks_document FOREIGN KEY (tenant_id, document_id)
        REFERENCES documents (tenant_id, id) ON DELETE CASCADE,
    CONSTRAINT document_chunks_one_per_ordinal UNIQUE (tenant_id, document_id, ordinal),
    CONSTRAINT document_chunks_range CHECK (chunk_no >= 0 AND ordinal BETWEEN 0 AND chunk_no AND char_start >= 0 AND char_end > char_start)
) PARTITION BY HASH (tenant_id);

-- The dimension is settled once, when the database is made. pgvector indexes halfvec up to 4,000 dimensions, and a
-- vector of more would not fit a page beside its row.
DO $embedding$
DECLARE
    v_dimensions integer := coalesce(nullif(current_setting('bailiwick.embedding_dimensions', true), ''), '1536')::integer;
BEGIN
    IF v_dimensions NOT BETWEEN 1 AND 4000 THEN
        RAISE EXCEPTION 'embedding dimensions must be from 1 to 4000, got %', v_dimensions
            USING HINT = 'Set BAILIWICK_EMBEDDINGS_DIMENSIONS to the dimensions of your embedding model.';
    END IF;
    EXECUTE format('ALTER TABLE documents ADD COLUMN embedding vector(%s)', v_dimensions);
    EXECUTE format('ALTER TABLE document_chunks ADD COLUMN embedding halfvec(%s)', v_dimensions);
    EXECUTE format('ALTER TABLE documents ADD COLUMN next_embedding vector(%s)', v_dimensions);
    EXECUTE format('ALTER TABLE document_chunks ADD COLUMN next_embedding halfvec(%s)', v_dimensions);
    -- PLAIN keeps the vector in the row: an exact scan reads it without a detour through TOAST.
    ALTER TABLE document_chunks ALTER COLUMN embedding SET STORAGE PLAIN;
    -- Beside the other one there may be no room for it in a page.
    ALTER TABLE document_chunks ALTER COLUMN next_embedding SET STORAGE MAIN;
    FOR v_partition IN 0..31 LOOP
        EXECUTE format(
            'CREATE TABLE document_chunks_p%1$s PARTITION OF document_chunks FOR VALUES WITH (MODULUS 32, REMAINDER %2$s)',
            lpad(v_partition::text, 2, '0'), v_partition);
        -- Queried by its own name a partition would skip its parent's policies: forced security with no policy shows nothing.
        EXECUTE format('ALTER TABLE document_chunks_p%s ENABLE ROW LEVEL SECURITY', lpad(v_partition::text, 2, '0'));
        EXECUTE format('ALTER TABLE document_chunks_p%s FORCE ROW LEVEL SECURITY', lpad(v_partition::text, 2, '0'));
    END LOOP;
END
$embedding$;

COMMENT ON TABLE documents IS 'The documents of all tenants, each visible to its own tenant only.';
COMMENT ON COLUMN documents.source IS 'Where it came from: a URL, a file name.';
COMMENT ON COLUMN documents.embedding IS
    'The document as a whole: the caller''s own vector, or the normalised mean of its chunks'' vectors. NULL until it is embedded.';
COMMENT ON COLUMN documents.embedding_model IS 'Name of the model of embedding, as in embedding_models.';
COMMENT ON COLUMN documents.embedding_status IS 'pending: waits for the embedder. embedded. failed: given up after several tries, see embedding_attempts.';
COMMENT ON COLUMN documents.next_embedding IS 'While the database moves to another model: the document by that model.';
COMMENT ON COLUMN documents.content_sha256 IS 'SHA-256 of the content in UTF-8, kept by a trigger: finds a re-upload.';
COMMENT ON COLUMN documents.metadata IS 'Free JSON object for filters, for example {"department": "hr", "tags": ["leave"]}.';
COMMENT ON COLUMN documents.language IS 'ISO 639 code; chooses the stemmer and stop words.';
COMMENT ON COLUMN documents.updated_at IS 'When title, content, source, metadata or language last changed; filling in an embedding does not move it.';
COMMENT ON TABLE document_chunks IS
    'The units of retrieval. A passage is characters char_start to char_end of the document''s content, half open. A document''s chunk numbers are consecutive, so chunk_no - ordinal identifies the document within its tenant.';
COMMENT ON COLUMN document_chunks.embedding IS
    'Unit vector of the passage. A vector that a caller gave for a whole document stands at its first chunk.';
COMMENT ON COLUMN document_chunks.next_embedding IS 'While the database moves to another model: the passage by that model, beside the vector that is searched.';

CREATE INDEX idx_documents_tenant_created ON documents (tenant_id, created_at DESC);
CREATE INDEX idx_documents_tenant_updated ON documents (tenant_id, updated_at);
CREATE INDEX idx_documents_tenant_title ON documents (tenant_id, title COLLATE "C");
CREATE INDEX idx_documents_source ON documents (tenant_id, source COLLATE "C", content_sha256) WHERE source IS NOT NULL;
CREATE INDEX idx_documents_embedding_pending ON documents (tenant_id, embedding_status, created_at) WHERE embedding_status <> 'embedded';

SELECT protect_tenant_table('documents'), protect_tenant_table('document_chunks');
GRANT SELECT, INSERT, UPDATE, DELETE ON documents, document_chunks TO bailiwick_app;
GRANT SELECT ON documents TO bailiwick_definer;
GRANT SELECT, INSERT, UPDATE, DELETE ON document_chunks TO bailiwick_definer;

CREATE TABLE embedding_attempts (
    tenant_id   uuid NOT NULL,
    document_id uuid NOT NULL,
    attempts    integer NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL,
    lease       bigint,
    error       text,
    PRIMARY KEY (tenant_id, document_id),
    CONSTRAINT embedding_attempts_document FOREIGN KEY (tenant_id, document_id)
        REFERENCES documents (tenant_id, id) ON DELETE CASCADE
);
COMMENT ON TABLE embedding_attempts IS 'Pending documents that a server is embedding or has tried to; the row goes once the document is embedded.';
COMMENT ON COLUMN embedding_attempts.attempts IS 'Tries begun: counted first, so that a text that ends its server is not tried for ever.';
COMMENT ON COLUMN embedding_attempts.due_at IS 'Nobody else tries before: until then a server is at it, or waits after a failure.';
COMMENT ON COLUMN embedding_attempts.lease IS 'Advisory lock key that the server holds which is at it: should it die, others need not wait until due_at.';
COMMENT ON COLUMN embedding_attempts.error IS 'Why the last try failed. No text of the document.';
SELECT protect_tenant_table('embedding_attempts');
GRANT SELECT, INSERT, UPDATE, DELETE ON embedding_attempts TO bailiwick_app;

CREATE FUNCTION fingerprint_document() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.content_sha256 = sha256(convert_to(NEW.content, 'UTF8'));
    RETURN NEW;
END
$$;
CREATE TRIGGER fingerprint_documents
    BEFORE INSERT OR UPDATE OF content, content_sha256 ON documents
    FOR EACH ROW EXECUTE FUNCTION fingerprint_document();

CREATE FUNCTION expire_document_embedding() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    NEW.next_embedding = NULL;
    NEW.next_embedding_model = NULL;
    IF NEW.embedding IS DISTINCT FROM OLD.embedding THEN
        RETURN NEW; -- the change brings one
    END IF;
    -- A passage is embedded with its title before it. Without an embedder nobody would make another vector than the caller's.
    IF EXISTS (SELECT FROM embedding_state WHERE current_model_id IS NOT NULL) THEN
        NEW.embedding = NULL;
        NEW.embedding_model = NULL;
        NEW.embedding_status = 'pending';
    END IF;
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION expire_document_embedding() IS 'Trigger: a document whose text changes waits for its embedding again, unless the change brings one.';
CREATE TRIGGER expire_document_embeddings
    BEFORE UPDATE OF title, content ON documents
    FOR EACH ROW
    -- Nothing must hang on the column embedding, which another takes the place of when the database moves to another model.
    WHEN ((OLD.title, OLD.content) IS DISTINCT FROM (NEW.title, NEW.content))
    EXECUTE FUNCTION expire_document_embedding();

-- updated_at tells readers that what they read has changed, so an embedding that arrives later leaves it alone.
CREATE TRIGGER update_documents_updated_at
    BEFORE UPDATE ON documents
    FOR EACH ROW
    WHEN ((OLD.title, OLD.content, OLD.source, OLD.metadata, OLD.language)
          IS DISTINCT FROM (NEW.title, NEW.content, NEW.source, NEW.metadata, NEW.language))
    EXECUTE FUNCTION update_updated_at_column();

CREATE TABLE idempotency_keys (
    tenant_id      uuid NOT NULL REFERENCES tenants (id),
    key            text NOT NULL,
    request_sha256 bytea NOT NULL,
    response       jsonb,
    created_at     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
COMMENT ON TABLE idempotency_keys IS 'Answers of writes that carried an idempotency key, so that a repeated call gets the first answer.';
SELECT protect_tenant_table('idempotency_keys');
GRANT SELECT, INSERT, UPDATE ON idempotency_keys TO bailiwick_app;
GRANT SELECT ON idempotency_keys TO bailiwick_definer;

CREATE FUNCTION register_embedding_model(
    p_name text, p_dimensions integer DEFAULT NULL, p_provider text DEFAULT NULL, p_languages text[] DEFAULT NULL,
    p_prompt_style text DEFAULT NULL, p_longest_tokens integer DEFAULT NULL
) RETURNS smallint
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_model embedding_models;
BEGIN
    SELECT * INTO v_model FROM embedding_models m WHERE m.name = p_name;
    IF NOT FOUND THEN
        INSERT INTO embedding_models (name, dimensions, provider, languages, prompt_style, longest_tokens)
        SELECT p_name, coalesce(p_dimensions, a.atttypmod), coalesce(p_provider, 'caller'), p_languages, coalesce(p_prompt_style, 'none'), p_longest_tokens
        FROM pg_attribute a
        WHERE a.attrelid = 'documents'::regclass AND a.attname = 'embedding'
        ON CONFLICT (name) DO NOTHING;
        SELECT * INTO v_model FROM embedding_models m WHERE m.name = p_name;
    END IF;
    IF v_model.dimensions <> p_dimensions THEN
        RAISE EXCEPTION 'the model % is known with % dimensions and not with %', p_name, v_model.dimensions, p_dimensions
            USING ERRCODE = 'BW005', HINT = 'Set BAILIWICK_EMBEDDINGS_MODEL to another name.';
    END IF;
    -- What its server says of it now.
    IF p_provider IS NOT NULL AND (v_model.provider, v_model.languages, v_model.prompt_style, v_model.longest_tokens)
                                  IS DISTINCT FROM (p_provider, p_languages, coalesce(p_prompt_style, 'none'), p_longest_tokens) THEN
        UPDATE embedding_models
        SET provider = p_provider, languages = p_languages, prompt_style = coalesce(p_prompt_style, 'none'), longest_tokens = p_longest_tokens
        WHERE id = v_model.id;
    END IF;
    RETURN v_model.id;
END
$$;
COMMENT ON FUNCTION register_embedding_model(text, integer, text, text[], text, integer) IS
    'The id of an embedding model, registered if it is new, with the database''s dimensions unless others are given.';
GRANT EXECUTE ON FUNCTION register_embedding_model(text, integer, text, text[], text, integer) TO bailiwick_app;
ALTER FUNCTION register_embedding_model(text, integer, text, text[], text, integer) OWNER TO bailiwick_definer;

CREATE FUNCTION adopt_embedding_model(p_model_id smallint) RETURNS smallint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
    UPDATE embedding_state SET current_model_id = p_model_id
    WHERE current_model_id IS NULL AND next_model_id IS NULL
      AND (SELECT m.dimensions FROM embedding_models m WHERE m.id = p_model_id)
          = (SELECT a.atttypmod FROM pg_attribute a WHERE a.attrelid = 'documents'::regclass AND a.attname = 'embedding');
    SELECT current_model_id FROM embedding_state;
$$;
COMMENT ON FUNCTION adopt_embedding_model(smallint) IS 'The model that documents are embedded with: this one, if there was none and its dimensions are the database''s.';
GRANT EXECUTE ON FUNCTION adopt_embedding_model(smallint) TO bailiwick_app;
ALTER FUNCTION adopt_embedding_model(smallint) OWNER TO bailiwick_definer;

CREATE FUNCTION allocate_chunk_numbers(p_tenant_id uuid, p_count integer) RETURNS integer
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_first integer;
BEGIN
    IF p_count < 0 THEN
        RAISE EXCEPTION 'chunk numbers are taken and not given back' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    UPDATE tenant_usage SET next_chunk_no = next_chunk_no + p_count
    WHERE tenant_id = p_tenant_id
    RETURNING next_chunk_no - p_count INTO v_first;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'no such tenant in this transaction''s context'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Set app.current_tenant_id to the tenant that the documents belong to.';
    END IF;
    RETURN v_first;
END
$$;
COMMENT ON FUNCTION allocate_chunk_numbers(uuid, integer) IS 'Takes that many consecutive chunk numbers and returns the first.';

GRANT EXECUTE ON FUNCTION allocate_chunk_numbers(uuid, integer) TO bailiwick_app;
ALTER FUNCTION allocate_chunk_numbers(uuid, integer) OWNER TO bailiwick_definer;

-- Quotas.
CREATE FUNCTION count_new_documents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
DECLARE
    v_new record;
    v_limit record;
BEGIN
    FOR v_new IN
        SELECT i.tenant_id, count(*) AS documents, sum(octet_length(i.title) + octet_length(i.content)) AS bytes
        FROM inserted i GROUP BY i.tenant_id ORDER BY i.tenant_id
    LOOP
        -- Checked and counted in one statement: whoever comes second waits for the row and then sees the new count.
        UPDATE tenant_usage u
        SET document_count = u.document_count + v_new.documents, storage_bytes = u.storage_bytes + v_new.bytes
        FROM tenants t
        WHERE u.tenant_id = v_new.tenant_id AND t.id = v_new.tenant_id
          AND (t.max_documents IS NULL OR u.document_count + v_new.documents <= t.max_documents)
          AND (t.max_storage_mb IS NULL OR u.storage_bytes + v_new.bytes <= t.max_storage_mb * 1048576::bigint);
        CONTINUE WHEN FOUND;

        SELECT t.max_documents, t.max_storage_mb, u.document_count, u.storage_bytes INTO v_limit
        FROM tenants t JOIN tenant_usage u ON u.tenant_id = t.id
        WHERE t.id = v_new.tenant_id;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'no such tenant in this transaction''s context'
                USING ERRCODE = 'insufficient_privilege',
                      HINT = 'Set app.current_tenant_id to the tenant that the documents belong to.';
        ELSIF v_limit.document_count + v_new.documents > v_limit.max_documents THEN
            RAISE EXCEPTION 'the tenant holds % documents and may hold %', v_limit.document_count, v_limit.max_documents
                USING ERRCODE = 'BW001', HINT = 'Delete documents, or ask the operator for a larger max_documents.';
        ELSE
            RAISE EXCEPTION 'the tenant''s documents take % bytes, this would add %, and % MiB are allowed',
                    v_limit.storage_bytes, v_new.bytes, v_limit.max_storage_mb
                USING ERRCODE = 'BW002', HINT = 'Delete documents, or ask the operator for a larger max_storage_mb.';
        END IF;
    END LOOP;
    RETURN NULL;
END
$$;


CREATE FUNCTION count_deleted_documents() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp
AS $$
BEGIN
    UPDATE tenant_usage u
    SET document_count = u.document_count - gone.documents, storage_bytes = u.storage_bytes - gone.bytes
    FROM (
        SELECT d.tenant_id, count(*) AS documents, sum(octet_length(d.title) + octet_length(d.content)) AS bytes
        FROM deleted d GROUP BY d.tenant_id
    ) AS gone
    WHERE u.tenant_id = gone.tenant_id;
    RETURN NULL;
END
$$;

-- Statement triggers, for a bulk insert would otherwise update the tenant's one usage row a time per row.
CREATE TRIGGER documents_10_count_new AFTER INSERT ON documents
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION count_new_documents();
CREATE TRIGGER documents_40_count_deleted AFTER DELETE ON documents
    REFERENCING OLD TABLE AS deleted FOR EACH STATEMENT EXECUTE FUNCTION count_deleted_documents();
ALTER FUNCTION count_new_documents() OWNER TO bailiwick_definer;
ALTER FUNCTION count_deleted_documents() OWNER TO bailiwick_definer;

-- For imports. By its owner, for what the owner before it had goes with the ownership.
SET LOCAL ROLE bailiwick_definer;
GRANT EXECUTE ON FUNCTION register_embedding_model(text, integer, text, text[], text, integer), allocate_chunk_numbers(uuid, integer) TO bailiwick_owner;
SET LOCAL ROLE bailiwick_owner;
