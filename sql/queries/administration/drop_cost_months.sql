-- administration/drop_cost_months
SELECT drop_month_partitions('cost_tracking', $1::text::date) AS dropped
