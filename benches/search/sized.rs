//! The world that is searched: tenants of many sizes in one database.

use std::time::Instant;

use bailiwick::identity::TenantId;
use bailiwick::maintenance::{self, Scope};
use serde_json::{Value, json};

use crate::Arguments;
use crate::world::client::{MODEL, Service};
use crate::world::database::{Database, Loaded};
use crate::world::debian::Text;
use crate::world::vectors::Space;
use crate::world::{Result, skew};

const NAME: &str = "bench_search";

/// A tenant of the bench.
pub struct Sized {
    pub id: TenantId,
    pub number: usize,
    pub chunks: usize,
}

/// A database with its tenants, and what it took to make it.
pub struct World {
    pub database: Database,
    pub tenants: Vec<Sized>,
    pub load_s: f64,
    pub maintain_s: f64,
    pub maintenance: Value,
}

impl World {
    /// Fills a database, or finds one that was filled alike.
    pub async fn make(arguments: &Arguments, texts: &[Text], space: &Space) -> Result<Self> {
        let Arguments { chunks, dimensions, words_only, .. } = *arguments;
        let mut sizes = if words_only { vec![chunks] } else { skew::tenants(chunks) };
        // One whose size is the same however large the others are.
        sizes.push(1_000);
        let named = format!("{chunks} x {dimensions}, words only: {words_only}");
        if arguments.reuse
            && let Some(database) = Database::reuse(NAME, &named).await?
        {
            let mut tenants = Vec::new();
            for (number, chunks) in sizes.into_iter().enumerate() {
                tenants.push(Sized { id: database.known_tenant(&slug(number)).await?, number, chunks });
            }
            println!("{named}: as an earlier run left it");
            return Ok(Self { database, tenants, load_s: 0.0, maintain_s: 0.0, maintenance: json!(null) });
        }
        let database = Database::create(NAME, dimensions).await?;
        // Its model is registered.
        Service::start(&database).await?;
        let started = Instant::now();
        let mut tenants = Vec::new();
        // Texts in no order, so that each tenant has a bit of everything.
        let step = coprime(texts.len());
        let mut next = 0;
        for (number, chunks) in sizes.into_iter().enumerate() {
            let id = database.tenant(&slug(number)).await?;
            let first = next;
            let documents = (0..chunks).map(|at| {
                let text = &texts[(first + at) * step % texts.len()];
                let vector = (!words_only).then(|| space.document(number, at));
                Loaded { title: text.title.clone(), body: text.body.clone(), vector }
            });
            database.load(id, MODEL, documents, 500).await?;
            next += chunks;
            tenants.push(Sized { id, number, chunks });
        }
        let load_s = started.elapsed().as_secs_f64();
        let started = Instant::now();
        let client = database.connect().await?;
        let observer = database.connect().await?;
        let report = maintenance::run(&client, Some(&observer), Scope::Everything, None).await?;
        let maintain_s = started.elapsed().as_secs_f64();
        client.batch_execute("VACUUM (ANALYZE)").await?;
        client.batch_execute("CHECKPOINT").await?;
        database.is_ready(NAME, &named).await?;
        println!("{named}: loaded in {load_s:.0} s, maintained in {maintain_s:.0} s");
        Ok(Self { database, tenants, load_s, maintain_s, maintenance: json!(report) })
    }
}

fn slug(number: usize) -> String {
    format!("tenant-{number}")
}

/// A stride that visits every text once.
fn coprime(count: usize) -> usize {
    let mut step = 7_919;
    while count.is_multiple_of(step) {
        step += 2;
    }
    step
}
