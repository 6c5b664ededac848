//! A run: calls from all clients while servers, database and network fail.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::{Mutex, RwLock};
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::check;
use crate::dice::Dice;
use crate::fence;
use crate::journal::{Entry, Reply};
use crate::plan::Plan;
use crate::proxy::{self, Weather};
use crate::report::{Deeds, Report};
use crate::serving::ServerArguments;
use crate::session::{FREEZE, Fate, Session, Transport};
use crate::settling;
use crate::world::{DATABASE, World};
use crate::{Result, StormArguments, Transports, WithoutFence};

/// Fewer than servers, so that two of them serve one tenant.
const TENANTS: usize = 3;
/// One backend is terminated for so many calls.
const CALLS_A_TERMINATION: u64 = 50;

pub struct Storm {
    pub arguments: StormArguments,
    pub seed: u64,
    pub world: World,
    pub weather: Arc<Weather>,
    pub lanes: Vec<Lane>,
    sessions: AtomicU64,
    next: AtomicU64,
    begun: Instant,
    is_over: AtomicBool,
    pub deeds: Mutex<Deeds>,
}

/// The place of a server, and whoever serves there now.
pub struct Lane {
    transport: Transport,
    tenant: Uuid,
    pub session: RwLock<Arc<Session>>,
}

pub async fn run(arguments: &StormArguments) -> Result<Report> {
    let storm = Arc::new(Storm::prepare(arguments).await?);
    let chaos = tokio::spawn(chaos(Arc::clone(&storm)));
    let mut workers = JoinSet::new();
    for lane in 0..storm.lanes.len() {
        for _ in 0..arguments.workers {
            workers.spawn(work(Arc::clone(&storm), lane));
        }
    }
    let mut journal = Vec::new();
    while let Some(entries) = workers.join_next().await {
        journal.extend(entries??);
    }
    let stormed = storm.begun.elapsed();
    storm.is_over.store(true, Ordering::Relaxed);
    storm.weather.calm();
    chaos.await??;
    let settled = settling::settle(&storm).await?;
    let check = check::check(&storm, &journal).await?;
    let deeds = storm.deeds.lock().await.clone();
    Ok(Report::new(storm.seed, &journal, check, &storm.weather, deeds, stormed, settled))
}

impl Storm {
    async fn prepare(arguments: &StormArguments) -> Result<Self> {
        let seed = arguments.seed.unwrap_or_else(|| Uuid::new_v4().as_u64_pair().0 & 0xffff_ffff);
        eprintln!("seed {seed}");
        let world = World::create(arguments.data_dir.as_deref(), arguments.pg_bin.clone(), TENANTS).await?;
        crate::log_to(std::fs::File::create(world.folder("log").join("driver.log"))?);
        if let Some(how) = arguments.without_fence {
            fence::remove(&world.admin().await?, how == WithoutFence::All).await?;
        }
        let weather = Weather::new(seed, arguments.bad_commits());
        proxy::listen(&world.folder("net"), world.socket(), Arc::clone(&weather))?;
        let transports = match arguments.transport {
            Transports::Both => [Transport::Stdio, Transport::Process, Transport::Stdio, Transport::Stdio],
            Transports::Stdio => [Transport::Stdio; 4],
            Transports::Process => [Transport::Process; 4],
            Transports::Http => [Transport::Http; 4],
        };
        let mut storm = Self {
            arguments: arguments.clone(),
            seed,
            world,
            weather,
            lanes: Vec::new(),
            sessions: AtomicU64::default(),
            next: AtomicU64::default(),
            begun: Instant::now(),
            is_over: AtomicBool::default(),
            deeds: Mutex::default(),
        };
        for (number, transport) in transports.into_iter().enumerate() {
            let tenant = storm.world.tenants[number % TENANTS];
            let session = RwLock::new(Arc::new(storm.open(transport, tenant).await?));
            storm.lanes.push(Lane { transport, tenant, session });
        }
        storm.begun = Instant::now();
        Ok(storm)
    }

    async fn open(&self, transport: Transport, tenant: Uuid) -> Result<Session> {
        let world = &self.world;
        let arguments = ServerArguments {
            socket: world.folder("net"),
            database: DATABASE.to_owned(),
            tenant,
            spool: self.spool(),
            links: world.folder("links"),
            seed: self.seed,
            dimensions: world.dimensions(),
            model: world.model_id,
            http: transport == Transport::Http,
        };
        let key = world.key_of(tenant)?;
        let number = self.sessions.fetch_add(1, Ordering::Relaxed);
        Session::open(number, transport, &arguments, key, &world.folder("log")).await
    }

    /// The folder that all servers share.
    pub fn spool(&self) -> PathBuf {
        self.world.folder("spool")
    }

    /// Whoever serves in a lane now, after a successor was started if need be.
    async fn session(&self, lane: &Lane) -> Result<Arc<Session>> {
        let session = Arc::clone(&*lane.session.read().await);
        if !session.is_closed() {
            return Ok(session);
        }
        self.replace(lane, &session).await
    }

