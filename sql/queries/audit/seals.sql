-- audit/seals
SELECT seal_no, first_id, last_id, row_count, latest_timestamp, sealed_until, retained_from,
       merkle_root, previous_head, head, key_id, signature, leaves
FROM (
    -- As many as fit into $2 bytes of leaves, and one at least.
    SELECT s.*, sum(coalesce(octet_length(s.leaves), 0)) OVER (ORDER BY s.seal_no ROWS UNBOUNDED PRECEDING EXCLUDE CURRENT ROW) AS bytes_before
    FROM (SELECT * FROM audit_seals WHERE seal_no > $1::bigint ORDER BY seal_no LIMIT 1000) AS s
) AS batch
WHERE coalesce(bytes_before, 0) < $2::bigint
ORDER BY seal_no
