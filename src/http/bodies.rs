use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::StatusCode;

use super::HttpOptions;
use super::limits::later;
use super::rooms::{Full, Room, Rooms};
use super::weight::parsed_bytes;
use crate::identity::Caller;

/// What of each body counts for nothing: an ordinary call comes in while large ones hold all there is.
const FREE_BYTES: usize = 16 << 10;
/// The same of what it is once it is parsed.
const FREE_PARSED_BYTES: usize = 64 << 10;
/// What is reserved for a body before it comes; it grows by doubling. With large pages the first byte of a reserved body is two MiB
/// of memory, and sixty bodies of which little comes would take 120.
const FIRST_BYTES: usize = 256 << 10;
/// When a client whose body found no room may come again.
const LATER: Duration = Duration::from_secs(2);

/// What bodies of requests may take of the memory.
///
/// Taken as the bytes come, for a length that is declared need not come, and one that is not declared may; given back once the
/// request has been answered, or its connection has gone.
#[derive(Clone)]
pub(super) struct Bodies {
    rooms: Rooms,
    /// What one user's may take.
    share: usize,
    /// Longest body.
    largest: usize,
    /// Longest wait for it.
    patience: Duration,
}

/// Why a body is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    TooLarge,
    /// It is many values.
    TooHeavy,
    Cut,
    Full(Full),
}

impl From<Full> for Unread {
    fn from(full: Full) -> Self {
        Self::Full(full)
    }
}

impl Bodies {
    pub(super) fn new(options: &HttpOptions) -> Self {
        Self {
            rooms: Rooms::new(
                options.most_body_bytes,
                options.most_body_bytes_of_principal,
                "bailiwick_http_body_bytes",
            ),
            share: options.most_body_bytes_of_principal,
            largest: options.largest_body_bytes,
            patience: options.body_limit,
        }
    }

    /// The whole body, and the room that it takes.
    async fn read(&self, body: Body, caller: &Caller) -> Result<(Bytes, Room), Unread> {
        let declared = usize::try_from(http_body::Body::size_hint(&body).lower()).unwrap_or(usize::MAX);
        if declared > self.largest {
            return Err(Unread::TooLarge);
        }
        let mut room = self.rooms.room(caller);
        // What cannot come in now need not be sent; what can is not held free for it.
        room.fits(declared.saturating_sub(FREE_BYTES))?;
        let (mut whole, mut chunks) = (Vec::with_capacity(declared.min(FIRST_BYTES)), body.into_data_stream());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Unread::Cut)?;
            let length = whole.len() + chunk.len();
            if length > self.largest {
                return Err(Unread::TooLarge);
            }
            room.widen(length.saturating_sub(FREE_BYTES))?;
            // Copied: a chunk keeps all of the buffer that it came in.
            whole.extend_from_slice(&chunk);
        }
        // What is made of it takes far more than itself, where it is many small values. One alone may take all of a user's share.
        let parsed = parsed_bytes(&whole).ok_or(Unread::TooHeavy)?;
        let bytes = whole.len().saturating_sub(FREE_BYTES) + parsed.saturating_sub(FREE_PARSED_BYTES);
        room.widen(bytes.min(self.share))?;
        Ok((whole.into(), room))
    }
}

