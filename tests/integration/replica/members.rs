//! Several servers behind one name: the connection of the watch tells nothing of those of the searches.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bailiwick::call::CallOptions;
use bailiwick::db::{ReplicaOptions, examine_replica};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio_postgres::Client;

use super::answers::stock;
use super::balancer::{Balancer, Way};
use super::pair::Pair;
use super::probe::Prober;
use super::standby::Standby;
use crate::harness::until;

struct Rig {
    pair: Pair,
    balancer: Balancer,
    figures: PrometheusHandle,
}

impl Rig {
    /// Whoever watches sees the good member, and so does the first search.
    async fn prober(&self, max_lag: Duration) -> Prober {
        self.balancer.lead(Way::To(self.pair.standby.socket()));
        let endpoint = self.balancer.config(self.pair.database.name()).into();
        let replica = Some(ReplicaOptions { endpoint, max_lag });
        let options = self.pair.options(max_lag);
        let prober =
            Prober::of(&self.pair, &CallOptions { replica, deadline: Duration::from_secs(5), ..options }).await;
        prober.until("replica").await;
        prober
    }

    /// The next searches take that way, for the connections that they have are closed; the watch keeps its own.
    async fn lead(&self, way: Way) {
        self.balancer.lead(way);
        let admin = self.pair.connect_replica().await;
        let end = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
                   WHERE usename = 'bailiwick_app' AND query NOT LIKE ALL ('{%replica/standing%,%system/role_powers%}')";
        let left = async || admin.query_one(end, &[]).await.unwrap().get::<_, i64>(0);
        until("the connections of searches are closed", async || left().await == 0).await;
    }

    /// How many probes were read on the primary for that reason.
    fn read_for(&self, reason: &str) -> u64 {
        let figures = self.figures.render();
        let name = format!("bailiwick_replica_reads_total{{from=\"primary\",reason=\"{reason}\"}} ");
        figures.lines().find_map(|line| line.strip_prefix(&name)?.parse().ok()).unwrap_or_default()
    }

