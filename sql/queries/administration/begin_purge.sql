-- administration/begin_purge
-- From here on there is no way back, unless calls are under way: one that was let in before the deletion has its intent by now.
WITH calls AS (
    SELECT count(*) AS under_way FROM call_intents WHERE tenant_id = $1::uuid
)
UPDATE tenants t
SET purge_began_at = CASE WHEN calls.under_way = 0 THEN coalesce(t.purge_began_at, now()) ELSE t.purge_began_at END
FROM calls
WHERE t.id = $1 AND t.status = 'deleted'
RETURNING t.slug, calls.under_way AS calls_under_way