/// Takes a known caller's body whole, within its bounds of size, time and room, before anything works on it.
pub(super) async fn whole_body(State(bodies): State<Bodies>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let (mut parts, body) = request.into_parts();
    let read = tokio::time::timeout(bodies.patience, bodies.read(body, &caller)).await;
    let unread = match read {
        Ok(Ok((bytes, room))) => {
            // An answer that comes as events begins before the call has ended: the room goes with the request's parts, too.
            let room = Arc::new(room);
            parts.extensions.insert(Arc::clone(&room));
            let response = next.run(Request::from_parts(parts, Body::from(bytes))).await;
            drop(room);
            return response;
        }
        Ok(Err(unread)) => unread,
        Err(_elapsed) => return (StatusCode::REQUEST_TIMEOUT, "the body did not come in time").into_response(),
    };
    match unread {
        Unread::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large").into_response(),
        Unread::TooHeavy => {
            let text = "the body has too many values: about 300,000 numbers or 20,000 objects are the most";
            (StatusCode::PAYLOAD_TOO_LARGE, text).into_response()
        }
        Unread::Cut => (StatusCode::BAD_REQUEST, "the body was cut").into_response(),
        Unread::Full(Full::Principal) => {
            let text = "requests of this user hold as much as one user's may";
            later(StatusCode::SERVICE_UNAVAILABLE, "bodies_of_principal", LATER, text)
        }
        Unread::Full(Full::Tenant) => {
            let text = "requests of this tenant hold as much as one tenant's may";
            later(StatusCode::SERVICE_UNAVAILABLE, "bodies_of_tenant", LATER, text)
        }
        Unread::Full(Full::All) => {
            let text = "requests hold as much memory as they may";
            later(StatusCode::SERVICE_UNAVAILABLE, "bodies", LATER, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Scopes, TenantId, UserId};

    fn caller(user: &str) -> Caller {
        // Each of a tenant of their own, by their first letter; both of `b` are of one.
        let tenant_id = TenantId::from(uuid::Uuid::from_u128(u128::from(user.as_bytes()[0])));
        Caller { tenant_id, user_id: UserId::parse(user).unwrap(), scopes: Scopes::all() }
    }

    fn bodies() -> Bodies {
        Bodies::new(&HttpOptions {
            largest_body_bytes: 100_000,
            most_body_bytes: 90_000,
            most_body_bytes_of_principal: 60_000,
            ..HttpOptions::default()
        })
    }

    fn chunks(sizes: &[usize]) -> Body {
        let chunks: Vec<_> = sizes.iter().map(|size| Ok::<_, std::io::Error>(Bytes::from(vec![b' '; *size]))).collect();
        Body::from_stream(futures_util::stream::iter(chunks))
    }

    #[tokio::test]
    async fn room_is_taken_as_bytes_come_and_given_back() {
        let (bodies, ada, bob) = (bodies(), caller("ada"), caller("bob"));
        let (bytes, first) = bodies.read(chunks(&[30_000, 30_000]), &ada).await.ok().unwrap();
        assert_eq!((bytes.len(), bodies.rooms.taken_bytes()), (60_000, 60_000 - FREE_BYTES));
        assert_eq!(bodies.read(chunks(&[50_000]), &ada).await.err(), Some(Unread::Full(Full::Principal)));
        assert!(bodies.read(chunks(&[FREE_BYTES]), &ada).await.is_ok(), "an ordinary call comes in");
        assert_eq!(bodies.read(chunks(&[60_000, 16_000]), &bob).await.err(), Some(Unread::Full(Full::All)));
        assert!(bodies.read(chunks(&[60_000]), &bob).await.is_ok());
        assert_eq!(bodies.rooms.taken_bytes(), 60_000 - FREE_BYTES, "whoever was refused or has gone holds nothing");
        assert_eq!(bodies.read(chunks(&[60_000, 16_001]), &caller("eve")).await.err(), Some(Unread::Full(Full::All)));
        let second = bodies.read(chunks(&[60_000]), &bob).await.ok().unwrap();
        assert_eq!(bodies.read(chunks(&[40_400]), &caller("ben")).await.err(), Some(Unread::Full(Full::Tenant)));
        drop((first, second));
        assert_eq!(bodies.rooms.taken_bytes(), 0);
    }

    #[tokio::test]
    async fn many_values_take_more_room_than_their_bytes() {
        let (bodies, ada) = (bodies(), caller("ada"));
        let of = |values: usize| Body::from(format!("[{}1]", "1,".repeat(values)));
        let (_, room) = bodies.read(of(1_000), &ada).await.ok().unwrap();
        assert_eq!(bodies.rooms.taken_bytes(), 1_000 * 100 + 300 - FREE_PARSED_BYTES);
        drop(room);
        let (_, _all_of_it) = bodies.read(of(5_000), &ada).await.ok().unwrap();
        assert_eq!(bodies.rooms.taken_bytes(), 60_000, "one alone has all of a user's share");
        assert_eq!(bodies.read(of(1_000), &ada).await.err(), Some(Unread::Full(Full::Principal)));
        let heavy = Body::from(format!("[{}1]", "{},".repeat(40_000)));
        let refused = Bodies::new(&HttpOptions::default()).read(heavy, &ada).await.err();
        assert_eq!(refused, Some(Unread::TooHeavy));
    }

    #[tokio::test]
    async fn nobody_waits_with_more_than_has_come() {
        let (bodies, ada) = (bodies(), caller("ada"));
        let (sender, receiver) = tokio::sync::mpsc::channel::<Result<Bytes, std::io::Error>>(4);
        let stream =
            futures_util::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
        let reading = tokio::spawn({
            let (bodies, ada) = (bodies.clone(), ada.clone());
            async move { bodies.read(Body::from_stream(stream), &ada).await.map(|(bytes, _)| bytes.len()) }
        });
        sender.send(Ok(Bytes::from(vec![b' '; 20_000]))).await.unwrap();
        while bodies.rooms.taken_bytes() == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bodies.rooms.taken_bytes(), 20_000 - FREE_BYTES);
        reading.abort();
        assert!(reading.await.is_err());
        assert_eq!(bodies.rooms.taken_bytes(), 0, "its connection has gone");
        assert_eq!(bodies.read(chunks(&[50_000, 40_000]), &ada).await.err(), Some(Unread::Full(Full::Principal)));
    }
}
