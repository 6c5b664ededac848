-- system/tenants_to_embed
SELECT tenants_to_embed() AS tenant_id
