/// A fault and the check that must find it. It is planted in a transaction that is rolled back, roles included.
pub struct Fault {
    pub what: &'static str,
    pub plant: &'static str,
    pub found_by: &'static str,
}

macro_rules! faults {
    ($($what:literal: $plant:literal => $found_by:literal;)*) => {
        &[$(Fault { what: $what, plant: $plant, found_by: $found_by }),*]
    };
}

pub const FAULTS: &[Fault] = faults! {
    "no FORCE":
        "ALTER TABLE documents NO FORCE ROW LEVEL SECURITY"
        => "tenant tables force row-level security";
    "row-level security off":
        "ALTER TABLE audit_logs DISABLE ROW LEVEL SECURITY"
        => "tenant tables force row-level security";
    "no policy":
        "ALTER POLICY tenant_isolation_policy ON documents RENAME TO kept; CREATE TABLE bare (tenant_id uuid PRIMARY KEY); COMMENT ON TABLE bare IS 'x'; ALTER TABLE bare ENABLE ROW LEVEL SECURITY; ALTER TABLE bare FORCE ROW LEVEL SECURITY"
        => "tenant tables have an isolating policy";
    "a policy whose check is open":
        "ALTER POLICY tenant_isolation_policy ON documents WITH CHECK (true)"
        => "tenant tables have an isolating policy";
    "the reference's policy, which raises on an empty setting":
        "ALTER POLICY tenant_isolation_policy ON documents USING (tenant_id = current_setting('app.current_tenant_id', true)::uuid)"
        => "tenant tables have an isolating policy";
    "the reference's admin policy":
        "CREATE POLICY anybody ON documents FOR ALL USING (current_setting('app.current_user_role', true) = 'admin')"
        => "no other policy opens a table to the application";
    "an open policy":
        "CREATE POLICY open ON cost_tracking FOR SELECT TO bailiwick_definer USING (true)"
        => "the open policies are the known ones";
    "a granted partition":
        "GRANT SELECT ON document_chunks_p00 TO bailiwick_app"
        => "partitions are shut";
    "a partition without row-level security":
        "ALTER TABLE audit_logs_default DISABLE ROW LEVEL SECURITY"
        => "partitions are shut";
    "a unique key over all tenants":
        "CREATE UNIQUE INDEX oracle ON documents (source)"
        => "unique keys include the tenant";
    "a foreign key past the tenant":
        "CREATE TABLE linked (tenant_id uuid, id uuid UNIQUE, PRIMARY KEY (tenant_id, id)); ALTER TABLE idempotency_keys ADD COLUMN linked_id uuid CONSTRAINT linked REFERENCES linked (id)"
        => "foreign keys between tenant tables include the tenant";
    "a table that forgot its tenant":
        "CREATE TABLE forgetful (id uuid PRIMARY KEY); COMMENT ON TABLE forgetful IS 'x'"
        => "tables without a tenant are the known ones";
    "a granted materialized view":
        "GRANT SELECT ON tenant_statistics TO bailiwick_app"
        => "views do not go round row-level security";
    "a view with its owner's powers":
        "CREATE VIEW all_documents AS SELECT * FROM documents"
        => "views do not go round row-level security";
    "the application owns a table":
        "CREATE TABLE owned (tenant_id uuid PRIMARY KEY); ALTER TABLE owned OWNER TO bailiwick_app"
        => "the application's role has no power of its own";
    "temporary tables":
        "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO bailiwick_app', current_database()); END $$"
        => "the application's role has no power of its own";
    "an audit trail that can be edited":
        "GRANT UPDATE, DELETE ON audit_logs TO bailiwick_app"
        => "the application's grants are bounded";
    "a definer function with a loose search_path":
        "CREATE FUNCTION loose() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1'"
        => "definer functions are closed";
    "a definer function for everybody":
        "GRANT EXECUTE ON FUNCTION complete_call(uuid, timestamptz, boolean, text, text, uuid, jsonb, text, inet, integer) TO PUBLIC"
        => "definer functions are closed";
    "a maintenance function for the application":
        "GRANT EXECUTE ON FUNCTION drop_month_partitions(regclass, date) TO bailiwick_app"
        => "functions are executed by whom they are meant for";
    "an undescribed table":
        "COMMENT ON TABLE tenants IS NULL"
        => "tables are described";
    "a row in a default partition":
        "SET app.current_tenant_id = '00000000-0000-0000-0000-000000000001'; INSERT INTO cost_tracking (timestamp, tenant_id, user_id, model_name, provider, input_tokens, output_tokens, input_cost, output_cost) VALUES ('1999-01-01', '00000000-0000-0000-0000-000000000001', 'u', 'm', 'p', 0, 0, 0, 0)"
        => "default partitions are there and empty";
    "a month that is missing":
        "DO $$ BEGIN EXECUTE format('ALTER TABLE audit_logs_%1$s RENAME TO audit_logs_x', to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')); END $$"
        => "three months are prepared";
    "an owner who logs in":
        "ALTER ROLE bailiwick_owner LOGIN"
        => "function owners and the owner log in nowhere";
    "an owner who inherits the statistics' policies":
        "GRANT bailiwick_statistics TO bailiwick_owner WITH INHERIT TRUE"
        => "the owner does not inherit the function owners' policies";
    "an application that is a member of the owner":
        "GRANT bailiwick_owner TO bailiwick_app"
        => "the application's role has no power of its own";
    "an application that bypasses row-level security":
        "ALTER ROLE bailiwick_app BYPASSRLS"
        => "the application's role has no power of its own";
};
