-- maintenance/block_keys
SELECT first_lexeme, first_chunk_no FROM posting_blocks WHERE tenant_id = $1::uuid ORDER BY first_lexeme, first_chunk_no
