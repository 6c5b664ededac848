-- demo/embedded
-- How far the embedding of all tenants' documents is, and whether it is by that model.
SELECT EXISTS (SELECT FROM embedding_state s JOIN embedding_models m ON m.id = s.current_model_id WHERE m.name = $1::text) AS is_current,
       count(*) FILTER (WHERE d.embedding_status = 'pending') AS pending,
       count(*) FILTER (WHERE d.embedding_status = 'embedded') AS documents,
       (SELECT coalesce(sum(c.input_tokens), 0) FROM cost_tracking c WHERE c.model_name = $1) AS tokens
FROM documents d
