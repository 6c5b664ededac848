SET LOCAL ROLE bailiwick_owner;
DROP TRIGGER documents_40_count_deleted ON documents;
DROP TRIGGER documents_10_count_new ON documents;

SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION count_deleted_documents();
DROP FUNCTION count_new_documents();
DROP FUNCTION allocate_chunk_numbers(uuid, integer);
DROP FUNCTION adopt_embedding_model(smallint);
DROP FUNCTION register_embedding_model(text, integer, text, text[], text, integer);

SET LOCAL ROLE bailiwick_owner;
DROP TABLE idempotency_keys;
DROP TABLE embedding_attempts;
DROP TABLE document_chunks;
DROP TABLE documents;
DROP FUNCTION expire_document_embedding();
DROP FUNCTION fingerprint_document();
DROP TABLE embedding_state;
DROP TABLE embedding_models;
