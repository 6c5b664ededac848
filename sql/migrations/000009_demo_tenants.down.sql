-- Removes a demo tenant only where nothing hangs on it: documents or keys that were added since keep it.
SET LOCAL ROLE bailiwick_owner;
SET LOCAL app.current_user_role = 'admin';

DELETE FROM tenants t
WHERE t.slug IN ('demo', 'enterprise')
  AND NOT EXISTS (SELECT FROM documents d WHERE d.tenant_id = t.id)
  AND NOT EXISTS (SELECT FROM api_keys k WHERE k.tenant_id = t.id)
  AND NOT EXISTS (SELECT FROM idempotency_keys i WHERE i.tenant_id = t.id);

SET LOCAL app.current_user_role = '';
