-- system/register_embedding_model
SELECT register_embedding_model($1::text, $2::integer, $3::text, $4::text[], $5::text, $6::integer) AS id
