-- diagnosis/extensions
-- Extensions that are missing or older than they should be.
SELECT wanted.name AS subject,
       CASE WHEN e.extversion IS NULL THEN 'is not installed in this database'
            ELSE format('is %s; %s and newer are sound', e.extversion, wanted.least) END AS detail
FROM (VALUES ('vector', '0.8.2'), ('pg_trgm', '1.6')) AS wanted (name, least)
LEFT JOIN pg_extension e ON e.extname = wanted.name
WHERE e.extversion IS NULL
   OR string_to_array(regexp_replace(e.extversion, '[^0-9.].*', ''), '.')::integer[] < string_to_array(wanted.least, '.')::integer[]
ORDER BY 1
