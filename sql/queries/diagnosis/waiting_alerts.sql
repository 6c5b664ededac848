-- diagnosis/waiting_alerts
-- Budget alerts that nobody was told of; those that were given up are told by their own figure.
SELECT t.slug AS subject, format('%s budget alerts are undelivered, the oldest since %s', count(*), min(b.raised_at)::timestamptz(0)) AS detail
FROM budget_alerts b
JOIN tenants t ON t.id = b.tenant_id
WHERE b.given_up_at IS NULL AND (b.announced_at IS NULL OR b.delivered_at IS NULL) AND b.raised_at < now() - interval '1 hour'
GROUP BY t.slug ORDER BY 1
