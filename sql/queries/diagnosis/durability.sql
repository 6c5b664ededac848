-- diagnosis/durability
-- Settings under which what was committed can be lost: a call that was answered without its row in the trail.
SELECT s.name AS subject, format('is %s', s.setting) AS detail
FROM pg_settings s
WHERE s.name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND s.setting = 'off'
ORDER BY 1
