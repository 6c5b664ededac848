-- The roles and extensions stay: they are shared with other databases of the cluster, or with other users of this one.
SET LOCAL ROLE bailiwick_owner;

DROP FUNCTION row_checksums(regclass);
DROP FUNCTION protect_tenant_table(regclass, name);
DROP FUNCTION euclidean_distance(vector, vector);
DROP FUNCTION cosine_similarity(vector, vector);
DROP FUNCTION update_updated_at_column();
DROP FUNCTION current_tenant_id();

ALTER DEFAULT PRIVILEGES FOR ROLE bailiwick_owner IN SCHEMA public REVOKE SELECT ON SEQUENCES FROM bailiwick_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE bailiwick_owner IN SCHEMA public REVOKE SELECT ON TABLES FROM bailiwick_backup;
ALTER DEFAULT PRIVILEGES FOR ROLE bailiwick_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC;

RESET ROLE;
REVOKE USAGE ON SCHEMA public FROM bailiwick_app, bailiwick_backup;
REVOKE USAGE, CREATE ON SCHEMA public FROM bailiwick_owner, bailiwick_definer, bailiwick_identity, bailiwick_statistics, bailiwick_reaper;
