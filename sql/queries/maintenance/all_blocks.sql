-- maintenance/all_blocks
SELECT first_lexeme, first_chunk_no, lexeme_count, posting_count, postings
FROM posting_blocks
WHERE tenant_id = $1::uuid AND (first_lexeme, first_chunk_no) > ($2::text COLLATE "C", $3::integer)
ORDER BY first_lexeme, first_chunk_no
LIMIT 1000
