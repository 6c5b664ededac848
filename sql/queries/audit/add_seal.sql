-- audit/add_seal
INSERT INTO audit_seals (seal_no, first_id, last_id, row_count, latest_timestamp, sealed_until, retained_from,
                         merkle_root, previous_head, head, key_id, signature, leaves)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
ON CONFLICT (seal_no) DO NOTHING
RETURNING current_database()::text AS database
