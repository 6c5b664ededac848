//! What hostile clients do, each on connections of its own.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::{Args, ValueEnum};
use futures_util::future::join_all;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::process::{Child, Command};

use crate::Result;
use crate::served::Served;

/// The addresses that they come from: 127.0.0.2 and those after it.
pub const FIRST_ADDRESS: u8 = 2;
/// How many. Together they may have more connections than the server has places.
const ADDRESSES: usize = 16;
/// The largest body that the server takes.
const LARGEST_BODY_BYTES: usize = 12 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Crowd {
    /// Send a head a byte at a time, and begin anew when they are cut.
    Heads,
    /// Send a good head, and then a body a byte at a time.
    Bodies,
    /// Send the largest body but for its last byte.
    Withheld,
    /// Ask on and on, and never read an answer.
    Silent,
    /// Show one key after another that is none.
    Guesses,
    /// Open a connection and say nothing.
    Idle,
}

/// An attack, in a process of its own.
#[derive(Debug, Args)]
pub struct Attack {
    #[arg(long, value_enum)]
    crowd: Crowd,
    #[arg(long)]
    count: usize,
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    key: String,
    #[arg(long)]
    seconds: f64,
    #[arg(long)]
    nice: i32,
}

impl Attack {
    /// Begins it: attackers have machines of their own, so what they cost is not the honest clients' to pay.
    pub fn begin(served: &Served, crowd: Crowd, count: usize, key: &str, time: Duration, nice: i32) -> Result<Child> {
        let crowd = crowd.to_possible_value().ok_or("no such crowd")?;
        let mut attack = Command::new(std::env::current_exe()?);
        attack.args(["attack", "--crowd", crowd.get_name(), "--address", &served.address, "--key", key]);
        attack.args(["--count", &count.to_string(), "--seconds", &time.as_secs_f64().to_string()]);
        Ok(attack.args(["--nice", &nice.to_string()]).kill_on_drop(true).spawn()?)
    }

    /// Attacks until its time is over.
    pub async fn run(&self) -> Result<()> {
        if self.nice > 0 {
            rustix::process::nice(self.nice)?;
        }
        let _ = bailiwick::http::connections_within_limits(self.count + 1_000);
        // Whoever has to send megabytes again takes a breath.
        let pause = Duration::from_millis(if self.crowd == Crowd::Withheld { 1_000 } else { 100 });
        let attackers = join_all((0..self.count).map(|number| async move {
            loop {
                // Refused, cut, reset: they come again.
                let _ = Box::pin(self.once(number)).await;
                tokio::time::sleep(pause).await;
            }
        }));
        let _: std::result::Result<Vec<()>, _> =
            tokio::time::timeout(Duration::from_secs_f64(self.seconds), attackers).await;
        Ok(())
    }

    /// A connection from one of a few addresses of loopback's that are not the honest clients'.
    async fn connect(&self, number: usize) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        if self.crowd == Crowd::Silent {
            // So that little fills it.
            socket.set_recv_buffer_size(4_096)?;
        }
        let last = FIRST_ADDRESS + u8::try_from(number % ADDRESSES)?;
        socket.bind((Ipv4Addr::new(127, 0, 0, last), 0).into())?;
        Ok(socket.connect(self.address).await?)
    }

    async fn once(&self, number: usize) -> Result<()> {
        let (mut stream, key) = (self.connect(number).await?, self.key.as_str());
        match self.crowd {
            Crowd::Heads => dribble(&mut stream, head(key, 10).as_bytes()).await,
            Crowd::Bodies => {
                stream.write_all(head(key, 100_000).as_bytes()).await?;
                dribble(&mut stream, &vec![b' '; 100_000]).await
            }
            Crowd::Withheld => {
                stream.write_all(head(key, LARGEST_BODY_BYTES).as_bytes()).await?;
                let (mut left, piece) = (LARGEST_BODY_BYTES - 1, vec![b' '; 64 << 10]);
                while left > 0 {
                    let length = left.min(piece.len());
                    stream.write_all(&piece[..length]).await?;
                    left -= length;
                }
                stream.read_u8().await?;
                Ok(())
            }
            Crowd::Silent => {
                let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }).to_string();
                let request = head(key, body.len()) + &body;
                loop {
                    stream.write_all(request.as_bytes()).await?;
                }
            }
            Crowd::Guesses => loop {
                let guess = bailiwick::identity::ApiKey::generate()?;
                stream.write_all(format!("{}{{}}", head(guess.expose(), 2)).as_bytes()).await?;
                let mut answer = [0; 2_048];
                if stream.read(&mut answer).await? == 0 {
                    return Ok(());
                }
            },
            Crowd::Idle => {
                stream.read_u8().await?;
                Ok(())
            }
        }
    }
}

fn head(key: &str, length: usize) -> String {
    format!(
        "POST /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nAccept: application/json, text/event-stream\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n",
    )
}

async fn dribble(stream: &mut TcpStream, bytes: &[u8]) -> Result<()> {
    for byte in bytes {
        stream.write_all(&[*byte]).await?;
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}
