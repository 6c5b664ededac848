-- search/vocabulary
-- Where the tenant's lexemes between pairs of bounds are to be found: those that fill blocks by name, the others in their
-- blocks, and those of fresh rows. At most so many blocks a pair.
SELECT bounds.low, found.lexeme, found.block, found.df
FROM unnest($2::text[], $3::text[]) AS bounds (low, high)
CROSS JOIN LATERAL (
    (SELECT b.first_lexeme AS lexeme, CASE WHEN b.lexeme_count > 1 THEN b.postings END AS block, b.posting_count::bigint AS df
     FROM posting_blocks b
     WHERE b.tenant_id = $1::uuid AND b.first_lexeme >= bounds.low AND b.first_lexeme < bounds.high
     ORDER BY b.lexeme_count DESC
     LIMIT $4::bigint)
    UNION ALL
    (SELECT b.first_lexeme, b.postings, b.posting_count
     FROM posting_blocks b
     WHERE b.tenant_id = $1 AND b.first_lexeme < bounds.low
     ORDER BY b.first_lexeme DESC, b.first_chunk_no DESC LIMIT 1)
    UNION ALL
    SELECT held.lexeme, NULL, count(*)
    FROM fresh_postings f CROSS JOIN LATERAL unnest(f.terms) AS held
    WHERE f.tenant_id = $1 AND held.lexeme COLLATE "C" >= bounds.low AND held.lexeme COLLATE "C" < bounds.high
    GROUP BY held.lexeme
) AS found
