-- costs/claim_alert
-- One server's for a while; tried ever more seldom. A row without a slug: another has it.
WITH claimed AS (
    UPDATE budget_alerts a
    SET attempts = a.attempts + 1, due_at = now() + least(interval '30 seconds' * 2 ^ a.attempts, interval '1 hour')
    FROM tenants t
    WHERE a.tenant_id = $1::uuid AND a.id = $2::uuid AND a.delivered_at IS NULL AND a.due_at <= now() AND t.id = $1
    RETURNING t.slug, a.period, a.starts::text AS starts, a.user_id, a.level, a.limit_usd, a.spent_usd, a.raised_at,
              a.announced_at IS NOT NULL AS is_announced
)
SELECT claimed.* FROM (VALUES (1)) AS one LEFT JOIN claimed ON true
