//! Whether a database is what a backup says it was.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use tokio_postgres::Client;

use super::contents::Contents;
use super::manifest::{Grant, Setting, TableRows};
use super::{BackupError, Manifest, Step, making};
use crate::audit::{self, Expectations, KnownHead};
use crate::db::{WholeSnapshot, admin};
use crate::diagnosis::{self, CHECKS, Finding};

/// Differences of a kind that are told one by one.
const MOST_TOLD: usize = 20;
/// What PostgreSQL may print in other words when it has read its own.
const REPRINTED: [&str; 7] =
    ["view text ", "default ", "constraint ", "index ", "policy text ", "function text ", "trigger text "];
const DEFINITIONS: &str = "definitions";

/// What `doctor` finds in what a dump brings along or a role has; what depends on the hour and on running servers is left to it.
const STRUCTURAL: [&str; 16] = [
    "forced_isolation",
    "isolating_policy",
    "foreign_policies",
    "open_partitions",
    "tenants_in_keys",
    "open_views",
    "application_powers",
    "definer_functions",
    "owning_roles",
    "role_settings",
    "disabled_triggers",
    "unlogged_tables",
    "durability",
    "extensions",
    "invalid_indexes",
    "collations",
];

/// A kind of things that were compared.
#[derive(Debug, Clone, Serialize)]
pub struct Comparison {
    /// What: rows, tenants, schema, definitions, sequences, isolation, audit trail.
    pub what: &'static str,
    /// How many were compared.
    pub compared: u64,
    /// How many are not as they were.
    pub differing: u64,
    /// The first of them, in words.
    pub differences: Vec<String>,
}

/// What came out of a comparison.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// What the backup says, and whether it is so. A difference is a fault of the restore, or of whoever was there since.
    pub comparisons: Vec<Comparison>,
    /// What `doctor` finds, which may have been so when the backup was made.
    pub findings: Vec<Finding>,
    /// What `audit verify` finds, likewise.
    pub audit_faults: Vec<String>,
    /// What is another and may be.
    pub remarks: Vec<String>,
}

impl Verification {
    /// Whether everything is as the backup says.
    #[must_use]
    pub fn is_equal(&self) -> bool {
        self.is_fit(false)
    }

    /// Whether it may take its place: equal, but for other words for the same where those were accepted.
    #[must_use]
    pub fn is_fit(&self, accept_definitions: bool) -> bool {
        let is_accepted = |comparison: &Comparison| accept_definitions && comparison.what == DEFINITIONS;
        self.comparisons.iter().all(|comparison| comparison.differing == 0 || is_accepted(comparison))
    }

    /// Whether nothing else is wrong, either.
    #[must_use]
    pub fn is_sound(&self, accept_definitions: bool) -> bool {
        let is_fault = |finding: &Finding| finding.severity == diagnosis::Severity::Fault;
        self.is_fit(accept_definitions) && self.audit_faults.is_empty() && !self.findings.iter().any(is_fault)
    }
}

impl Comparison {
    fn new(what: &'static str, compared: usize, differences: Vec<String>) -> Self {
        let differing = differences.len() as u64;
        Self {
            what,
            compared: compared as u64,
            differing,
            differences: differences.into_iter().take(MOST_TOLD).collect(),
        }
    }
}

