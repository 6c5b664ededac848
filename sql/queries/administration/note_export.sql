-- administration/note_export
-- What left the database is told in the trail, before anybody has it.
INSERT INTO audit_logs (tenant_id, user_id, call_id, action, resource, resource_id, details, outcome, success)
SELECT t.id, 'administrator', gen_random_uuid(), 'read', 'administration/tenant', t.id, $2::jsonb, 'ok', true
FROM tenants t WHERE t.id = $1::uuid AND pg_current_xact_id() IS NOT NULL
RETURNING id
