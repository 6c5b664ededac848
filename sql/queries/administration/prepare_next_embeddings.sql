-- administration/prepare_next_embeddings
SELECT prepare_next_embeddings($1::smallint)::text AS prepared
