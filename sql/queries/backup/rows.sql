-- backup/rows
SELECT r.tenant_id, r.row_count, r.checksum FROM row_checksums(format('public.%I', $1::text)::regclass) r
