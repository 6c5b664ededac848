//! A server that stands still for a moment is no pooler.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bailiwick::db::{Endpoint, Sessions, sessions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_postgres::Config;

use crate::harness::{TestDatabase, server};

/// A way to the tests' PostgreSQL on which that many transactions get no answer.
async fn stalling(database: &TestDatabase, times: usize) -> (tempfile::TempDir, Endpoint, Arc<AtomicUsize>) {
    let folder = tempfile::tempdir().unwrap();
    let server = server().await;
    let name = format!(".s.PGSQL.{}", server.port());
    let target = server.socket_dir().join(&name);
    let listener = UnixListener::bind(folder.path().join(&name)).unwrap();
    let left = Arc::new(AtomicUsize::new(times));
    let counted = Arc::clone(&left);
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(forward(client, target.clone(), Arc::clone(&counted)));
        }
    });
    let mut config = Config::new();
    config.host_path(folder.path()).port(server.port()).user("bailiwick_app").dbname(database.name());
    (folder, config.into(), left)
}

async fn forward(mut client: UnixStream, target: PathBuf, left: Arc<AtomicUsize>) -> std::io::Result<()> {
    let mut server = UnixStream::connect(target).await?;
    let (mut sent, mut received) = (vec![0; 1 << 14], vec![0; 1 << 14]);
    loop {
        tokio::select! {
            read = client.read(&mut sent) => {
                let sent = &sent[..read?];
                let begins = sent.windows(5).any(|window| window == b"BEGIN");
                let stalls = |left: usize| left.checked_sub(1);
                if begins && left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, stalls).is_ok() {
                    while client.read(&mut received).await? > 0 {}
                }
                if sent.is_empty() {
                    return Ok(());
                }
                server.write_all(sent).await?;
            }
            read = server.read(&mut received) => {
                let received = &received[..read?];
                if received.is_empty() {
                    return Ok(());
                }
                client.write_all(received).await?;
            }
        }
    }
}

#[tokio::test]
async fn one_answer_that_does_not_come_is_not_taken_for_a_pooler_and_one_again_is() {
    let database = TestDatabase::create().await;
    let (_once, once, left_of_once) = stalling(&database, 1).await;
    let (_ever, ever, left_of_ever) = stalling(&database, usize::MAX).await;
    let (of_once, of_ever) = tokio::join!(sessions(&once), sessions(&ever));
    assert_eq!((of_once.unwrap(), of_ever.unwrap()), (Sessions::Kept, Sessions::Lent));
    assert_eq!(left_of_once.load(Ordering::SeqCst), 0);
    assert!(left_of_ever.load(Ordering::SeqCst) < usize::MAX);
}
