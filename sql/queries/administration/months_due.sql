-- administration/months_due
-- Months of a table that are older than so many whole ones before this month, the oldest first.
SELECT to_char(m.month, 'YYYY-MM') AS month
FROM month_partitions($1::text::regclass,
                      (date_trunc('month', coalesce($3::text::date, (now() AT TIME ZONE 'UTC')::date)) - make_interval(months => $2::integer))::date) AS m
ORDER BY m.month
