-- administration/import_model
-- The model as it is known here, or made known; no row if it has other dimensions here.
SELECT m.id FROM embedding_models m WHERE m.name = $1::text AND m.dimensions = $2::integer
UNION ALL
SELECT register_embedding_model($1, $2, $3::text, $4::text[], $5::text, $6::integer)
WHERE NOT EXISTS (SELECT FROM embedding_models m WHERE m.name = $1)
