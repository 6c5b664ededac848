use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::audit::{self, AuditRow, Outcome};
use super::{Answer, Call, Failure, Problems, Tool};
use crate::db::{Door, TenantStatus};
use crate::identity::Caller;

/// Bounds of a call.
#[derive(Debug, Clone, Copy)]
pub struct CallOptions {
    /// A call that takes longer is stopped. The database's own time-outs must be shorter.
    pub deadline: Duration,
}

impl Default for CallOptions {
    fn default() -> Self {
        Self { deadline: Duration::from_secs(10) }
    }
}

/// The client program, as it introduced itself: `audit_logs.user_agent`.
#[derive(Debug, Clone, Default)]
pub struct Client {
    /// Name and version, for example `claude-ai/0.1.0`.
    pub user_agent: Option<String>,
}

/// Runs calls.
#[derive(Clone)]
pub struct Calls {
    door: Door,
    options: CallOptions,
}

/// What every row of one call has in common.
struct Record {
    call_id: Uuid,
    action: &'static str,
    resource: String,
    client: Client,
    started: Instant,
    started_at: jiff::Timestamp,
}

impl Calls {
    /// Calls that go through this door.
    #[must_use]
    pub fn new(door: Door, options: CallOptions) -> Self {
        Self { door, options }
    }

    /// Runs one call to its end, audit row included.
    ///
    /// It runs as a task of its own: a client that goes away does not stop it half-way, and a panic in it is a failure
    /// like any other.
    ///
    /// # Errors
    /// The [`Failure`] that the client is told.
    pub async fn run<T: Tool>(
        &self,
        tool: &Arc<T>,
        caller: &Caller,
        client: Client,
        arguments: Map<String, Value>,
    ) -> Result<T::Output, Failure> {
        let record = Record::new(T::ACTION.name(), T::NAME, client);
        let call_id = record.call_id;
        let (calls, tool, caller) = (self.clone(), Arc::clone(tool), caller.clone());
        let task = tokio::spawn(async move { calls.run_to_end(&tool, &caller, &record, arguments).await });
        match task.await {
            Ok(result) => result,
            Err(_) => Err(Failure::Internal { call_id }),
        }
    }

    async fn run_to_end<T: Tool>(
        &self,
        tool: &Arc<T>,
        caller: &Caller,
        record: &Record,
        arguments: Map<String, Value>,
    ) -> Result<T::Output, Failure> {
        let mut details = Map::new();
        let work = std::panic::AssertUnwindSafe(self.work(tool, caller, record, arguments, &mut details));
        let guarded = futures_util::FutureExt::catch_unwind(work);
        let (failure, outcome) = match tokio::time::timeout(self.options.deadline, guarded).await {
            Ok(Ok(Ok(output))) => return Ok(output),
            Ok(Ok(Err(failure))) => {
                let outcome = Outcome::of(failure.code());
                (failure, outcome)
            }
            // The panic hook has already told the log what and where.
            Ok(Err(_panic)) => (Failure::Internal { call_id: record.call_id }, Outcome::Panic),
            Err(_elapsed) => (Failure::Timeout { limit_s: self.options.deadline.as_secs() }, Outcome::Timeout),
        };
        self.record_failure(caller, record, details, &failure, outcome).await
    }

    /// Everything up to the commit of a successful call.
    async fn work<T: Tool>(
        &self,
        tool: &Arc<T>,
        caller: &Caller,
        record: &Record,
        arguments: Map<String, Value>,
        details: &mut Map<String, Value>,
    ) -> Result<T::Output, Failure> {
        if !caller.scopes.allow(T::SCOPE) {
            return Err(Failure::Forbidden(format!(
                "{} needs the scope {}, which you do not have.",
                T::NAME,
                T::SCOPE
            )));
        }
        let request = prepare(tool, arguments).await.map_err(Failure::InvalidInput)?;
        *details = tool.describe(&request);

        let failed = |error| Failure::from_db(&error, record.call_id);
        let transaction = self.door.open(caller).await.map_err(failed)?;
        let call = Call { id: record.call_id, caller, started: record.started, transaction: &transaction };
        let result = tool.run(&call, &request).await;
        let answer = match (result, status_of(&transaction).await) {
            (Ok(answer), Ok(TenantStatus::Active)) => answer,
            // Whatever a tool found, a tenant that may not call is told nothing of it.
            (_, Ok(status @ (TenantStatus::Suspended | TenantStatus::Deleted))) => {
                transaction.abandon().await;
                return Err(refused(status));
            }
            (Err(failure), _) => {
                transaction.abandon().await;
                return Err(failure);
            }
            (Ok(_), Err(failure)) => {
                transaction.abandon().await;
                return Err(failed(failure));
            }
        };
        let Answer { output, resource_id, details: found } = answer;
        let mut whole = details.clone();
        whole.extend(found);
        let row = AuditRow { resource_id, ..record.row(whole, Outcome::Ok, None) };
        audit::complete(transaction, &row).await.map_err(failed)?;
        Ok(output)
    }

