use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::request::Parts;
use rmcp::model::{ClientJsonRpcMessage, ClientNotification, GetExtensions, RequestId, ServerJsonRpcMessage};
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::channel::Refused;
use crate::identity::{Caller, TenantId, UserId};

/// Requests of one stream whose answers are still owed.
const MOST_OWED: usize = 64;

/// An open stream, and to whom it belongs.
pub(super) struct Open {
    id: Uuid,
    principal: (TenantId, UserId),
    messages: Sender<ClientJsonRpcMessage>,
    owed: Mutex<HashSet<RequestId>>,
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

    /// Takes a message in, as part of the request that brought it.
    pub(super) fn take(&self, mut message: ClientJsonRpcMessage, parts: Parts) -> Result<(), Refused> {
        let mut owed = self.owed();
        let mut id = None;
        match &mut message {
            ClientJsonRpcMessage::Request(request) => {
                if owed.len() >= MOST_OWED {
                    return Err(Refused::Behind);
                }
                if !owed.insert(request.id.clone()) {
                    return Err(Refused::IdInUse);
                }
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

    /// Notes that a message is on its way to the client.
    pub(super) fn answered(&self, message: &ServerJsonRpcMessage) {
        let id = match message {
            ServerJsonRpcMessage::Response(response) => Some(&response.id),
            ServerJsonRpcMessage::Error(error) => error.id.as_ref(),
            ServerJsonRpcMessage::Request(_) | ServerJsonRpcMessage::Notification(_) => None,
        };
        if let Some(id) = id {
            self.owed().remove(id);
        }
    }

    fn owed(&self) -> MutexGuard<'_, HashSet<RequestId>> {
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
