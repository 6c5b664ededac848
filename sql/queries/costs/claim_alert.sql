-- costs/claim_alert
-- One server's for a while; tried ever more seldom, and hourly in the end. The last try is the first one behind its period, but not within
-- a day of its raising. A row without a slug: another has it.
WITH claimed AS (
    UPDATE budget_alerts a
    SET attempts = a.attempts + 1, due_at = now() + least(interval '30 seconds' * 2 ^ least(a.attempts, 10), interval '1 hour')
    FROM tenants t
    WHERE a.tenant_id = $1::uuid AND a.id = $2::uuid AND a.delivered_at IS NULL AND a.given_up_at IS NULL AND a.due_at <= now() AND t.id = $1
    RETURNING t.slug, a.period, a.starts::text AS starts, a.user_id, a.level, a.limit_usd, a.spent_usd, a.raised_at, a.attempts,
              a.announced_at IS NOT NULL AS is_announced,
              now() >= greatest((a.starts + CASE a.period WHEN 'day' THEN interval '1 day' ELSE interval '1 month' END) AT TIME ZONE 'UTC',
                                a.raised_at + interval '1 day') AS is_last
)
SELECT claimed.* FROM (VALUES (1)) AS one LEFT JOIN claimed ON true
