-- administration/switch_embedding_model
SELECT switch_embedding_model() AS model_id
