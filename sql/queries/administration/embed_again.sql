-- administration/embed_again
-- Documents that were given up, and those whose vectors are of another model than the one that is searched, wait again. What waits and
-- is nobody's is due at once, whatever it waited for.
WITH forgotten AS (
    DELETE FROM embedding_attempts a USING documents d
    WHERE a.tenant_id = d.tenant_id AND a.document_id = d.id AND d.embedding_status = 'failed' AND $1::boolean
), due AS (
    UPDATE embedding_attempts a SET due_at = now() FROM documents d
    WHERE a.tenant_id = d.tenant_id AND a.document_id = d.id AND d.embedding_status = 'pending' AND a.lease IS NULL AND a.due_at > now()
)
UPDATE documents d SET embedding_status = 'pending'
FROM embedding_state s JOIN embedding_models m ON m.id = s.current_model_id
WHERE (d.embedding_status = 'failed' AND $1) OR (d.embedding_status = 'embedded' AND d.embedding_model IS DISTINCT FROM m.name)
