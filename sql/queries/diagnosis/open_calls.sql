-- diagnosis/open_calls
-- Calls that were begun long ago and never closed: no server lives whose task that is.
SELECT t.slug AS subject, format('%s calls are open, the oldest since %s', count(*), min(i.opened_at)::timestamptz(0)) AS detail
FROM call_intents i
JOIN tenants t ON t.id = i.tenant_id
WHERE i.opened_at < now() - interval '15 minutes'
GROUP BY t.slug ORDER BY 1
