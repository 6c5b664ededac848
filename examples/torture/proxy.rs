//! A network between servers and PostgreSQL that can be made to delay, slice, cut and swallow.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;

use crate::Result;
use crate::dice::Dice;

/// How the network behaves, and what it has done.
#[derive(Debug)]
pub struct Weather {
    is_stormy: AtomicBool,
    seed: u64,
    /// Share of COMMITs that are held, cut off or left without their answer.
    bad_commits: f64,
    pub connections: AtomicU64,
    pub delays: AtomicU64,
    pub slices: AtomicU64,
    pub cuts: AtomicU64,
    pub swallows: AtomicU64,
    pub late_commits: AtomicU64,
    pub lost_answers: AtomicU64,
    /// Chunks that are being delayed.
    pub held: AtomicU64,
}

impl Weather {
    pub fn new(seed: u64, bad_commits: f64) -> Arc<Self> {
        Arc::new(Self {
            is_stormy: AtomicBool::new(true),
            seed,
            bad_commits,
            connections: AtomicU64::default(),
            delays: AtomicU64::default(),
            slices: AtomicU64::default(),
            cuts: AtomicU64::default(),
            swallows: AtomicU64::default(),
            late_commits: AtomicU64::default(),
            lost_answers: AtomicU64::default(),
            held: AtomicU64::default(),
        })
    }

    /// From now on bytes pass as they come; what is held already stays held for its time.
    pub fn calm(&self) {
        self.is_stormy.store(false, Ordering::Relaxed);
    }
}

/// Listens in `folder` as PostgreSQL would, and carries to the socket `upstream`.
pub fn listen(folder: &Path, upstream: PathBuf, weather: Arc<Weather>) -> Result<()> {
    std::fs::create_dir_all(folder)?;
    let listener = UnixListener::bind(folder.join(".s.PGSQL.5432"))?;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let number = weather.connections.fetch_add(1, Ordering::Relaxed);
            let dice = Dice::new(weather.seed, number ^ 0x7072_6f78_7900_0000);
            tokio::spawn(carry(client, upstream.clone(), Arc::clone(&weather), dice));
        }
    });
    Ok(())
}

/// One connection, both ways.
async fn carry(client: UnixStream, upstream: PathBuf, weather: Arc<Weather>, mut dice: Dice) {
    let Ok(server) = UnixStream::connect(upstream).await else { return };
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let line = Line { weather, cut: CancellationToken::new(), answers_lost: AtomicBool::new(false) };
    let back = Dice::new(dice.roll(), 1);
    tokio::join!(line.pump(from_client, to_server, true, dice), line.pump(from_server, to_client, false, back));
}

struct Line {
    weather: Arc<Weather>,
    cut: CancellationToken,
    answers_lost: AtomicBool,
}

/// What becomes of some bytes.
enum Fate {
    Pass,
    Delay(Duration),
    Slice,
    Cut,
    CutAfter,
    Swallow,
    LoseAnswers,
}

impl Line {
    /// Dropping a half closes it, so that the other end learns of it.
    async fn pump(&self, mut from: OwnedReadHalf, mut to: OwnedWriteHalf, is_request: bool, mut dice: Dice) {
        let (mut buffer, mut swallows) = (vec![0; 32 * 1024], false);
        loop {
            let read = tokio::select! {
                () = self.cut.cancelled() => return,
                read = from.read(&mut buffer) => read,
            };
            let Ok(length @ 1..) = read else { break };
            let bytes = &buffer[..length];
            if swallows || (!is_request && self.answers_lost.load(Ordering::Relaxed)) {
                continue;
            }
            let fate = self.fate(bytes, is_request, &mut dice);
            let sent = match fate {
                Fate::Cut => {
                    self.cut.cancel();
                    return;
                }
                Fate::Swallow => {
                    swallows = true;
                    Ok(())
                }
                Fate::Delay(time) => {
                    self.weather.held.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(time).await;
                    let sent = to.write_all(bytes).await;
                    self.weather.held.fetch_sub(1, Ordering::Relaxed);
                    sent
                }
                Fate::Slice => slice(&mut to, bytes, &mut dice).await,
                Fate::LoseAnswers => {
                    self.answers_lost.store(true, Ordering::Relaxed);
                    to.write_all(bytes).await
                }
                Fate::CutAfter => {
                    let sent = to.write_all(bytes).await;
                    self.cut.cancel();
                    sent
                }
                Fate::Pass => to.write_all(bytes).await,
            };
            if sent.is_err() {
                break;
            }
        }
        if !is_request {
            // The server is gone: so is the connection.
            self.cut.cancel();
        }
    }

    fn fate(&self, bytes: &[u8], is_request: bool, dice: &mut Dice) -> Fate {
        let weather = &*self.weather;
        if !weather.is_stormy.load(Ordering::Relaxed) {
            return Fate::Pass;
        }
        let did = |count: &AtomicU64, fate| {
            count.fetch_add(1, Ordering::Relaxed);
            fate
        };
        if is_request && bytes.windows(7).any(|word| word == b"COMMIT\0") && dice.chance(weather.bad_commits) {
            return match dice.below(6) {
                // Later than anybody waits for it: whoever sent it is long gone when it arrives.
                0..3 => did(&weather.late_commits, Fate::Delay(Duration::from_millis(5_200 + dice.below(4_000)))),
                3 => did(&weather.lost_answers, Fate::LoseAnswers),
                4 => did(&weather.cuts, Fate::CutAfter),
                _ => did(&weather.cuts, Fate::Cut),
            };
        }
        match dice.below(10_000) {
            0..60 => {
                let time = dice.duration(Duration::from_millis(2), Duration::from_millis(400));
                did(&weather.delays, Fate::Delay(time))
            }
            60..120 => did(&weather.slices, Fate::Slice),
            120..128 => did(&weather.cuts, Fate::Cut),
            128..134 => did(&weather.swallows, Fate::Swallow),
            _ => Fate::Pass,
        }
    }
}

async fn slice(to: &mut OwnedWriteHalf, bytes: &[u8], dice: &mut Dice) -> std::io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + dice.below(200) as usize));
        to.write_all(piece).await?;
        tokio::task::yield_now().await;
        rest = after;
    }
    Ok(())
}
