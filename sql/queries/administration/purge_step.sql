-- administration/purge_step
SELECT table_name, row_count FROM purge_tenant_rows($1::uuid, $2::integer)
