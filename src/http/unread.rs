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
/// When a client whose answer found no room may come again.
const LATER: Duration = Duration::from_secs(2);

/// What answers that wait to be read may take of the memory: beside what the system has taken of them, each is held until its
/// reader has taken it.
#[derive(Clone)]
pub(super) struct Unread(Rooms);

/// Whose an answer is, among its extensions: for the connection, which sees what goes of it.
#[derive(Clone)]
pub(super) struct Reader {
    unread: Unread,
    caller: Caller,
}

impl Unread {
    pub(super) fn new(options: &HttpOptions) -> Self {
        let (most, most_of_principal) = (options.most_unread_bytes, options.most_unread_bytes_of_principal);
        Self(Rooms::new(most, most_of_principal, "bailiwick_http_unread_bytes"))
    }
}

impl Reader {
    /// Room for an answer, as it is written.
    pub(super) fn room(&self) -> Room {
        self.unread.0.room(&self.caller)
    }
}

/// Begins nothing for a user whose answers wait to be read and are as much as they may be. An answer that has become more than
/// there is room for is not given, but put off: who asks again gets it.
pub(super) async fn let_on(State(unread): State<Unread>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    if let Some(full) = unread.0.is_full_for(&caller) {
        return put_off(full);
    }
    let mut response = next.run(request).await;
    let bytes = http_body::Body::size_hint(response.body()).exact().unwrap_or_default();
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    if let Err(full) = unread.0.room(&caller).fits(bytes.saturating_sub(FREE_BYTES)) {
        return put_off(full);
    }
    response.extensions_mut().insert(Reader { unread, caller });
    response
}

fn put_off(full: Full) -> Response {
    let (reason, text) = match full {
        Full::OfPrincipal => {
            ("unread_of_principal", "answers to this user wait to be read, as much as one user's may: read them first")
        }
        Full::OfAll => ("unread", "answers that wait to be read hold as much memory as they may: read yours first"),
    };
    later(StatusCode::SERVICE_UNAVAILABLE, reason, LATER, text)
}
