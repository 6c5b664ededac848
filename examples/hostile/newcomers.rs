//! Honest clients that come while an attack lasts, each on a connection of its own.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use reqwest::Client;
use serde_json::Value;

use crate::Result;
use crate::attacks::FIRST_ADDRESS;
use crate::honest::status;
use crate::served::Served;

/// How often one comes.
const EVERY: Duration = Duration::from_millis(50);
/// An address that nobody else has.
const ALONE: u8 = 200;

#[derive(Clone, Default)]
pub struct Newcomers {
    pub answered: u64,
    pub failed: u64,
    pub slowest_ms: f64,
}

impl Newcomers {
    /// They come until that time is over: to call a tool from the honest clients' address, and to ask after the server's health from
    /// an address of their own, and from one of the attackers'.
    pub async fn come(served: &Served, time: Duration) -> Self {
        let (begun, mut newcomers) = (Instant::now(), Self::default());
        let mut turns = (0..3).cycle();
        while begun.elapsed() < time {
            let came = Instant::now();
            let answered = match turns.next() {
                Some(0) => call(served).await,
                Some(1) => health(served, ALONE).await,
                _ => health(served, FIRST_ADDRESS).await,
            };
            match answered {
                Ok(true) => newcomers.answered += 1,
                Ok(false) | Err(_) => newcomers.failed += 1,
            }
            newcomers.slowest_ms = newcomers.slowest_ms.max(came.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep(EVERY).await;
        }
        newcomers
    }
}

fn client(last: u8) -> Result<Client> {
    let address = Ipv4Addr::new(127, 0, 0, last);
    Ok(Client::builder().local_address(Some(address.into())).timeout(Duration::from_secs(5)).build()?)
}

async fn call(served: &Served) -> Result<bool> {
    let reply: Value = status(&client(1)?, &format!("http://{}/mcp", served.address), &served.key, 1).await?;
    Ok(reply["result"]["isError"] == false)
}

async fn health(served: &Served, last: u8) -> Result<bool> {
    let response = client(last)?.get(format!("http://{}/healthz", served.address)).send().await?;
    Ok(response.status().is_success())
}