    /// Denies a call that names no tool of ours, for the record.
    pub async fn refuse_unknown(&self, name: &str, caller: &Caller, client: Client) {
        // The name is the client's text: only its length is kept.
        let record = Record::new("unknown", "unknown", client);
        let details = Map::from_iter([("name_chars".to_owned(), name.chars().count().into())]);
        let row = record.row(details, Outcome::Denied, Some("unknown_tool"));
        if let Err(error) = audit::record(&self.door, caller, &row).await {
            tracing::error!(call_id = %record.call_id, %error, "the audit row of a refused call could not be written");
        }
    }

    async fn record_failure<O>(
        &self,
        caller: &Caller,
        record: &Record,
        details: Map<String, Value>,
        failure: &Failure,
        outcome: Outcome,
    ) -> Result<O, Failure> {
        let row = record.row(details, outcome, Some(failure.code().name()));
        if let Err(error) = audit::record(&self.door, caller, &row).await {
            tracing::error!(call_id = %record.call_id, %error, "the audit row of a failed call could not be written");
        }
        Err(failure.clone())
    }
}

impl Record {
    fn new(action: &'static str, tool: &str, client: Client) -> Self {
        let (started, started_at) = (Instant::now(), jiff::Timestamp::now());
        Self { call_id: Uuid::now_v7(), action, resource: format!("tools/{tool}"), client, started, started_at }
    }

    fn row<'a>(&'a self, details: Map<String, Value>, outcome: Outcome, error: Option<&'a str>) -> AuditRow<'a> {
        AuditRow {
            call_id: self.call_id,
            started_at: self.started_at,
            action: self.action,
            resource: &self.resource,
            resource_id: None,
            details,
            outcome,
            error,
            user_agent: self.client.user_agent.as_deref(),
            duration_ms: i32::try_from(self.started.elapsed().as_millis()).unwrap_or(i32::MAX),
        }
    }
}

async fn status_of(transaction: &crate::db::TenantTransaction) -> Result<TenantStatus, crate::db::DbError> {
    transaction.tenant().await.map(|tenant| tenant.status)
}

fn refused(status: TenantStatus) -> Failure {
    Failure::Forbidden(match status {
        TenantStatus::Suspended => "your tenant is suspended; its operator can activate it again.".to_owned(),
        _ => "your tenant does not exist any more.".to_owned(),
    })
}

/// Reads and checks the arguments, on a thread that may be kept busy (a document is cut into passages here) and before
/// there is a transaction to keep waiting.
async fn prepare<T: Tool>(tool: &Arc<T>, arguments: Map<String, Value>) -> Result<T::Request, Problems> {
    let tool = Arc::clone(tool);
    let checked = tokio::task::spawn_blocking(move || tool.check(parse::<T>(arguments)?));
    match checked.await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(request) => request,
        // A panic in a check is one of the call's.
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // Only a runtime that shuts down cancels the thread, and with it this call.
        Err(Err(_cancelled)) => std::future::pending().await,
    }
}

/// Reads arguments into the tool's input; the problem names the path of what does not fit.
fn parse<T: Tool>(arguments: Map<String, Value>) -> Result<T::Input, Problems> {
    serde_path_to_error::deserialize(Value::Object(arguments)).map_err(|error| {
        let path = error.path().to_string();
        let field = if path == "." { "arguments".to_owned() } else { path };
        Problems::one(field, format_args!("does not fit: {}", plain(&error.inner().to_string())))
    })
}

/// serde's words with Rust's type names put into a model's words.
fn plain(text: &str) -> String {
    let Some((given, expected)) = text.rsplit_once("expected ") else { return text.to_owned() };
    let expected = match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number from 0",
        "i8" | "i16" | "i32" | "i64" => "a whole number",
        "f32" | "f64" => "a number",
        "a map" | "a Map" => "an object",
        "a sequence" => "an array",
        other => other,
    };
    format!("{given}expected {expected}")
}
