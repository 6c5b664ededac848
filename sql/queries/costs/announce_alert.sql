-- costs/announce_alert
UPDATE budget_alerts SET announced_at = now(), delivered_at = CASE WHEN $3::boolean THEN delivered_at ELSE now() END
WHERE tenant_id = $1::uuid AND id = $2::uuid AND announced_at IS NULL
RETURNING id
