-- costs/budget
WITH month AS (
    SELECT date_trunc('month', now(), 'UTC') AS starts,
           date_trunc('month', now() AT TIME ZONE 'UTC') + interval '1 month' AS ends
)
SELECT t.monthly_budget_usd AS limit_usd,
       coalesce(l.spent_usd, 0) AS spent_usd,
       coalesce(l.reserved_usd, 0) AS reserved_usd,
       -- What is spent, at the same rate to the month's end. The first day counts whole, or one early call would be a thousand.
       round(coalesce(l.spent_usd, 0)
             * extract(epoch FROM month.ends AT TIME ZONE 'UTC' - month.starts)::numeric
             / greatest(extract(epoch FROM now() - month.starts)::numeric, 86400), 12) AS forecast_usd
FROM tenants t
CROSS JOIN month
LEFT JOIN budget_ledger l ON l.tenant_id = $1::uuid AND l.month = (month.starts AT TIME ZONE 'UTC')::date
WHERE t.id = $1
