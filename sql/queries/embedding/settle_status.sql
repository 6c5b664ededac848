-- embedding/settle_status
-- After a move: what has no vector of the new model waits for it, what has one does not. The word for it is in the documents alone.
WITH forgotten AS (
    DELETE FROM embedding_attempts WHERE tenant_id = $1::uuid
), settled AS (
    UPDATE documents SET embedding_status = CASE WHEN embedding IS NULL THEN 'pending' ELSE 'embedded' END
    WHERE tenant_id = $1 AND embedding_status <> CASE WHEN embedding IS NULL THEN 'pending' ELSE 'embedded' END
)
SELECT count(*) AS pending FROM documents WHERE tenant_id = $1 AND embedding IS NULL
