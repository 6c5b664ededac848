-- costs/deliver_alert
UPDATE budget_alerts SET delivered_at = now() WHERE tenant_id = $1::uuid AND id = $2::uuid
RETURNING id
