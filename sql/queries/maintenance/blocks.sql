-- maintenance/blocks
SELECT b.first_lexeme, b.first_chunk_no, b.posting_count, b.postings
FROM unnest($2::text[], $3::integer[]) AS wanted (first_lexeme, first_chunk_no)
JOIN posting_blocks b ON b.tenant_id = $1::uuid AND b.first_lexeme = wanted.first_lexeme AND b.first_chunk_no = wanted.first_chunk_no
ORDER BY b.first_lexeme, b.first_chunk_no
