-- maintenance/replace_blocks
-- Blocks that go, and blocks that come or change.
WITH gone AS (
    DELETE FROM posting_blocks b
    USING unnest($2::text[], $3::integer[]) AS old (first_lexeme, first_chunk_no)
    WHERE b.tenant_id = $1::uuid AND b.first_lexeme = old.first_lexeme AND b.first_chunk_no = old.first_chunk_no
)
INSERT INTO posting_blocks (tenant_id, first_lexeme, first_chunk_no, lexeme_count, posting_count, postings)
SELECT $1, new.first_lexeme, new.first_chunk_no, new.lexeme_count, new.posting_count, new.postings
FROM unnest($4::text[], $5::integer[], $6::integer[], $7::integer[], $8::bytea[])
     AS new (first_lexeme, first_chunk_no, lexeme_count, posting_count, postings)
ON CONFLICT (tenant_id, first_lexeme, first_chunk_no)
DO UPDATE SET lexeme_count = excluded.lexeme_count, posting_count = excluded.posting_count, postings = excluded.postings
