-- audit/drop_leaves
UPDATE audit_seals SET leaves = NULL WHERE latest_timestamp < $1::timestamptz AND leaves IS NOT NULL
