use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{UnixListener, UnixStream};
use tokio_postgres::Config;

/// Where the next connections lead.
#[derive(Debug, Clone)]
pub enum Way {
    To(PathBuf),
    /// As another role than they ask for.
    As(PathBuf, &'static str),
    /// Nothing comes back once they are logged in.
    Silent(PathBuf),
    /// Nothing comes back at all.
    Mute,
}

/// A name of several servers: each connection leads to the one that is its turn.
pub struct Balancer {
    folder: tempfile::TempDir,
    way: Arc<Mutex<Way>>,
    led: Arc<AtomicUsize>,
}

const PORT: u16 = 5432;

impl Balancer {
    pub fn start(way: Way) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{PORT}"))).unwrap();
        let (way, led) = (Arc::new(Mutex::new(way)), Arc::<AtomicUsize>::default());
        let (ways, count) = (Arc::clone(&way), Arc::clone(&led));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let way = ways.lock().unwrap().clone();
                count.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(lead(client, way));
            }
        });
        Self { folder, way, led }
    }

    /// From now on.
    pub fn lead(&self, way: Way) {
        *self.way.lock().unwrap() = way;
        self.led.store(0, Ordering::SeqCst);
    }

    /// Connections since then; a request to stop a statement is one, too.
    pub fn led(&self) -> usize {
        self.led.load(Ordering::SeqCst)
    }

    pub fn config(&self, database: &str) -> Config {
        let mut config = Config::new();
        config.host_path(self.folder.path()).port(PORT).user("bailiwick_app").dbname(database);
        // Searches have no such patience, whoever else has.
        config.connect_timeout(Duration::from_secs(60));
        config
    }
}

async fn lead(mut client: UnixStream, way: Way) -> std::io::Result<()> {
    let (Way::To(target) | Way::As(target, _) | Way::Silent(target)) = &way else {
        return until_gone(&mut client).await;
    };
    let mut server = UnixStream::connect(target).await?;
    match way {
        Way::To(_) | Way::Mute => {}
        Way::As(_, role) => {
            let first = first_message(&mut client).await?;
            server.write_all(&as_role(&first, role)).await?;
        }
        Way::Silent(_) => {
            server.write_all(&first_message(&mut client).await?).await?;
            let mut bytes = vec![0; 1 << 14];
            loop {
                let length = server.read(&mut bytes).await?;
                client.write_all(&bytes[..length]).await?;
                // ReadyForQuery, idle.
                if length == 0 || bytes[..length].ends_with(b"Z\0\0\0\x05I") {
                    break;
                }
            }
            return until_gone(&mut client).await;
        }
    }
    copy_bidirectional(&mut client, &mut server).await.map(drop)
}

async fn until_gone(client: &mut UnixStream) -> std::io::Result<()> {
    let mut bytes = vec![0; 1 << 10];
    while client.read(&mut bytes).await? > 0 {}
    Ok(())
}

/// The message that opens a connection: its length, a number, and its text.
async fn first_message(client: &mut UnixStream) -> std::io::Result<Vec<u8>> {
    let length = client.read_u32().await?;
    let mut message = length.to_be_bytes().to_vec();
    message.resize(length as usize, 0);
    client.read_exact(&mut message[4..]).await?;
    Ok(message)
}

fn as_role(first: &[u8], role: &str) -> Vec<u8> {
    let parameter = b"user\0";
    let Some(at) = first.windows(parameter.len()).position(|window| window == parameter) else {
        return first.to_vec();
    };
    let at = at + parameter.len();
    let end = at + first[at..].iter().position(|byte| *byte == 0).unwrap();
    let rest = [&first[4..at], role.as_bytes(), &first[end..]].concat();
    let length = u32::try_from(rest.len() + 4).unwrap();
    [&length.to_be_bytes(), &rest[..]].concat()
}
