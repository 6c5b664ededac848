-- audit/head_of_seal
SELECT head FROM audit_seals WHERE seal_no = $1::bigint
