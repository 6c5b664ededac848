use std::time::Instant;

use serde_json::{Value, json};

use crate::Sized;
use crate::world::Result;
use crate::world::database::Database;
use crate::world::debian::{self, Text};
use crate::world::latency::Latency;
use crate::world::vectors::Space;

const SQL: &str = include_str!("reference.sql");

/// Times the reference design's function on the tenant, as a role under its row-level security.
pub async fn measure(
    database: &Database,
    space: &Space,
    texts: &[Text],
    tenant: &Sized,
    dimensions: u16,
) -> Result<Value> {
    let client = database.connect().await?;
    let started = Instant::now();
    client.batch_execute(&SQL.replace("DIMENSIONS", &dimensions.to_string())).await?;
    let build_s = started.elapsed().as_secs_f64();
    client
        .batch_execute(&format!(
            "SET search_path = reference, public; SET ROLE bailiwick_app; SET app.current_tenant_id = '{}'",
            tenant.id
        ))
        .await?;
    let mut latency = Latency::default();
    for (number, query) in debian::queries(texts, 3, 5).into_iter().enumerate() {
        let vector = format!("{:?}", space.query_like(tenant.number, number));
        let started = Instant::now();
        let sql = "SELECT count(*) FROM hybrid_search($1::text::uuid, $2, $3::text::vector)";
        client.query_one(sql, &[&tenant.id.to_string(), &query, &vector]).await?;
        latency.add(started);
    }
    println!(
        "\nreference function, {} chunks: {} ms (its table and indexes were made in {build_s:.0} s)",
        tenant.chunks,
        latency.cell()
    );
    Ok(json!({ "chunks": tenant.chunks, "call": latency.json(), "build_s": build_s }))
}
