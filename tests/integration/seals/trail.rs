//! A trail to seal and to tamper with.

use std::time::Duration;

use bailiwick::audit::{Expectations, HeadsFile, Keeping, SealKey, Sealed, Sealer, TrustedKeys, Verification, verify};
use tempfile::TempDir;
use tokio_postgres::Client;

use crate::harness::TestDatabase;

/// Transactions of other tests' databases, which share the cluster, hold a seal up as well.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// A database with a key and a file of heads beside it.
pub struct Trail {
    pub database: TestDatabase,
    pub client: Client,
    pub folder: TempDir,
    pub keeping: Keeping,
    pub expectations: Expectations,
}

impl Trail {
    pub async fn create() -> Self {
        let database = TestDatabase::create().await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("signing-key.pem");
        let key = SealKey::load_or_create(&path).unwrap();
        let mut trusted = TrustedKeys::default();
        trusted.add(&folder.path().join("signing-key.pub.pem")).unwrap();
        let keeping = Keeping { key: Some(key), heads: Some(HeadsFile::new(folder.path().join("heads.jsonl"))) };
        let client = database.connect_admin().await;
        Self { client, folder, keeping, expectations: Expectations { trusted, heads: Vec::new() }, database }
    }

    /// Makes a month's partition, as the owner.
    pub async fn partition(&self, month: &str) {
        let sql =
            format!("SET ROLE bailiwick_owner; SELECT create_month_partition('audit_logs', '{month}-01'); RESET ROLE");
        self.client.batch_execute(&sql).await.unwrap();
    }

    /// Adds calls of both tenants that begin a minute apart from that time on.
    pub async fn add(&self, calls: usize, from: &str) {
        let sql = format!(
            "SELECT pg_current_xact_id(); -- before the ids, as the functions do it
             INSERT INTO audit_logs (\"timestamp\", completed_at, tenant_id, user_id, call_id, action, resource, resource_id,
                                     details, outcome, success, error_message, ip_address, user_agent, duration_ms)
             SELECT timestamptz '{from}' + n * interval '1 minute', timestamptz '{from}' + n * interval '61 seconds', t.id,
                    'user ' || n % 3, gen_random_uuid(), 'search', CASE WHEN n % 2 = 0 THEN 'tools/hybrid_search' END,
                    CASE WHEN n % 5 = 0 THEN gen_random_uuid() END, jsonb_build_object('n', n, 'p', 1.50),
                    CASE WHEN n % 4 = 0 THEN 'error' ELSE 'ok' END, n % 4 <> 0, CASE WHEN n % 4 = 0 THEN 'invalid_input' END,
                    CASE WHEN n % 3 = 0 THEN inet '10.0.0.1' END, CASE WHEN n % 3 = 1 THEN 'client' END, n
             FROM generate_series(1, {calls}) AS n
             JOIN tenants t ON t.slug = CASE WHEN n % 2 = 0 THEN 'demo' ELSE 'enterprise' END
             ORDER BY n"
        );
        self.client.batch_execute(&sql).await.unwrap();
    }

    /// Seals all there is.
    pub async fn seal(&self) -> Sealed {
        let mut sealer = Sealer::new(self.keeping.clone());
        sealer.settle(&self.client, PATIENCE).await.unwrap()
    }

    /// What is found with the key and the heads that were kept.
    pub async fn verify(&self) -> Verification {
        let mut expectations = self.expectations.clone();
        expectations.heads = self.keeping.heads.as_ref().unwrap().read(self.database.name()).unwrap();
        verify(&self.client, &expectations).await.unwrap()
    }

    /// Fails unless nothing is wrong.
    pub async fn assert_sound(&self) -> Verification {
        let found = self.verify().await;
        assert!(found.is_sound(), "{:#?}", found.findings);
        found
    }
}
