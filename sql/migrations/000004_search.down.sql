SET LOCAL ROLE bailiwick_owner;
DROP TRIGGER document_chunks_20_forget_deleted ON document_chunks;
DROP TRIGGER document_chunks_10_index_new ON document_chunks;
DROP TRIGGER documents_30_follow_changed ON documents;
DROP TRIGGER documents_20_complete_new ON documents;

SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION forget_deleted_chunks();
DROP FUNCTION index_new_chunks();
DROP FUNCTION follow_changed_documents();
DROP FUNCTION complete_new_documents();
DROP FUNCTION cut_default_chunks(uuid, uuid[]);

SET LOCAL ROLE bailiwick_owner;
DROP FUNCTION switch_embedding_model();
DROP FUNCTION prepare_next_embeddings(smallint);
DROP FUNCTION query_terms(uuid, text);
DROP FUNCTION chunk_entry(text, text, text, text[]);
DROP FUNCTION document_facets(text, text, jsonb);
DROP FUNCTION chunk_terms(text, text, text);
DROP FUNCTION text_terms(text, text);
DROP FUNCTION spaced_words(text);
DROP FUNCTION east_asian_runs();
DROP FUNCTION text_search_configuration(text);
DROP TABLE index_state;
DROP TABLE chunk_tombstones;
DROP TABLE chunk_segments;
DROP TABLE posting_blocks;
DROP TABLE fresh_postings;
