use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request::Parts;
use rmcp::model::{ClientJsonRpcMessage, ClientNotification, GetExtensions, RequestId};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::channel::Refused;
use crate::identity::{Caller, TenantId, UserId};

/// Requests of one stream whose answers are still owed.
pub(super) const MOST_OWED: usize = 64;
/// What these may hold, in bytes, beside one alone that holds more.
const MOST_OWED_BYTES: usize = 16 << 20;

/// An open stream, and to whom it belongs.
pub(super) struct Open {
    id: Uuid,
    principal: (TenantId, UserId),
    messages: Sender<ClientJsonRpcMessage>,
    /// With the size of each.
    owed: Mutex<HashMap<RequestId, usize>>,
    closed: CancellationToken,
}

impl Open {
    pub(super) fn new(caller: &Caller, messages: Sender<ClientJsonRpcMessage>) -> Self {
        Self {
            id: Uuid::new_v4(),
            principal: (caller.tenant_id, caller.user_id.clone()),
            messages,
            owed: Mutex::default(),
            closed: CancellationToken::new(),
        }
    }

    pub(super) fn id(&self) -> Uuid {
        self.id
    }

    /// Cancelled when the stream ends, or to end it.
    pub(super) fn closed(&self) -> CancellationToken {
        self.closed.clone()
    }

    pub(super) fn owes_nothing(&self) -> bool {
        self.owed().is_empty()
    }

    /// Takes a message of so many bytes in, as part of the request that brought it.
    pub(super) fn take(&self, mut message: ClientJsonRpcMessage, parts: Parts, bytes: usize) -> Result<(), Refused> {
        let mut owed = self.owed();
        let mut id = None;
        match &mut message {
            ClientJsonRpcMessage::Request(request) => {
                let is_full = owed.values().sum::<usize>() + bytes > MOST_OWED_BYTES && !owed.is_empty();
                if owed.len() >= MOST_OWED || is_full {
                    return Err(Refused::Behind);
                }
                if owed.contains_key(&request.id) {
                    return Err(Refused::IdInUse);
                }
                owed.insert(request.id.clone(), bytes);
                id = Some(request.id.clone());
                request.request.extensions_mut().insert(parts);
            }
            ClientJsonRpcMessage::Notification(notification) => {
                // A cancelled request is not answered (MCP, Cancellation).
                if let ClientNotification::CancelledNotification(cancelled) = &notification.notification
                    && let Some(id) = &cancelled.params.request_id
                {
                    owed.remove(id);
                }
                notification.notification.extensions_mut().insert(parts);
            }
            ClientJsonRpcMessage::Response(_) | ClientJsonRpcMessage::Error(_) => {}
        }
        self.messages.try_send(message).map_err(|error| {
            if let Some(id) = id {
                owed.remove(&id);
            }
            match error {
                TrySendError::Full(_) => Refused::Behind,
                TrySendError::Closed(_) => Refused::Closed,
            }
        })
    }

    /// Notes that the answer to a request is on its way to the client.
    pub(super) fn answered(&self, id: &RequestId) {
        self.owed().remove(id);
    }

    fn owed(&self) -> MutexGuard<'_, HashMap<RequestId, usize>> {
        self.owed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The streams that are open, by their ids.
#[derive(Clone, Default)]
pub(super) struct OpenStreams(Arc<Mutex<HashMap<Uuid, Arc<Open>>>>);

/// A stream's entry in the list. Dropped, it ends the stream.
pub(super) struct Listed {
    streams: OpenStreams,
    open: Arc<Open>,
}

impl OpenStreams {
    pub(super) fn add(&self, open: Arc<Open>) -> Listed {
        self.lock().insert(open.id, Arc::clone(&open));
        Listed { streams: self.clone(), open }
    }

    /// The stream, if it is this caller's.
    pub(super) fn find(&self, id: Uuid, caller: &Caller) -> Option<Arc<Open>> {
        let open = self.lock().get(&id).cloned()?;
        let is_theirs = open.principal.0 == caller.tenant_id && open.principal.1 == caller.user_id;
        (is_theirs && !open.closed.is_cancelled()).then_some(open)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Arc<Open>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.streams.lock().remove(&self.open.id);
        self.open.closed.cancel();
    }
}
