-- demo/owners
SELECT d.id, t.slug FROM documents d JOIN tenants t ON t.id = d.tenant_id
