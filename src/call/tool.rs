use std::time::Instant;

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::{Action, After, Ahead, Failure, Last, Problems, ReadFrom};
use crate::db::{DbError, TenantTransaction};
use crate::identity::{Caller, Scope};

/// What clients may assume of a tool (MCP tool annotations).
#[derive(Debug, Clone, Copy)]
pub struct Hints {
    /// It changes nothing.
    pub read_only: bool,
    /// Calling it again with the same arguments changes nothing more.
    pub idempotent: bool,
    /// It may overwrite or remove what is there.
    pub destructive: bool,
}

/// A tool: it checks its input, works in the one transaction it is handed, and answers. Everything else about a call
/// is the wrapper's.
pub trait Tool: Send + Sync + 'static {
    /// Arguments as the client sends them; its schema is the tool's input schema.
    type Input: DeserializeOwned + JsonSchema + Send + 'static;
    /// Arguments once they have been checked.
    type Request: Send + Sync + 'static;
    /// The structured result; its schema is the tool's output schema.
    type Output: Serialize + JsonSchema + Send;

    /// Where it is reached, in the audit trail before its name: `tools`, unless it stands behind another method.
    const SURFACE: &'static str = "tools";
    /// Name in `tools/list`.
    const NAME: &'static str;
    /// Title for people.
    const TITLE: &'static str;
    /// The model's manual.
    const DESCRIPTION: &'static str;
    /// What the caller must be allowed to do.
    const SCOPE: Scope;
    /// What it is in the audit trail.
    const ACTION: Action;
    /// Whether the caller's own spending limits bind what it spends: not what the server spends by itself.
    const BINDS_USER: bool = true;
    /// Whether it changes nothing and reads only through [`Call::reader`], which may be a replica's transaction then.
    const READS_REPLICA: bool = false;
    /// What clients may assume.
    const HINTS: Hints;

    /// Checks every bound of the input, and does what work needs no database. It may take its time.
    ///
    /// # Errors
    /// All problems together, each naming its field.
    fn check(&self, input: Self::Input) -> Result<Self::Request, Problems>;

    /// What the audit row may tell of the request: lengths, counts and ids, never text. Nothing by default.
    fn describe(&self, request: &Self::Request) -> Map<String, Value> {
        let _ = request;
        Map::new()
    }

    /// A text of the request that stands in the audit row as its HMAC, or as itself where the tenant wants it so.
    fn query<'a>(&self, request: &'a Self::Request) -> Option<&'a str> {
        let _ = request;
        None
    }

    /// What is slow and needs no transaction (a model is asked), before there is one; what comes of it goes into the request.
    /// The call's deadline and cancellation hold here, too. Whoever spends money has it held by [`Ahead::reserve`] first.
    ///
    /// # Errors
    /// A [`Failure`], with which the call ends before it has begun anything.
    fn prepare(
        &self,
        ahead: &Ahead<'_>,
        request: &mut Self::Request,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (ahead, request);
        async { Ok(()) }
    }

    /// Does the work, in the transaction that the wrapper will commit.
    fn run(
        &self,
        call: &Call<'_>,
        request: &Self::Request,
    ) -> impl Future<Output = Result<Answer<Self::Output>, Failure>> + Send;

    /// Has the answer tell where it was read, where there is a replica.
    fn note_reading(output: &mut Self::Output, from: ReadFrom) {
        let _ = (output, from);
    }

    /// Once the work is committed and before its answer leaves: a place to wait for what others do about it. It cannot fail any
    /// more, and is cut short when the call's time is up or its client takes it back.
    fn after(
        &self,
        after: &After<'_>,
        request: &Self::Request,
        output: &mut Self::Output,
    ) -> impl Future<Output = ()> + Send {
        let _ = (after, request, output);
        async {}
    }
}

/// A call under way.
pub struct Call<'a> {
    /// Its id, as in the audit trail.
    pub id: Uuid,
    /// Who calls.
    pub caller: &'a Caller,
    /// When it arrived.
    pub started: Instant,
    /// Its transaction, in the caller's context.
    pub transaction: &'a TenantTransaction,
    /// Where a tool that [`READS_REPLICA`](Tool::READS_REPLICA) reads: a replica's transaction in the same context, or the call's
    /// own. It may be asked twice, once of each.
    pub reader: &'a TenantTransaction,
}

impl Call<'_> {
    /// Turns a database error into what the caller of this call may know.
    #[must_use]
    pub fn failed(&self, error: &DbError) -> Failure {
        if !std::ptr::eq(self.reader, self.transaction) && self.reader.failure().is_some() {
            // The wrapper tells the log, and the caller nothing: the primary is asked next.
            return Failure::Internal { call_id: self.id };
        }
        Failure::from_db(error, self.id)
    }

    /// Milliseconds since the call arrived.
    #[must_use]
    pub fn elapsed_ms(&self) -> f64 {
        (self.started.elapsed().as_secs_f64() * 1e6).round() / 1e3
    }
}

/// A tool's answer with what its audit row tells of it.
pub struct Answer<T> {
    /// The structured result.
    pub output: T,
    /// The one row the call was about, if it was about one.
    pub resource_id: Option<Uuid>,
    /// Counts and ids of the result, added to the request's description.
    pub details: Map<String, Value>,
    /// What it still needs.
    pub last: Option<Last<T>>,
}

impl<T> Answer<T> {
    /// An answer about no row in particular, of which the trail tells nothing more.
    #[must_use]
    pub fn new(output: T) -> Self {
        Self { output, resource_id: None, details: Map::new(), last: None }
    }

    /// Names the row that the call was about, if it was about one.
    #[must_use]
    pub fn about(self, resource_id: impl Into<Option<Uuid>>) -> Self {
        Self { resource_id: resource_id.into(), ..self }
    }

    /// Names the counts and ids of the result that the trail tells.
    #[must_use]
    pub fn telling(self, details: Map<String, Value>) -> Self {
        Self { details, ..self }
    }

    /// Names what the answer still needs, if it needs something.
    #[must_use]
    pub fn then(self, last: impl Into<Option<Last<T>>>) -> Self {
        Self { last: last.into(), ..self }
    }
}
