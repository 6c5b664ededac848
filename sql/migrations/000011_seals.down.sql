SET LOCAL ROLE bailiwick_definer;
DROP FUNCTION audit_sealed_until();

SET LOCAL ROLE bailiwick_owner;
DROP TABLE audit_seals;
