-- embedding/longer_documents
-- Documents behind one with a passage of more tokens, by the count of whoever cut it.
SELECT c.document_id
FROM document_chunks c
WHERE c.tenant_id = $1::uuid AND c.token_count > $2::integer AND ($3::uuid IS NULL OR c.document_id > $3)
GROUP BY c.document_id
ORDER BY c.document_id
LIMIT 500
