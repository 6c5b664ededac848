use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::HttpOptions;
use super::limits::later;
use super::rooms::{Full, Room, Rooms};
use crate::identity::Caller;

/// What of each answer is given whatever else waits: those of ordinary calls.
pub(super) const FREE_BYTES: usize = 64 << 10;
/// When a client whose answers wait may come again.
const LATER: Duration = Duration::from_secs(2);

/// What answers that wait to be read may take of the memory: beside what the system has taken of them, each is held until its
/// reader has taken it.
#[derive(Clone)]
pub(super) struct Unread(Rooms);

/// Whose answers are: among a request's extensions for who gathers several, and among an answer's for the connection, which sees
/// what goes of it.
#[derive(Clone)]
pub(super) struct Reader {
    unread: Unread,
    caller: Caller,
    /// For an answer whose length is known.
    reserved: Arc<Mutex<Option<Room>>>,
}

impl Unread {
    pub(super) fn new(options: &HttpOptions) -> Self {
        let (most, most_of_principal) = (options.most_unread_bytes, options.most_unread_bytes_of_principal);
        Self(Rooms::letting_one_alone(most, most_of_principal, "bailiwick_http_unread_bytes"))
    }
}

impl Reader {
    fn new(unread: Unread, caller: Caller, reserved: Option<Room>) -> Self {
        Self { unread, caller, reserved: Arc::new(Mutex::new(reserved)) }
    }

    /// Room for an answer, as it is written: what was reserved for it, if anything was.
    pub(super) fn room(&self) -> Room {
        let reserved = self.reserved.lock().unwrap_or_else(PoisonError::into_inner).take();
        reserved.unwrap_or_else(|| self.unread.0.room(&self.caller))
    }

    /// Whether nothing more is to be begun for this user.
    pub(super) fn is_full(&self) -> bool {
        self.unread.0.is_full_for(&self.caller).is_some()
    }
}

/// Begins nothing for a user whose answers wait to be read and are as much as they may be. An answer that has become more than
/// there is room for is not given, unless it is the only one of its user.
pub(super) async fn let_on(State(unread): State<Unread>, mut request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if let Some(full) = unread.0.is_full_for(&caller) {
        return put_off(full);
    }
    request.extensions_mut().insert(Reader::new(unread.clone(), caller.clone(), None));
    let mut response = next.run(request).await;
    let bytes = http_body::Body::size_hint(response.body()).exact().unwrap_or_default();
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let mut room = unread.0.room(&caller);
    if let Err(full) = room.widen(bytes.saturating_sub(FREE_BYTES)) {
        return lost(full);
    }
    response.extensions_mut().insert(Reader::new(unread, caller, Some(room)));
    response
}

fn reason(full: Full) -> &'static str {
    match full {
        Full::Principal => "unread_of_principal",
        Full::Tenant => "unread_of_tenant",
        Full::All => "unread",
    }
}

/// Nothing was begun.
fn put_off(full: Full) -> Response {
    let text = match full {
        Full::Principal => "answers to this user wait to be read, as much as one user's may: read them first",
        Full::Tenant => "answers to this tenant wait to be read, as much as one tenant's may: read yours first",
        Full::All => "answers that wait to be read hold as much memory as they may: read yours first",
    };
    later(StatusCode::SERVICE_UNAVAILABLE, reason(full), LATER, text)
}

/// The call has been made. Whoever made it anew at once would do it twice, so nobody is told when to come again.
fn lost(full: Full) -> Response {
    metrics::counter!("bailiwick_http_refused_total", "reason" => reason(full)).increment(1);
    let text = match full {
        Full::Principal => {
            "what was asked is done, but other answers to this user wait to be read, and with this one they are more than one user's may be: read them first"
        }
        Full::Tenant => {
            "what was asked is done, but its answer finds no room beside others to this tenant that wait to be read"
        }
        Full::All => "what was asked is done, but its answer finds no room beside others that wait to be read",
    };
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}
