-- administration/cost_rows
-- With every decimal.
SELECT to_jsonb(c)::text AS row_json
FROM cost_tracking c
WHERE c."timestamp" >= $1::text::date::timestamp AT TIME ZONE 'UTC' AND c."timestamp" < ($1::text::date + interval '1 month') AT TIME ZONE 'UTC'
ORDER BY c."timestamp", c.id
