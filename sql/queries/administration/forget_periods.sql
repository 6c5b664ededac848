-- administration/forget_periods
-- What was summed up of costs that are dropped, and told of them.
WITH alerts AS (
    DELETE FROM budget_alerts WHERE starts < $1::text::date RETURNING 1
), sums AS (
    DELETE FROM budget_ledger WHERE starts < $1::text::date RETURNING 1
)
SELECT (SELECT count(*) FROM alerts) AS alerts, (SELECT count(*) FROM sums) AS sums
