//! After the storm: how long it takes until every call is closed and nothing waits on disk.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::Result;
use crate::storm::Storm;

/// How long new servers may take to put in order what the old ones left.
const SUCCESSORS: Duration = Duration::from_secs(30);

/// What the end was like.
#[derive(Debug, Clone)]
pub struct Settled {
    pub took: Duration,
    /// The servers of the storm did it, without successors.
    pub by_the_servers: bool,
}

/// Waits, first for the servers that lived through the storm, then for successors; ends all of them.
pub async fn settle(storm: &Storm) -> Result<Settled> {
    let begun = Instant::now();
    let by_the_servers = is_settled_within(storm, storm.arguments.settling()).await?;
    if !by_the_servers {
        for lane in &storm.lanes {
            let old = Arc::clone(&*lane.session.read().await);
            storm.end(&old).await;
            storm.replace(lane, &old).await?;
        }
        is_settled_within(storm, SUCCESSORS).await?;
    }
    let took = begun.elapsed();
    for lane in &storm.lanes {
        let session = Arc::clone(&*lane.session.read().await);
        storm.end(&session).await;
        storm.deeds.lock().await.sessions.push((session.number, session.fate()));
    }
    Ok(Settled { took, by_the_servers })
}

async fn is_settled_within(storm: &Storm, patience: Duration) -> Result<bool> {
    let begun = Instant::now();
    let client = storm.world.admin().await?;
    loop {
        let intents: i64 = client.query_one("SELECT count(*) FROM call_intents", &[]).await?.get(0);
        let spooled = spooled_files(storm)?;
        let held = storm.weather.held.load(Ordering::Relaxed);
        if intents == 0 && spooled == 0 && held == 0 {
            return Ok(true);
        }
        // What is held in the network comes whatever we do.
        if begun.elapsed() > patience && held == 0 {
            eprintln!("not settled after {:.0?}: {intents} intents, {spooled} segments of the spool", begun.elapsed());
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

pub fn spooled_files(storm: &Storm) -> Result<usize> {
    Ok(std::fs::read_dir(storm.spool())?.count())
}
