-- costs/give_up_alert
UPDATE budget_alerts SET given_up_at = now() WHERE tenant_id = $1::uuid AND id = $2::uuid
RETURNING id
