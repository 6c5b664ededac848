-- audit/last_seal
SELECT seal_no, first_id, last_id, row_count, latest_timestamp, sealed_until, retained_from,
       merkle_root, previous_head, head, key_id, signature, NULL::bytea AS leaves, current_database()::text AS database
FROM audit_seals
ORDER BY seal_no DESC
LIMIT 1