/// Compares a database with a manifest, all of it at one moment: each table's and tenant's rows, sequences, every object of the schema,
/// the end of the audit trail's chain; then has `doctor`'s checks and the audit trail's own made.
///
/// # Errors
/// [`BackupError`] if it could not be compared.
pub async fn verify(
    client: &Client,
    manifest: &Manifest,
    expectations: &Expectations,
    tell: &(dyn Fn(Step) + Sync),
) -> Result<Verification, BackupError> {
    let snapshot = WholeSnapshot::begin(client).await?;
    let contents = Contents::read(&snapshot, tell).await?;
    snapshot.end().await?;
    tell(Step::Verifying { what: "schema".to_owned() });
    let is_same_major = admin::server(client).await?.version / 10_000 == manifest.server.version / 10_000;
    let mut comparisons = vec![
        rows(&manifest.tables, &contents.tables),
        tenants(manifest, &contents),
        sequences(&manifest.sequences, &contents.sequences),
    ];
    comparisons.extend(schema(&manifest.objects, &contents.objects, is_same_major));
    tell(Step::Verifying { what: "isolation".to_owned() });
    admin::see_all_tenants(client).await?;
    let mut findings = Vec::new();
    for check in CHECKS.iter().filter(|check| STRUCTURAL.contains(&check.name)) {
        findings.extend(diagnosis::ask(client, check).await?);
    }
    tell(Step::Verifying { what: "audit trail".to_owned() });
    let mut expectations = expectations.clone();
    expectations.heads.extend(manifest.audit.as_ref().map(|audit| KnownHead {
        seal_no: Some(audit.seal_no),
        head: audit.head,
        source: "the backup".into(),
    }));
    let trail = audit::verify(client, &expectations).await?;
    let has_head = contents.audit == manifest.audit;
    let lost = if has_head {
        Vec::new()
    } else {
        vec!["the chain of seals does not end where it ended in the backup".to_owned()]
    };
    comparisons.push(Comparison::new("audit trail", usize::from(manifest.audit.is_some()), lost));
    let audit_faults = trail.findings.faults.iter().map(ToString::to_string).take(MOST_TOLD).collect();
    Ok(Verification { comparisons, findings, audit_faults, remarks: extensions(manifest, &contents) })
}

/// Compares what stands beside a database: privileges on it, and what its sessions begin with.
///
/// # Errors
/// [`BackupError`] if it could not be compared.
pub async fn verify_surroundings(client: &Client, manifest: &Manifest) -> Result<Comparison, BackupError> {
    let lines = |grants: &[Grant], settings: &[Setting]| {
        let grants = grants.iter().map(|grant| {
            let option = if grant.is_grantable { ", to be passed on" } else { "" };
            format!("privilege {} of {}{option}", grant.privilege, grant.grantee.as_deref().unwrap_or("everybody"))
        });
        let settings = settings.iter().filter(|setting| setting.of_database).map(|setting| {
            let of = setting.role.as_deref().unwrap_or("everybody");
            format!("setting {} = {} for {of}", setting.name, setting.value)
        });
        grants.chain(settings).collect::<BTreeSet<String>>()
    };
    let was = lines(&manifest.database.grants, &manifest.database.settings);
    let (grants, settings) = making::surroundings(client).await?;
    let is = lines(&grants, &settings);
    let missing = was.difference(&is).map(|line| format!("not there: {line}"));
    let new = is.difference(&was).map(|line| format!("not in the backup: {line}"));
    Ok(Comparison::new("privileges and settings", was.union(&is).count(), missing.chain(new).collect()))
}

/// A dump asks for an extension by its name, and gets the server's version of it.
fn extensions(manifest: &Manifest, contents: &Contents) -> Vec<String> {
    let (expected, found) = (&manifest.server.extensions, &contents.extensions);
    let differs = |name: &&String| expected.get(*name) != found.get(*name);
    let version = |of: Option<&String>| of.map_or_else(|| "not there".to_owned(), Clone::clone);
    let told = |name: &String| {
        format!("the extension {name} is {} and was {}", version(found.get(name)), version(expected.get(name)))
    };
    keys(expected, found).into_iter().filter(differs).map(told).collect()
}

/// Each table, and in it each tenant, by number and checksum.
fn rows(expected: &BTreeMap<String, TableRows>, found: &BTreeMap<String, TableRows>) -> Comparison {
    let mut differences = Vec::new();
    for table in keys(expected, found) {
        match (expected.get(table), found.get(table)) {
            (Some(_), None) => differences.push(format!("the table {table} is not there")),
            (None, Some(_)) => differences.push(format!("the table {table} was not in the backup")),
            (Some(was), Some(is)) if was.rows != is.rows => {
                differences.push(format!("{table} has {} rows and had {}", is.rows, was.rows));
            }
            (Some(was), Some(is)) if was != is => {
                differences.push(format!("{table} has {} rows as it had, and not the same", is.rows));
            }
            _ => {}
        }
    }
    Comparison::new("tables", keys(expected, found).len(), differences)
}

