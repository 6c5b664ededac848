-- backup/was_imported
-- Whether a tenant is what came of a file: its opening left a row in the trail.
SELECT EXISTS (
    SELECT FROM audit_logs a
    WHERE a.tenant_id = $1::uuid AND a.resource = 'administration/tenant' AND a.details ->> 'status' = 'imported' AND a.details ->> 'sha256' = $2::text
) AS was_imported
