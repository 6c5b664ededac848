//! What is not as it was is found, and named.

use serde_json::{Value, json};

use super::{backup, bailiwick, both, refused, remains, told, world};
use crate::harness::TestDatabase;

/// Something that is changed after a restore, what puts it back, and a text of what must be said.
struct Plant {
    plant: &'static str,
    undo: &'static str,
    told: &'static [&'static str],
}

const PLANTS: &[Plant] = &[
    Plant {
        plant: "SET session_replication_role = replica; UPDATE documents SET content = content || ' ' WHERE id = (SELECT min(id::text)::uuid FROM documents)",
        undo: "SET session_replication_role = replica; UPDATE documents SET content = rtrim(content) WHERE id = (SELECT min(id::text)::uuid FROM documents)",
        told: &["documents has 12 rows as it had, and not the same", "has other rows in documents"],
    },
    Plant {
        plant: "SET session_replication_role = replica; CREATE SCHEMA aside; CREATE TABLE aside.kept AS SELECT * FROM api_keys WHERE tenant_id = (SELECT id FROM tenants WHERE slug = 'demo'); DELETE FROM api_keys WHERE id IN (SELECT id FROM aside.kept)",
        undo: "INSERT INTO api_keys SELECT * FROM aside.kept; DROP SCHEMA aside CASCADE",
        told: &["api_keys has 1 rows and had 2", "the tenant demo has other rows in api_keys"],
    },
    Plant {
        plant: "UPDATE tenants SET settings = '{\"tier\": \"planted\"}' WHERE slug = 'paused'",
        undo: "SET session_replication_role = replica; UPDATE tenants SET settings = '{}', updated_at = created_at WHERE slug = 'paused'",
        told: &["the tenant paused has other rows in tenants"],
    },
    Plant {
        plant: "DROP POLICY tenant_isolation_policy ON documents",
        undo: "CREATE POLICY tenant_isolation_policy ON documents FOR ALL USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid) WITH CHECK (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)",
        told: &["policy documents.tenant_isolation_policy is not there", "isolating_policy"],
    },
    Plant {
        plant: "ALTER POLICY tenant_isolation_policy ON documents USING (true)",
        undo: "ALTER POLICY tenant_isolation_policy ON documents USING (tenant_id = nullif(current_setting('app.current_tenant_id', true), '')::uuid)",
        told: &["policy documents.tenant_isolation_policy is not as it was", "isolating_policy"],
    },
    Plant {
        plant: "ALTER TABLE documents NO FORCE ROW LEVEL SECURITY",
        undo: "ALTER TABLE documents FORCE ROW LEVEL SECURITY",
        told: &["table documents is not as it was", "forced_isolation"],
    },
    Plant {
        plant: "GRANT DELETE ON audit_logs TO bailiwick_app",
        undo: "REVOKE DELETE ON audit_logs FROM bailiwick_app",
        told: &["grants audit_logs is not as it was", "application_powers"],
    },
    Plant {
        plant: "DROP INDEX idx_documents_embedding_pending",
        undo: "",
        told: &["index idx_documents_embedding_pending is not there"],
    },
    Plant {
        plant: "ALTER TABLE documents DISABLE TRIGGER update_documents_updated_at",
        undo: "ALTER TABLE documents ENABLE TRIGGER update_documents_updated_at",
        told: &["trigger documents.update_documents_updated_at is not as it was", "disabled_triggers"],
    },
    Plant {
        plant: "ALTER FUNCTION resolve_tenant(text) OWNER TO postgres",
        undo: "ALTER FUNCTION resolve_tenant(text) OWNER TO bailiwick_identity",
        told: &["function resolve_tenant(text) is not as it was"],
    },
    Plant {
        plant: "CREATE OR REPLACE FUNCTION weigh(a int, b int, c int) RETURNS int LANGUAGE sql AS 'SELECT (a * b) + c'",
        undo: "CREATE OR REPLACE FUNCTION weigh(a int, b int, c int) RETURNS int LANGUAGE sql AS 'SELECT a * (b + c)'",
        told: &["function weigh(integer,integer,integer) is not as it was"],
    },
    Plant {
        plant: "DO $$ BEGIN EXECUTE format('GRANT TEMPORARY ON DATABASE %I TO bailiwick_app', current_database()); END $$",
        undo: "DO $$ BEGIN EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM bailiwick_app', current_database()); END $$",
        told: &["not in the backup: privilege TEMPORARY of bailiwick_app"],
    },
    Plant {
        plant: "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET work_mem = ''5MB''', current_database()); END $$",
        undo: "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I RESET work_mem', current_database()); END $$",
        told: &["not in the backup: setting work_mem = 5MB for everybody"],
    },
    Plant {
        plant: "SELECT setval('audit_logs_id_seq', 1)",
        undo: "SELECT setval('audit_logs_id_seq', 100000)",
        told: &["the sequence audit_logs_id_seq stands at 1 and had given out"],
    },
    Plant {
        plant: "SET session_replication_role = replica; UPDATE audit_logs SET user_id = 'nobody' WHERE id = (SELECT min(id) FROM audit_logs)",
        undo: "",
        told: &["audit_logs has", "as it had, and not the same", "audit  "],
    },
];

