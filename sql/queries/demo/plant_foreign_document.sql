-- demo/plant_foreign_document
INSERT INTO documents (tenant_id, title, content) VALUES ($1::uuid, 'planted', 'planted') RETURNING id
