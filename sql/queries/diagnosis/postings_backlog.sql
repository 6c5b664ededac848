-- diagnosis/postings_backlog
-- Tenants whose new passages wait to be merged into the word index: each search reads them one by one.
SELECT t.slug AS subject, format('%s passages wait to be merged into the word index', f.waiting) AS detail
FROM tenants t
CROSS JOIN LATERAL (SELECT count(*) AS waiting FROM (SELECT FROM fresh_postings p WHERE p.tenant_id = t.id LIMIT 50000) AS counted) AS f
WHERE f.waiting >= 20000
ORDER BY f.waiting DESC
