-- system/adopt_embedding_model
SELECT adopted.id, m.name FROM adopt_embedding_model($1::smallint) AS adopted (id) LEFT JOIN embedding_models m ON m.id = adopted.id
