-- backup/last_seal
SELECT s.seal_no, s.head FROM audit_seals s ORDER BY s.seal_no DESC LIMIT 1
