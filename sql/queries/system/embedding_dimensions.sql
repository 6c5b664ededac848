-- system/embedding_dimensions
SELECT atttypmod AS dimensions FROM pg_attribute WHERE attrelid = 'documents'::regclass AND attname = 'embedding'