    /// Puts a new server into the place of `old`, unless somebody did already.
    pub async fn replace(&self, lane: &Lane, old: &Arc<Session>) -> Result<Arc<Session>> {
        let mut place = lane.session.write().await;
        if Arc::ptr_eq(&place, old) {
            let mut deeds = self.deeds.lock().await;
            deeds.sessions.push((old.number, old.fate()));
            if old.fate() == Fate::Own {
                deeds.own_ends.push(old.number);
            }
            drop(deeds);
            *place = Arc::new(self.open(lane.transport, lane.tenant).await?);
        }
        Ok(Arc::clone(&place))
    }

    /// Ends a server as its client does.
    pub async fn end(&self, session: &Session) {
        if !session.end().await && session.fate() != Fate::Killed {
            self.deeds.lock().await.bad_ends.push(session.number);
        }
    }

    /// The number of the next call, when its time has come.
    async fn next(&self) -> Option<u64> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= self.arguments.calls {
            return None;
        }
        if let Some(rate) = self.arguments.rate() {
            let due = self.begun + Duration::from_secs_f64(number as f64 / rate);
            tokio::time::sleep_until(due.into()).await;
        }
        Some(number)
    }
}

async fn work(storm: Arc<Storm>, lane: usize) -> Result<Vec<Entry>> {
    let (mut entries, lane) = (Vec::new(), &storm.lanes[lane]);
    while let Some(number) = storm.next().await {
        let session = storm.session(lane).await?;
        let entry = session.call(number, &Plan::of(storm.seed, number)).await;
        if matches!(entry.reply, Reply::Lost | Reply::NotLetIn) {
            // Its client notices in a moment.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        entries.push(entry);
    }
    Ok(entries)
}

/// Kills and freezes PostgreSQL and servers by turns, and terminates backends as calls go by.
async fn chaos(storm: Arc<Storm>) -> Result<()> {
    let mut dice = Dice::new(storm.seed, 0x6b69_6c6c);
    let between = Duration::from_secs_f64(storm.arguments.seconds_between_kills);
    let (mut last, mut turn, mut terminated) = (Instant::now(), 0u64, 0);
    let mut leaving = JoinSet::new();
    let mut frozen = tokio::spawn(std::future::ready(()));
    while !storm.is_over.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let wanted_freezes = if storm.arguments.is_long() { (storm.begun.elapsed().as_secs() + 40) / 60 } else { 0 };
        if frozen.is_finished() && storm.deeds.lock().await.server_freezes < wanted_freezes {
            storm.deeds.lock().await.server_freezes += 1;
            frozen = tokio::spawn(freeze_server(Arc::clone(&storm), dice.roll()));
        }
        if last.elapsed() >= between {
            match turn % 5 {
                0 | 2 => kill_server(&storm, &mut dice).await,
                3 => leave_server(&storm, &mut dice, &mut leaving).await,
                1 => {
                    storm.world.kill_postgres(dice.duration(Duration::from_millis(20), Duration::from_secs(2))).await?;
                    storm.deeds.lock().await.postgres_kills += 1;
                }
                _ => {
                    let time = dice.duration(Duration::from_millis(300), Duration::from_secs(7));
                    storm.world.freeze_postgres(time).await?;
                    storm.deeds.lock().await.postgres_freezes += 1;
                }
            }
            (last, turn) = (Instant::now(), turn + 1);
        }
        let wanted = storm.next.load(Ordering::Relaxed).min(storm.arguments.calls) / CALLS_A_TERMINATION;
        if terminated < wanted && terminate(&storm, wanted - terminated).await.is_ok() {
            storm.deeds.lock().await.terminations += wanted - terminated;
            terminated = wanted;
        }
    }
    frozen.await?;
    leaving.join_all().await;
    Ok(())
}

async fn kill_server(storm: &Storm, dice: &mut Dice) {
    if let Some(session) = some_process(storm, dice).await {
        session.kill().await;
        storm.deeds.lock().await.server_kills += 1;
    }
}

/// A client leaves with calls under way: its server ends in order, while another one begins.
async fn leave_server(storm: &Arc<Storm>, dice: &mut Dice, leaving: &mut JoinSet<()>) {
    if let Some(session) = some_process(storm, dice).await {
        let storm = Arc::clone(storm);
        storm.deeds.lock().await.server_ends += 1;
        leaving.spawn(async move { storm.end(&session).await });
    }
}

async fn freeze_server(storm: Arc<Storm>, roll: u64) {
    if let Some(session) = some_process(&storm, &mut Dice::new(storm.seed, roll)).await {
        session.freeze(FREEZE).await;
    }
}

async fn some_process(storm: &Storm, dice: &mut Dice) -> Option<Arc<Session>> {
    let lanes: Vec<_> = storm.lanes.iter().filter(|lane| lane.transport != Transport::Process).collect();
    let lane = lanes.get(dice.below(lanes.len() as u64) as usize)?;
    Some(Arc::clone(&*lane.session.read().await))
}

async fn terminate(storm: &Storm, count: u64) -> Result<()> {
    let sql = "SELECT pg_terminate_backend(picked.pid) FROM (
                   SELECT pid FROM pg_stat_activity WHERE usename = 'bailiwick_app' ORDER BY random() LIMIT $1 OFFSET 0
               ) AS picked";
    storm.world.admin().await?.query(sql, &[&i64::try_from(count)?]).await?;
    Ok(())
}
