use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use http::StatusCode;

use super::HttpOptions;
use super::limits::later;
use crate::identity::{Caller, TenantId, UserId};

/// What of each body counts for nothing: an ordinary call comes in while large ones hold all there is.
const FREE_BYTES: usize = 16 << 10;
/// When a client whose body found no room may come again.
const LATER: Duration = Duration::from_secs(2);

/// What bodies of requests may take of the memory: so many bytes in all, and so many of one user of a tenant.
///
/// Taken as the bytes come, for a length that is declared need not come, and one that is not declared may; given back once the
/// request has been answered, or its connection has gone.
#[derive(Clone)]
pub(super) struct Bodies(Arc<Shared>);

struct Shared {
    most: usize,
    most_of_principal: usize,
    /// Longest body.
    largest: usize,
    /// Longest wait for it.
    patience: Duration,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    all: usize,
    by_principal: HashMap<(TenantId, UserId), usize>,
}

/// What one body takes, given back when it is dropped.
struct Room {
    bodies: Bodies,
    principal: (TenantId, UserId),
    bytes: usize,
}

/// Why a body is not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unread {
    TooLarge,
    Cut,
    FullOfPrincipal,
    Full,
}

impl Bodies {
    pub(super) fn new(options: &HttpOptions) -> Self {
        Self(Arc::new(Shared {
            most: options.most_body_bytes,
            most_of_principal: options.most_body_bytes_of_principal,
            largest: options.largest_body_bytes,
            patience: options.body_limit,
            taken: Mutex::default(),
        }))
    }

    fn room(&self, caller: &Caller) -> Room {
        Room { bodies: self.clone(), principal: (caller.tenant_id, caller.user_id.clone()), bytes: 0 }
    }

    /// The whole body, and the room that it takes.
    async fn read(&self, body: Body, caller: &Caller) -> Result<(Bytes, Room), Unread> {
        let declared = usize::try_from(http_body::Body::size_hint(&body).lower()).unwrap_or(usize::MAX);
        if declared > self.0.largest {
            return Err(Unread::TooLarge);
        }
        let mut room = self.room(caller);
        // What cannot come in now need not be sent; what can is not held free for it.
        room.missing(&self.taken(), declared.saturating_sub(FREE_BYTES))?;
        // Reserved, it is no memory before bytes are written to it; grown bit by bit it would be copied, and take more.
        let (mut whole, mut chunks) = (Vec::with_capacity(declared), body.into_data_stream());
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| Unread::Cut)?;
            let length = whole.len() + chunk.len();
            if length > self.0.largest {
                return Err(Unread::TooLarge);
            }
            room.widen(length.saturating_sub(FREE_BYTES))?;
            // Copied: a chunk keeps all of the buffer that it came in.
            whole.extend_from_slice(&chunk);
        }
        Ok((whole.into(), room))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Room {
    /// Takes what is missing to so many bytes.
    fn widen(&mut self, bytes: usize) -> Result<(), Unread> {
        let mut taken = self.bodies.taken();
        let more = self.missing(&taken, bytes)?;
        if more > 0 {
            taken.all += more;
            *taken.by_principal.entry(self.principal.clone()).or_default() += more;
            metrics::gauge!("bailiwick_http_body_bytes").set(taken.all as f64);
        }
        drop(taken);
        self.bytes += more;
        Ok(())
    }

    /// How much is missing to so many bytes, if it is there.
    fn missing(&self, taken: &Taken, bytes: usize) -> Result<usize, Unread> {
        let more = bytes.saturating_sub(self.bytes);
        if more == 0 {
            return Ok(0);
        }
        let Shared { most, most_of_principal, .. } = *self.bodies.0;
        if taken.by_principal.get(&self.principal).copied().unwrap_or_default() + more > most_of_principal {
            return Err(Unread::FullOfPrincipal);
        }
        if taken.all + more > most { Err(Unread::Full) } else { Ok(more) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        if self.bytes == 0 {
            return;
        }
        let mut taken = self.bodies.taken();
        taken.all -= self.bytes;
        if let Some(bytes) = taken.by_principal.get_mut(&self.principal) {
            *bytes -= self.bytes;
            if *bytes == 0 {
                taken.by_principal.remove(&self.principal);
            }
        }
        metrics::gauge!("bailiwick_http_body_bytes").set(taken.all as f64);
    }
}

/// Takes a known caller's body whole, within its bounds of size, time and room, before anything works on it.
pub(super) async fn whole_body(State(bodies): State<Bodies>, request: Request, next: Next) -> Response {
    let Some(caller) = request.extensions().get::<Caller>().cloned() else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let (mut parts, body) = request.into_parts();
    let read = tokio::time::timeout(bodies.0.patience, bodies.read(body, &caller)).await;
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
        Unread::Cut => (StatusCode::BAD_REQUEST, "the body was cut").into_response(),
        Unread::FullOfPrincipal => {
            let text = "requests of this user hold as much as one user's may";
            later(StatusCode::SERVICE_UNAVAILABLE, "bodies_of_principal", LATER, text)
        }
        Unread::Full => {
            let text = "requests hold as much memory as they may";
            later(StatusCode::SERVICE_UNAVAILABLE, "bodies", LATER, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Scopes;

    fn caller(user: &str) -> Caller {
        let tenant_id = TenantId::from(uuid::Uuid::nil());
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
        assert_eq!((bytes.len(), bodies.taken().all), (60_000, 60_000 - FREE_BYTES));
        assert_eq!(bodies.read(chunks(&[50_000]), &ada).await.err(), Some(Unread::FullOfPrincipal));
        assert!(bodies.read(chunks(&[FREE_BYTES]), &ada).await.is_ok(), "an ordinary call comes in");
        assert_eq!(bodies.read(chunks(&[60_000, 16_000]), &bob).await.err(), Some(Unread::Full));
        assert!(bodies.read(chunks(&[60_000]), &bob).await.is_ok());
        assert_eq!(bodies.taken().all, 60_000 - FREE_BYTES, "whoever was refused or has gone holds nothing");
        assert_eq!(bodies.read(chunks(&[60_000, 16_001]), &caller("eve")).await.err(), Some(Unread::Full));
        drop(first);
        assert!(bodies.taken().all == 0 && bodies.taken().by_principal.is_empty());
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
        while bodies.taken().all == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(bodies.taken().all, 20_000 - FREE_BYTES);
        reading.abort();
        assert!(reading.await.is_err());
        assert_eq!(bodies.taken().all, 0, "its connection has gone");
        assert_eq!(bodies.read(chunks(&[50_000, 40_000]), &ada).await.err(), Some(Unread::FullOfPrincipal));
    }
}
