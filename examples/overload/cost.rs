//! What audit row and fence cost: calls, and the same work in bare transactions, by turns.

use std::time::{Duration, Instant};

use bailiwick::call::{Call, Tool};
use bailiwick::db::{Deadlines, Door, Pool, PoolOptions};
use bailiwick::identity::Caller;
use serde_json::{Map, Value};
use uuid::Uuid;

use crate::Result;
use crate::figures::percentile_ms;
use crate::service::{Service, document, query};
use crate::world::World;

pub async fn measure(world: &World, service: &Service, runs: usize) -> Result<()> {
    let door = Door::new(Pool::new(service.app.clone(), &PoolOptions::default())?, Deadlines::default());
    let caller = &service.callers[0];
    let (mut search, mut insert) = (Times::default(), Times::default());
    for number in 0..runs + 50 {
        let recorded = service.search(caller, number).await;
        if let Some(code) = recorded.code {
            return Err(format!("a search failed: {}", code.name()).into());
        }
        let bare = bare(&door, &*service.search, caller, query(number)).await?;
        search.add(number, recorded.took, bare);

        let begun = Instant::now();
        service.insert(caller, document(10_000 + 2 * number)).await?;
        let recorded = begun.elapsed();
        let bare = self::bare(&door, &*service.insert, caller, document(10_001 + 2 * number)).await?;
        insert.add(number, recorded, bare);
        if number.is_multiple_of(200) {
            // As `serve` does in the background.
            bailiwick::maintenance::run(&world.admin().await?, None, bailiwick::maintenance::Scope::Due, None).await?;
        }
    }
    println!("{:16} {:>18} {:>18} {:>12}", "p50 of", "with row and fence", "bare transaction", "difference");
    search.print("a search");
    insert.print("an insertion");
    Ok(())
}

/// The tool's own work between the same context and COMMIT, with neither intent nor row.
async fn bare<T: Tool>(door: &Door, tool: &T, caller: &Caller, arguments: Map<String, Value>) -> Result<Duration> {
    let begun = Instant::now();
    let input: T::Input = serde_json::from_value(Value::Object(arguments))?;
    let request = tool.check(input).map_err(|problems| problems.to_string())?;
    let transaction = door.open(caller).await?;
    let call = Call { id: Uuid::now_v7(), caller, started: begun, transaction: &transaction, reader: &transaction };
    tool.run(&call, &request).await?;
    transaction.finish("SELECT 1", &[]).await?;
    Ok(begun.elapsed())
}

#[derive(Default)]
struct Times {
    recorded: Vec<Duration>,
    bare: Vec<Duration>,
}

impl Times {
    /// The first ones are for warming up.
    fn add(&mut self, number: usize, recorded: Duration, bare: Duration) {
        if number >= 50 {
            self.recorded.push(recorded);
            self.bare.push(bare);
        }
    }

    fn print(mut self, what: &str) {
        let (recorded, bare) = (percentile_ms(&mut self.recorded, 0.5), percentile_ms(&mut self.bare, 0.5));
        println!("{what:16} {recorded:15.3} ms {bare:15.3} ms {:9.3} ms", recorded - bare);
    }
}
