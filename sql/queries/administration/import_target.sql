-- administration/import_target
SELECT (SELECT a.atttypmod FROM pg_attribute a WHERE a.attrelid = 'documents'::regclass AND a.attname = 'embedding') AS dimensions,
       m.name AS current_model
FROM embedding_state s LEFT JOIN embedding_models m ON m.id = s.current_model_id
