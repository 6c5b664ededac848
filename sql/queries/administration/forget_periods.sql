-- administration/forget_periods
-- What was summed up of costs that are dropped, and told of them; of tenants that are gone the kinds of their costs, too. From now on
-- reports know that no rows are there, nor sums by user.
WITH alerts AS (
    DELETE FROM budget_alerts WHERE starts < $1::text::date RETURNING 1
), ledger AS (
    DELETE FROM budget_ledger WHERE starts < $1::text::date RETURNING 1
), sums AS (
    DELETE FROM cost_sums s
    WHERE s.starts < $1::text::date::timestamp AT TIME ZONE 'UTC'
      AND (s.grain = 'user day' OR NOT EXISTS (SELECT FROM tenants t WHERE t.id = s.tenant_id))
    RETURNING 1
), kinds AS (
    -- Nobody can add to them any more.
    DELETE FROM cost_kinds k
    WHERE NOT EXISTS (SELECT FROM tenants t WHERE t.id = k.tenant_id)
      AND NOT EXISTS (SELECT FROM cost_sums s
                      WHERE s.tenant_id = k.tenant_id AND s.kind_id = k.kind_id AND s.starts >= $1::text::date::timestamp AT TIME ZONE 'UTC')
    RETURNING 1
), noted AS (
    INSERT INTO cost_retention AS r (rows_from) VALUES ($1::text::date::timestamp AT TIME ZONE 'UTC')
    ON CONFLICT (is_row) DO UPDATE SET rows_from = greatest(r.rows_from, excluded.rows_from)
)
SELECT (SELECT count(*) FROM alerts) AS alerts, (SELECT count(*) FROM ledger) AS ledger, (SELECT count(*) FROM sums) AS sums,
       (SELECT count(*) FROM kinds) AS kinds
