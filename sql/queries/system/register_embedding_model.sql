-- system/register_embedding_model
SELECT register_embedding_model($1::text) AS id
