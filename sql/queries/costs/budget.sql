-- costs/budget
-- The month of the tenant as a whole, and with it a row for each limit that binds the user now, or one without. What the asking
-- call holds is left out: it has spent it by now, or gives it back.
WITH month AS (
    SELECT date_trunc('month', now(), 'UTC') AS starts,
           date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month' AS ends
), own AS (
    SELECT coalesce(sum(i.reserved_usd), 0) AS reserved_usd FROM call_intents i WHERE i.tenant_id = $1::uuid AND i.call_id = $3::uuid
)
SELECT t.monthly_budget_usd AS month_limit_usd,
       coalesce(l.spent_usd, 0) AS month_spent_usd,
       greatest(reserved_budget($1, 'month', (month.starts AT TIME ZONE 'UTC')::date, '') - own.reserved_usd, 0) AS month_reserved_usd,
       -- What is spent, at the same rate to the month's end. The first day counts whole, or one early call would be a thousand.
       round(coalesce(l.spent_usd, 0)
             * extract(epoch FROM month.ends AT TIME ZONE 'UTC' - month.starts)::numeric
             / greatest(extract(epoch FROM now() - month.starts)::numeric, 86400), 12) AS forecast_usd,
       limits.period, limits.is_user, limits.limit_usd, limits.warning_usd, limits.is_hard,
       coalesce(account.spent_usd, 0) AS spent_usd,
       greatest(reserved_budget($1, a.period, a.starts, a.user_id) - own.reserved_usd, 0) AS reserved_usd
-- A tenant that was purged has spent, and has no limits.
FROM (SELECT $1) AS asked (id)
LEFT JOIN tenants t ON t.id = asked.id
CROSS JOIN month
CROSS JOIN own
LEFT JOIN budget_ledger l ON l.tenant_id = $1 AND l.period = 'month' AND l.starts = (month.starts AT TIME ZONE 'UTC')::date AND l.user_id = ''
LEFT JOIN LATERAL budget_limits(t.monthly_budget_usd, t.settings) AS limits ON true
LEFT JOIN budget_accounts(now(), $2::text) AS a ON a.period = limits.period AND (a.user_id <> '') = limits.is_user
LEFT JOIN budget_ledger account ON account.tenant_id = $1 AND account.period = a.period AND account.starts = a.starts AND account.user_id = a.user_id
ORDER BY limits.is_user, limits.period DESC