/// Each tenant, with the tables in which its rows are others.
fn tenants(manifest: &Manifest, contents: &Contents) -> Comparison {
    let expected: BTreeMap<_, _> = manifest.tenants.iter().map(|tenant| (tenant.id, tenant)).collect();
    let found: BTreeMap<_, _> = contents.tenants.iter().map(|tenant| (tenant.id, tenant)).collect();
    let mut differences = Vec::new();
    for id in keys(&expected, &found) {
        match (expected.get(id), found.get(id)) {
            (Some(was), None) => differences.push(format!("the tenant {} ({id}) is not there", was.slug)),
            (None, Some(is)) => differences.push(format!("the tenant {} ({id}) was not in the backup", is.slug)),
            (Some(was), Some(is)) if (was.rows, was.sha256) != (is.rows, is.sha256) => {
                let id = id.to_string();
                let of = |tables: &BTreeMap<String, TableRows>, table: &str| {
                    tables.get(table).and_then(|all| all.tenants.get(&id)).cloned()
                };
                let names = keys(&manifest.tables, &contents.tables);
                let others =
                    names.into_iter().filter(|table| of(&manifest.tables, table) != of(&contents.tables, table));
                let others: Vec<&str> = others.map(String::as_str).collect();
                differences.push(format!("the tenant {} has other rows in {}", was.slug, others.join(", ")));
            }
            _ => {}
        }
    }
    Comparison::new("tenants", keys(&expected, &found).len(), differences)
}

/// One that has given out less would give out the same again; more is no harm: a dump reads them after its snapshot.
fn sequences(expected: &BTreeMap<String, i64>, found: &BTreeMap<String, i64>) -> Comparison {
    let mut differences = Vec::new();
    for (name, was) in expected {
        match found.get(name) {
            None => differences.push(format!("the sequence {name} is not there")),
            Some(is) if is < was => {
                differences.push(format!("the sequence {name} stands at {is} and had given out {was}"));
            }
            Some(_) => {}
        }
    }
    Comparison::new("sequences", expected.len(), differences)
}

/// What is there and who guards it, and apart from that what PostgreSQL may print in other words. Another major version prints much so:
/// there only what is there is compared.
fn schema(
    expected: &BTreeMap<String, String>,
    found: &BTreeMap<String, String>,
    is_same_major: bool,
) -> Vec<Comparison> {
    let (mut objects, mut definitions, mut texts) = (Vec::new(), Vec::new(), 0);
    for object in keys(expected, found) {
        let is_text = REPRINTED.iter().any(|kind| object.starts_with(kind));
        texts += usize::from(is_text);
        match (expected.get(object), found.get(object)) {
            (Some(_), None) => objects.push(format!("{object} is not there")),
            (None, Some(_)) => objects.push(format!("{object} was not in the backup")),
            (Some(was), Some(is)) if is_same_major && was != is => {
                let differing = if is_text { &mut definitions } else { &mut objects };
                differing.push(format!("{object} is not as it was"));
            }
            _ => {}
        }
    }
    let count = keys(expected, found).len();
    match is_same_major {
        true => {
            vec![Comparison::new("schema objects", count, objects), Comparison::new(DEFINITIONS, texts, definitions)]
        }
        false => vec![Comparison::new("schema objects by name (another major version)", count, objects)],
    }
}

fn keys<'a, K: Ord, V>(one: &'a BTreeMap<K, V>, other: &'a BTreeMap<K, V>) -> BTreeSet<&'a K> {
    one.keys().chain(other.keys()).collect()
}
