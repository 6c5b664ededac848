-- search/vocabulary
-- Where the tenant's lexemes between two bounds are to be found: those that fill blocks by name, the others in their
-- blocks, and those of fresh rows. At most so many blocks.
(SELECT b.first_lexeme AS lexeme, CASE WHEN b.lexeme_count > 1 THEN b.postings END AS block, b.posting_count::bigint AS df
 FROM posting_blocks b
 WHERE b.tenant_id = $1::uuid AND b.first_lexeme >= $2::text AND b.first_lexeme < $3::text
 ORDER BY b.lexeme_count DESC
 LIMIT $4::bigint)
UNION ALL
(SELECT b.first_lexeme, b.postings, b.posting_count
 FROM posting_blocks b
 WHERE b.tenant_id = $1 AND b.first_lexeme < $2
 ORDER BY b.first_lexeme DESC, b.first_chunk_no DESC LIMIT 1)
UNION ALL
SELECT held.lexeme, NULL, count(*)
FROM fresh_postings f CROSS JOIN LATERAL unnest(f.terms) AS held
WHERE f.tenant_id = $1 AND held.lexeme COLLATE "C" >= $2 AND held.lexeme COLLATE "C" < $3
GROUP BY held.lexeme
