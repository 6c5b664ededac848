SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION register_embedding_model(text);

SET LOCAL ROLE bailiwick_owner;
DROP TABLE idempotency_keys;
DROP TABLE document_chunks;
DROP TABLE documents;
DROP FUNCTION fingerprint_document();
DROP TABLE embedding_models;
