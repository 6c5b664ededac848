SET LOCAL ROLE bailiwick_identity;
DROP FUNCTION note_api_key_use(uuid, uuid);
DROP FUNCTION authenticate_api_key(bytea);
DROP FUNCTION resolve_tenant(text);

SET LOCAL ROLE bailiwick_owner;
DROP FUNCTION purge_tenant_rows(uuid, integer);
DROP TABLE api_keys;
DROP TABLE tenant_languages;
DROP TRIGGER open_tenant_usage ON tenants;
DROP FUNCTION open_tenant_usage();
DROP TABLE tenant_usage;
DROP TABLE tenants;
DROP FUNCTION note_tenant_deletion();
