-- administration/count_longer
-- Passages that were cut for a model that reads more: by the count of whoever cut them.
SELECT count(*) AS passages FROM document_chunks WHERE token_count > $1::integer
