-- administration/hold_cost_months
SELECT hold_month_partitions('cost_tracking', $1::text::date) AS held
