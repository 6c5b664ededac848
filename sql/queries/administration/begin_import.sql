-- administration/begin_import
-- Nobody gets in before it is whole. Without limits meanwhile, which are those of the whole.
INSERT INTO tenants (slug, name, status, import_sha256) VALUES ($1::text, $2::text, 'deleted', $3::bytea)
ON CONFLICT (slug) DO NOTHING
RETURNING id