#[tokio::test]
async fn whatever_is_changed_behind_a_restore_is_found_and_named() {
    let (database, restored) = (TestDatabase::create().await, TestDatabase::bare().await);
    world::fill(&database).await;
    database
        .execute("CREATE FUNCTION weigh(a int, b int, c int) RETURNS int LANGUAGE sql AS 'SELECT a * (b + c)'")
        .await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    told(&database, &["restore", "--json", "--into", restored.name(), &file]).await;
    let compare = ["restore", "--compare", "--into", restored.name(), file.as_str()];
    let output = bailiwick(&database, &compare).await;
    assert!(output.status.success(), "{}", both(&output));
    let index: String = restored.value("SELECT pg_get_indexdef('idx_documents_embedding_pending'::regclass)").await;
    for plant in PLANTS {
        restored.execute(plant.plant).await;
        let said = refused(&database, &compare).await;
        for wanted in plant.told {
            assert!(said.contains(wanted), "{}: {wanted} is not in\n{said}", plant.plant);
        }
        match plant.undo {
            "" if plant.plant.starts_with("DROP INDEX") => restored.execute(&index).await,
            "" => {}
            undo => restored.execute(undo).await,
        }
    }
}

/// The backup with another word in its manifest, under a right checksum.
pub(super) fn forged(file: &str, to: &str, edit: impl FnOnce(&mut Value)) {
    let bytes = std::fs::read(file).unwrap();
    let end = bytes[..bytes.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap();
    let begin = bytes[..end].iter().rposition(|byte| *byte == b'\n').unwrap();
    let mut manifest: Value = serde_json::from_slice(&bytes[begin + 1..end]).unwrap();
    edit(&mut manifest);
    let json = manifest.to_string();
    let digest = <sha2::Sha256 as sha2::Digest>::digest(json.as_bytes());
    let digest: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forged = bytes[..=begin].to_vec();
    forged.extend(format!("{json}\nbailiwick-backup-2 manifest_bytes={:020} sha256={digest}\n", json.len()).bytes());
    std::fs::write(to, forged).unwrap();
}

#[tokio::test]
async fn what_came_out_another_is_not_put_in_place() {
    let database = TestDatabase::create().await;
    world::fill(&database).await;
    let folder = tempfile::tempdir().unwrap();
    let file = backup(&database, folder.path()).await;
    let other = folder.path().join("other").display().to_string();
    database.execute("INSERT INTO tenants (slug, name) VALUES ('newer', 'Newer')").await;
    forged(&file, &other, |manifest| {
        let tenants = manifest["tables"]["documents"]["tenants"].as_object_mut().unwrap();
        tenants.values_mut().next().unwrap()["checksum"] = json!("0".repeat(64));
    });
    let said = refused(&database, &["restore", "--replace", &other]).await;
    assert!(
        said.contains("documents has 12 rows as it had, and not the same") && said.contains("not put in place"),
        "{said}"
    );
    let there: i64 = database.value("SELECT count(*) FROM tenants WHERE slug = 'newer'").await;
    assert_eq!((there, remains(&database).await), (1, Vec::new()), "the old database is as it was");

    forged(&file, &other, |manifest| manifest["schema_version"] = json!(99));
    let said = refused(&database, &["restore", "--replace", &other]).await;
    assert!(said.contains("schema 000099") && said.contains("newer one"), "{said}");

    forged(&file, &other, |manifest| manifest["roles"] = json!(["bailiwick_app", "somebody_else"]));
    let said = refused(&database, &["restore", "--replace", &other]).await;
    assert!(said.contains("somebody_else") && !said.contains("bailiwick_app,"), "{said}");

    forged(&file, &other, |manifest| manifest["server"]["version"] = json!(990_001));
    let said = refused(&database, &["restore", "--replace", &other]).await;
    assert!(said.contains("older major version"), "{said}");

    forged(&file, &other, |manifest| manifest["dump"]["pg_dump"] = json!("99.1"));
    let said = refused(&database, &["restore", "--replace", &other]).await;
    assert!(said.contains("on a server of PostgreSQL 99"), "{said}");

    forged(&file, &other, |manifest| manifest["server"]["extensions"]["vector"] = json!("99.0"));
    let said = refused(&database, &["restore", "--replace", &other]).await;
    assert!(said.contains("pgvector") && said.contains("99.0"), "{said}");
    assert_eq!(remains(&database).await, [""; 0]);
}
