-- costs/zone
SELECT is_time_zone($1::text) AS is_known
