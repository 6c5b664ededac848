-- diagnosis/months_ahead
-- Months that are not prepared: this one and the next three.
SELECT parent AS subject, format('has no partition for %s', to_char(month, 'YYYY-MM')) AS detail
FROM unnest(ARRAY['audit_logs', 'cost_tracking']) AS parent
CROSS JOIN generate_series(date_trunc('month', now() AT TIME ZONE 'UTC'), date_trunc('month', now() AT TIME ZONE 'UTC') + interval '3 months', '1 month') AS month
WHERE to_regclass(format('%s_%s', parent, to_char(month, 'YYYY_MM'))) IS NULL
ORDER BY 1, month
