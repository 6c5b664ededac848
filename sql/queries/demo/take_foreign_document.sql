-- demo/take_foreign_document
UPDATE documents SET title = 'taken' WHERE id = $1::uuid RETURNING title
