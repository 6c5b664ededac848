-- backup/current_setting
SELECT current_setting($1::text, true) AS value
