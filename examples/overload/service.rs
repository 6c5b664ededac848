//! Calls on a database with some documents, without a protocol in between.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bailiwick::call::{CallOptions, Calls, Client, Failure, FailureCode};
use bailiwick::identity::{Caller, Scopes, TenantId, UserId};
use bailiwick::maintenance::{self, Scope};
use bailiwick::tools::{EmbeddingSpace, HybridSearch, InsertDocument};
use serde_json::{Map, Value, json};
use tokio_postgres::Config;
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::world::{DATABASE, World};

pub struct Service {
    pub calls: Calls,
    pub callers: Vec<Caller>,
    pub search: Arc<HybridSearch>,
    pub insert: Arc<InsertDocument>,
    pub app: Config,
}

/// How a call ended, and when.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    pub code: Option<FailureCode>,
    pub took: Duration,
}

impl Service {
    pub async fn open(world: &World, documents: usize) -> Result<Self> {
        let mut app = Config::new();
        app.host_path(world.socket().parent().ok_or("a socket without a folder")?);
        app.user("bailiwick_app").dbname(DATABASE);
        let space = EmbeddingSpace {
            dimensions: world.dimensions(),
            model_id: world.model_id,
            model_name: "torture".to_owned(),
            ..EmbeddingSpace::default()
        };
        let user_id = UserId::parse("caller")?;
        let callers = world.tenants.iter().map(|tenant| Caller {
            tenant_id: TenantId::from(*tenant),
            user_id: user_id.clone(),
            scopes: Scopes::all(),
        });
        let service = Self {
            calls: Calls::open(&app, &CallOptions::new(world.folder("spool")))?,
            callers: callers.collect(),
            search: Arc::new(HybridSearch { space: space.clone() }),
            insert: Arc::new(InsertDocument { space }),
            app,
        };
        for caller in &service.callers {
            for number in 0..documents {
                service.insert(caller, document(number)).await?;
            }
        }
        maintenance::run(&world.admin().await?, None, Scope::Everything, None).await?;
        Ok(service)
    }

    pub async fn insert(&self, caller: &Caller, arguments: Map<String, Value>) -> std::result::Result<(), Failure> {
        let token = CancellationToken::new();
        self.calls.run(&self.insert, caller, Client::default(), arguments, &token).await.map(drop)
    }

    pub async fn search(&self, caller: &Caller, number: usize) -> Ended {
        let begun = Instant::now();
        let token = CancellationToken::new();
        let found = self.calls.run(&self.search, caller, Client::default(), query(number), &token).await;
        Ended { code: found.err().map(|failure| failure.code()), took: begun.elapsed() }
    }
}

/// A document of a few hundred words, some of them shared with others.
pub fn document(number: usize) -> Map<String, Value> {
    let words: Vec<_> = (0..200).map(|place| format!("word{}", (number * 31 + place * place) % 997)).collect();
    object(json!({ "title": format!("document {number}"), "content": words.join(" "), "language": "en" }))
}

pub fn query(number: usize) -> Map<String, Value> {
    object(json!({ "query": format!("word{} word{}", number % 997, (number * 7) % 997), "limit": 5 }))
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}
