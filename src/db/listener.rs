//! Notifications of the database, heard on a connection of its own.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_postgres::AsyncMessage;

use super::{DbError, Endpoint};

/// Before the connection is made anew.
const PAUSE: Duration = Duration::from_secs(5);

/// Hears a channel until it is dropped. A notification that is lost with its connection is not missed: whoever waits looks by
/// himself now and then.
pub struct Listener {
    heard: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    /// Begins to listen by that statement (`LISTEN …`), and goes on through breaks of the connection. A pooler is gone around: who
    /// listens is a session.
    #[must_use]
    pub fn start(endpoint: impl Into<Endpoint>, statement: &'static str) -> Self {
        let endpoint: Endpoint = endpoint.into();
        let mut endpoint = endpoint.direct().clone();
        endpoint.keep_alive(Duration::from_secs(30), Duration::from_secs(10), Duration::from_secs(30));
        let heard = Arc::new(Notify::new());
        let teller = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            loop {
                if let Err(error) = listen(&endpoint, statement, &teller).await {
                    tracing::debug!(%error, "notifications are not heard for the moment");
                }
                tokio::time::sleep(PAUSE).await;
            }
        });
        Self { heard, task }
    }

    /// Waits for the next notification; one that came since the last wait counts.
    pub async fn notified(&mut self) {
        self.heard.notified().await;
    }
}

#[expect(clippy::disallowed_methods, reason = "LISTEN belongs to a session, and this one reads no table")]
async fn listen(endpoint: &Endpoint, statement: &'static str, heard: &Notify) -> Result<(), DbError> {
    let (client, mut connection) = endpoint.connect("bailiwick-listener", PAUSE).await?;
    let listening = client.batch_execute(statement);
    let messages = async {
        loop {
            match poll_fn(|context| connection.poll_message(context)).await {
                Some(Ok(AsyncMessage::Notification(_))) => heard.notify_one(),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(DbError::from(error)),
                None => return Ok(()),
            }
        }
    };
    let listening = async {
        listening.await?;
        // Whatever came before it was heard.
        heard.notify_one();
        std::future::pending::<Result<(), DbError>>().await
    };
    tokio::select! {
        ended = messages => ended,
        failed = listening => failed,
    }
}
