use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_postgres::Config;

use super::{TestDatabase, server};

/// What happens to the connection on which the next armed COMMIT passes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Fault {
    /// Nothing.
    None,
    /// It arrives, its answer does not: the connection is cut.
    CutAfterCommit,
    /// It does not arrive: the connection is cut.
    CutBeforeCommit,
    /// It arrives, and the answer is swallowed; the connection stays.
    Swallow,
    /// It arrives once it is let go, and the connection is cut before there is an answer.
    Hold,
}

const FAULTS: [Fault; 5] = [Fault::None, Fault::CutAfterCommit, Fault::CutBeforeCommit, Fault::Swallow, Fault::Hold];

/// A unix socket in front of the tests' PostgreSQL.
pub struct Proxy {
    folder: tempfile::TempDir,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    fault: AtomicU8,
    /// COMMITs that pass unharmed before the fault.
    spare: AtomicUsize,
    struck: AtomicUsize,
    /// Only on a connection on which this has passed by.
    behind: Mutex<&'static str>,
    /// What was held goes on.
    is_let_go: AtomicBool,
}

impl Proxy {
    pub async fn start() -> Self {
        let server = server().await;
        Self::before(server.socket_dir(), server.port())
    }

    /// In front of another, whose socket is in that folder.
    pub fn before(socket_dir: &Path, port: u16) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let name = format!(".s.PGSQL.{port}");
        let target = socket_dir.join(&name);
        let listener = UnixListener::bind(folder.path().join(&name)).unwrap();
        let state = Arc::<State>::default();
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, target.clone(), Arc::clone(&shared)));
            }
        });
        Self { folder, state }
    }

    /// Where its socket is.
    pub fn socket_dir(&self) -> &Path {
        self.folder.path()
    }

    /// The database through the proxy, as the application role.
    pub fn config(&self, database: &TestDatabase) -> Config {
        let mut config = Config::new();
        let ports = database.app().get_ports();
        config.host_path(self.folder.path()).port(ports[0]).user("bailiwick_app").dbname(database.name());
        config
    }

    /// Strikes once, at the COMMIT after `spare` others.
    pub fn arm(&self, fault: Fault, spare: usize) {
        self.state.spare.store(spare, Ordering::SeqCst);
        self.state.fault.store(fault as u8, Ordering::SeqCst);
    }

    /// Strikes once, at the first COMMIT behind those words on the same connection.
    pub fn arm_behind(&self, fault: Fault, words: &'static str) {
        *self.state.behind.lock().unwrap() = words;
        self.arm(fault, 0);
    }

    /// What it holds goes on.
    pub fn let_go(&self) {
        self.state.is_let_go.store(true, Ordering::SeqCst);
    }

    /// How often it struck.
    pub fn struck(&self) -> usize {
        self.state.struck.load(Ordering::SeqCst)
    }
}

impl State {
    /// What to do with what the client just sent.
    fn judge(&self, bytes: &[u8], is_behind: &mut bool) -> Fault {
        let words = *self.behind.lock().unwrap();
        *is_behind |= words.is_empty() || bytes.windows(words.len()).any(|window| window == words.as_bytes());
        if !*is_behind || !bytes.windows(6).any(|window| window == b"COMMIT") {
            return Fault::None;
        }
        let fault = FAULTS[usize::from(self.fault.load(Ordering::SeqCst))];
        if fault == Fault::None {
            return fault;
        }
        if self.spare.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |spare| spare.checked_sub(1)).is_ok() {
            return Fault::None;
        }
        self.fault.store(Fault::None as u8, Ordering::SeqCst);
        self.struck.fetch_add(1, Ordering::SeqCst);
        fault
    }
}

async fn forward(client: UnixStream, target: PathBuf, state: Arc<State>) {
    let Ok(server) = UnixStream::connect(target).await else { return };
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let (mut sent, mut received) = (vec![0; 1 << 16], vec![0; 1 << 16]);
    let (mut swallow, mut is_behind) = (false, false);
    loop {
        tokio::select! {
            read = from_client.read(&mut sent) => {
                let Ok(length @ 1..) = read else { return };
                match state.judge(&sent[..length], &mut is_behind) {
                    Fault::CutBeforeCommit => return,
                    Fault::CutAfterCommit => {
                        let _ = to_server.write_all(&sent[..length]).await;
                        // The server has done it when it answers that, behind what else went with it; nobody hears.
                        while let Ok(length @ 1..) = from_server.read(&mut received).await {
                            if received[..length].windows(7).any(|window| window == b"COMMIT\0") {
                                break;
                            }
                        }
                        return;
                    }
                    Fault::Swallow => swallow = true,
                    Fault::Hold => {
                        while !state.is_let_go.load(Ordering::SeqCst) {
                            tokio::time::sleep(Duration::from_millis(10)).await;
                        }
                        let _ = to_server.write_all(&sent[..length]).await;
                        drop((from_client, to_client));
                        // The server's side stays until it has answered or gone.
                        let _ = from_server.read(&mut received).await;
                        return;
                    }
                    Fault::None => {}
                }
                if to_server.write_all(&sent[..length]).await.is_err() {
                    return;
                }
            }
            read = from_server.read(&mut received) => {
                let Ok(length @ 1..) = read else { return };
                if !swallow && to_client.write_all(&received[..length]).await.is_err() {
                    return;
                }
            }
        }
    }
}
