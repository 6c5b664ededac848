-- resources/languages
SELECT l.language FROM tenant_languages l WHERE l.tenant_id = $1::uuid ORDER BY l.language