    /// Probes go that way, and are read on the primary for that reason.
    async fn shuns(&self, prober: &Prober, way: Way, times: usize, reason: &str) {
        let before = self.read_for(reason);
        self.lead(way.clone()).await;
        let mut probed = 0;
        while self.balancer.led() < times {
            assert_eq!(prober.probe().await.read_from, "primary", "{way:?}");
            probed += 1;
            assert!(probed < 1_000, "{way:?} was not taken {times} times");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
        assert_eq!(prober.probe().await.read_from, "primary", "{way:?}");
        let figures = self.figures.render();
        let reads: Vec<_> = figures.lines().filter(|line| line.contains("_replica_reads_total{")).collect();
        assert!(self.read_for(reason) > before, "{way:?} was shunned, and not as {reason}: {reads:?}");
    }

    /// Why a server by itself is no replica.
    async fn examined(&self, standby: &Standby) -> Option<String> {
        let endpoint = standby.config("bailiwick_app", self.pair.database.name()).into();
        let options = ReplicaOptions { endpoint, max_lag: Duration::from_secs(20) };
        examine_replica(&self.pair.database.app().into(), &options).await.unwrap()
    }
}

async fn plant(on: &Client, rig: &Rig) {
    let demo = rig.pair.database.tenant("demo").await.id;
    let planted = format!(
        "BEGIN; SET LOCAL app.current_tenant_id = '{demo}';
         INSERT INTO documents (tenant_id, title, content) VALUES ('{demo}', 'Fork', 'Fork.'); COMMIT"
    );
    on.batch_execute(&planted).await.unwrap();
}

/// So long that no busy machine matters.
const EVER: Duration = Duration::from_secs(3_600);

#[tokio::test]
async fn a_search_believes_no_member_that_it_has_not_looked_at_itself() {
    let pair = Pair::start(stock).await;
    let (second, stranger) = (pair.another("second"), pair.another("stranger"));
    second.run();
    // So that it is a whole one by itself.
    stranger.run();
    stranger.stop();
    pair.replayed().await;
    let balancer = Balancer::start(Way::To(pair.standby.socket()));
    // Of this thread, on which all of it runs.
    let recorder = PrometheusBuilder::new().build_recorder();
    let _recording = metrics::set_default_local_recorder(&recorder);
    let rig = Rig { pair, balancer, figures: recorder.handle() };
    let good = || Way::To(rig.pair.standby.socket());

    silent_from_the_beginning(&rig).await;
    silent_after_login(&rig).await;
    as_another_role(&rig).await;
    behind(&rig, &second).await;

    // Promoted, it is put away alone: the others go on being asked.
    second.promote();
    let at_second = second.connect(rig.pair.database.name()).await;
    plant(&at_second, &rig).await;
    let prober = rig.prober(EVER).await;
    rig.shuns(&prober, Way::To(second.socket()), 3, "stranger").await;
    rig.balancer.lead(good());
    let mut there = false;
    // Sooner than the watch looks again.
    for _ in 0..3 {
        there |= prober.probe().await.read_from == "replica";
    }
    assert!(there, "the promoted member's connection was kept, or all were put away for it");

    // A standby again, of a history that went on by itself and is further than the primary's.
    for _ in 0..4 {
        at_second.batch_execute("SELECT pg_logical_emit_message(true, 'x', 'y')").await.unwrap();
        at_second.batch_execute("SELECT pg_switch_wal()").await.unwrap();
    }
    drop(at_second);
    second.stop();
    second.run_alone();
    assert!(rig.examined(&second).await.is_some_and(|told| told.contains("another timeline")));
    rig.shuns(&prober, Way::To(second.socket()), 3, "stranger").await;

    // And one of another cluster, where everything else is as here.
    stranger.disguise();
    stranger.run_as_primary();
    plant(&stranger.connect(rig.pair.database.name()).await, &rig).await;
    stranger.stop();
    stranger.run_alone();
    assert!(rig.examined(&stranger).await.is_some_and(|told| told.contains("another server's log")));
    rig.shuns(&prober, Way::To(stranger.socket()), 3, "stranger").await;
    rig.balancer.lead(good());
    prober.until("replica").await;
}

/// Whatever the URL says of patience: what is given up for it is the connection, and not the whole reading.
async fn silent_from_the_beginning(rig: &Rig) {
    let prober = rig.prober(EVER).await;
    rig.shuns(&prober, Way::Mute, 1, "failed").await;
}

/// The call's own time is not used up by it.
async fn silent_after_login(rig: &Rig) {
    let prober = rig.prober(EVER).await;
    rig.shuns(&prober, Way::Silent(rig.pair.standby.socket()), 1, "slow").await;
}

async fn as_another_role(rig: &Rig) {
    let prober = rig.prober(EVER).await;
    rig.shuns(&prober, Way::As(rig.pair.standby.socket(), "postgres"), 2, "failed").await;
}

/// One that is behind is asked no more than it takes to know that, and the next connection may find a better one.
async fn behind(rig: &Rig, second: &Standby) {
    let at_second = second.connect(rig.pair.database.name()).await;
    at_second.batch_execute("SELECT pg_wal_replay_pause()").await.unwrap();
    let lag = Duration::from_secs(2);
    let prober = rig.prober(lag).await;
    tokio::time::sleep(lag).await;
    // Whoever probes leaves a row, which the second does not get.
    prober.until("replica").await;
    prober.tool.lingers.store(true, Ordering::SeqCst);
    let ended = prober.tool.ended.load(Ordering::SeqCst);
    rig.shuns(&prober, Way::To(second.socket()), 1, "lagging").await;
    assert_eq!(prober.tool.ended.load(Ordering::SeqCst), ended, "all was asked of one that is behind");
    rig.balancer.lead(Way::To(rig.pair.standby.socket()));
    prober.until("replica").await;
    at_second.batch_execute("SELECT pg_wal_replay_resume()").await.unwrap();
}
