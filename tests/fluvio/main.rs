//! The stream between nodes: the real client over its real protocol against a cluster in this process, or against the one
//! that `SEGUE_TEST_FLUVIO=HOST:PORT` names, where what breaks a cluster is left out.
//! `SEGUE_TEST_FLUVIO_EVENTS` says how many events go through, 3,000 unless given.
#![expect(clippy::unwrap_used, reason = "what a test is built on must be there")]

mod broker;

use std::collections::HashMap;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use segue::config::{Config, Durability};
use segue::domain::{Catalogue, ItemVectors, Track, UserId};
use segue::events::fluvio::Stream;
use segue::events::{EmbeddedLog, Entry, EventLog, EventOutcome, Ground, Ingest, Notes, RawEvent, recover, scan};
use segue::features::StateStore;
use segue::metrics::Metrics;
use serde_json::json;

/// Listeners of the events.
const LISTENERS: usize = 50;
/// Longest wait for what must come.
const PATIENCE: Duration = Duration::from_secs(300);
/// How often a node is killed, and the seed of the moments.
const KILLS: usize = 8;
const SEED: u64 = 4;
/// Directory, address and topic of a node that is a process of its own.
const NODE: [&str; 3] = ["SEGUE_TEST_NODE_DIR", "SEGUE_TEST_NODE_ADDRESS", "SEGUE_TEST_NODE_TOPIC"];

fn count() -> usize {
    std::env::var("SEGUE_TEST_FLUVIO_EVENTS").ok().map_or(3_000, |count| count.parse().unwrap())
}

fn real_cluster() -> Option<String> {
    std::env::var("SEGUE_TEST_FLUVIO").ok()
}

/// One node: what `segue serve` starts of it.
struct Node {
    stream: Stream,
    ingest: Arc<Ingest>,
    state: Arc<StateStore>,
    metrics: Metrics,
}

impl Node {
    /// Starts on a directory; batches of 256 KiB, answers of 64 KiB, so that most answers are cut inside a batch.
    fn start(dir: &Path, endpoint: &str, topic: &str) -> Self {
        let mut config = Config::default();
        config.events.data_dir = dir.to_owned();
        config.events.durability = Durability::Os;
        config.events.fluvio.endpoint = Some(endpoint.to_owned());
        config.events.fluvio.topic = topic.to_owned();
        config.events.fluvio.partitions = 4;
        config.events.fluvio.linger_ms = 20;
        config.events.fluvio.fetch_kib = 64;
        let track: Track = serde_json::from_value(
            json!({"track_id": "t0", "title": "", "artist_id": "a", "artist_name": "", "explicit": false}),
        )
        .unwrap();
        let (catalogue, vectors) = (Catalogue::new(vec![track]).unwrap(), ItemVectors::from_raw(vec![1.0], 1).unwrap());
        let state = Arc::new(StateStore::new(&config.state, &config.signals));
        let metrics = Metrics::new().unwrap();
        let notes = Arc::new(Notes::open(&config.events, metrics.events.clone()).unwrap());
        let ground = Ground { catalogue: &catalogue, vectors: &vectors, bundle: "b" };
        let (log, _) = recover(&config, ground, &state, &notes).unwrap();
        let log: Arc<EmbeddedLog> = Arc::new(log);
        let (shared, events) = ((Arc::new(catalogue), Arc::new(vectors)), config.events.clone());
        let own: Arc<dyn EventLog> = Arc::clone(&log) as _;
        let ingest = Arc::new(Ingest::new(Arc::clone(&state), own, shared.0, shared.1, events, notes));
        let stream =
            Stream::start(&config.events.fluvio, endpoint, log, Arc::clone(&ingest), metrics.stream.clone()).unwrap();
        Self { stream, ingest, state, metrics }
    }

    /// Takes events in as a client sends them, a hundred at once; all must be accepted, whatever the cluster does.
    fn send(&self, name: &str, numbers: std::ops::Range<usize>) {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        for batch in numbers.collect::<Vec<_>>().chunks(100) {
            let events: Vec<RawEvent> = batch.iter().map(|number| event(name, *number)).collect();
            let outcomes = self.ingest.ingest(events, now_ms).unwrap();
            assert!(outcomes.iter().all(|outcome| *outcome == EventOutcome::Accepted), "{outcomes:?}");
        }
    }

    /// Plays of all listeners, by the state.
    fn plays(&self) -> u64 {
        (0..LISTENERS).map(|user| self.state.profile(&listener(user)).plays).sum()
    }

    /// Waits until the state has so many plays, and then until nothing more comes.
    fn until(&self, plays: usize) {
        wait(&format!("{plays} plays"), || (self.plays() as usize, self.plays() as usize >= plays));
        wait("the outbox", || (self.metrics.stream.unsent.get() as usize, self.metrics.stream.unsent.get() == 0));
    }
}

fn wait(what: &str, mut done: impl FnMut() -> (usize, bool)) {
    let (step, mut left) = (Duration::from_millis(20), PATIENCE);
    loop {
        let (seen, reached) = done();
        if reached {
            break;
        }
        assert!(left > step, "waited in vain for {what}: {seen}");
        left -= step;
        pause(step);
    }
}

fn pause(time: Duration) {
    let (_open, woken) = std::sync::mpsc::channel::<()>();
    let _ = woken.recv_timeout(time);
}

fn listener(user: usize) -> UserId {
    UserId::new(format!("u{user}")).unwrap()
}

fn event(name: &str, number: usize) -> RawEvent {
    let user = number % LISTENERS;
    let ts = jiff::Timestamp::from_millisecond(jiff::Timestamp::now().as_millisecond()).unwrap();
    serde_json::from_value(json!({"event_id": format!("{name}-{number:08}"), "user_id": format!("u{user}"),
        "session_id": format!("{name}-{user}"), "track_id": "t0", "type": "play_end", "reason_end": "done",
        "played_ms": 200_000, "client_ts": ts.to_string()}))
    .unwrap()
}

/// What the log of a node that was stopped holds: each event once, those of a listener from one node in their order.
fn check(dir: &Path, expected: usize) {
    let (mut seen, mut last) = (HashMap::<String, usize>::new(), HashMap::<String, String>::new());
    let damage = scan(dir, 0, &mut |_, entry| {
        let Entry::Event(event) = entry else { return Ok(()) };
        *seen.entry(event.event_id.to_string()).or_default() += 1;
        let before = last.insert(event.session_id.to_string(), event.event_id.to_string());
        assert!(before.is_none_or(|before| before < event.event_id.to_string()), "{event:?} came too late");
        Ok(())
    });
    assert_eq!(damage.unwrap(), Vec::<String>::new());
    let twice = seen.values().filter(|count| **count > 1).count();
    assert_eq!((seen.len(), twice), (expected, 0), "lost {}, applied twice {twice}", expected - seen.len());
}

/// A cluster, or the address of a real one, and a topic that is new.
async fn cluster() -> (Option<Broker>, String, String) {
    let topic = format!("segue-test-{}", ulid::Ulid::generate().to_string().to_lowercase());
    match real_cluster() {
        Some(address) => (None, address, topic),
        None => {
            let broker = Broker::start().await.unwrap();
            let address = broker.address();
            (Some(broker), address, topic)
        }
    }
}

/// Work that waits.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn events_reach_every_node_once_though_nodes_stop_and_start() {
    let (_broker, address, topic) = cluster().await;
    blocking(move || {
        let (n, dirs) = (count(), [(); 3].map(|()| tempfile::tempdir().unwrap()));
        let start = |at: usize| Node::start(dirs[at].path(), &address, &topic);
        let (a, b) = (start(0), start(1));
        a.send("a", 0..n);
        b.send("b", 0..n / 2);
        // Stopped wherever it is, with what it has read so far, and resumed from its own directory.
        wait("the first ones", || (b.plays() as usize, b.plays() as usize > n / 2));
        drop(b);
        let b = start(1);
        a.send("a", n..n + n / 2);
        b.send("b", n / 2..n);
        let all = 2 * n + n / 2;
        a.until(all);
        b.until(all);
        // A node that comes later reads all of it.
        let c = start(2);
        c.until(all);
        assert_eq!([a.plays(), b.plays(), c.plays()], [all as u64; 3]);
        drop((a, b, c));
        dirs.iter().for_each(|dir| check(dir.path(), all));
        let again = start(2);
        assert_eq!(again.plays(), all as u64, "the log alone brings it back");
        drop(again);
        check(dirs[2].path(), all);
    })
    .await;
}

/// A node in a process of its own, which can be killed.
fn spawn_node(dir: &Path, address: &str, topic: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "the_node_that_is_killed", "--nocapture"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.env(NODE[0], dir).env(NODE[1], address).env(NODE[2], topic).spawn().unwrap()
}

/// Events in the log of a node that was killed.
fn logged(dir: &Path) -> usize {
    let mut events = 0;
    let count = &mut |_, _: &Entry| {
        events += 1;
        Ok(())
    };
    // The newest file may end in the middle of a transaction, which the next start leaves out.
    let _ = scan(dir, 0, &mut |at, entry| count(at, &entry));
    events
}

/// What [`spawn_node`] runs; by itself it does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn the_node_that_is_killed() {
    let [Ok(dir), Ok(address), Ok(topic)] = NODE.map(std::env::var) else { return };
    blocking(move || {
        let _node = Node::start(Path::new(&dir), &address, &topic);
        pause(PATIENCE);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_is_killed_loses_nothing_and_repeats_nothing() {
    let (_broker, address, topic) = cluster().await;
    blocking(move || {
        let (n, dirs) = (count(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
        let a = Node::start(dirs[0].path(), &address, &topic);
        println!("seed {SEED}");
        let mut rng = ChaCha8Rng::seed_from_u64(SEED);
        let (mut sent, mut inside) = (0, 0);
        for kill in 1..=KILLS {
            let mut consumer = spawn_node(dirs[1].path(), &address, &topic);
            let until = n * kill / KILLS;
            a.send("a", sent..until);
            sent = until;
            // From before it is up to after it has read all.
            pause(Duration::from_millis(rng.random_range(20..600)));
            consumer.kill().unwrap();
            consumer.wait().unwrap();
            let has = logged(dirs[1].path());
            println!("kill {kill}: {has} of {sent}");
            inside += usize::from(0 < has && has < sent);
        }
        assert!(inside > 0, "no kill came while it was reading");
        let b = Node::start(dirs[1].path(), &address, &topic);
        b.until(n);
        a.until(n);
        assert_eq!([a.plays(), b.plays()], [n as u64; 2]);
        drop((a, b));
        dirs.iter().for_each(|dir| check(dir.path(), n));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_breaks_loses_nothing_and_repeats_nothing() {
    let (Some(broker), address, topic) = cluster().await else { return };
    let n = count();
    let dirs = Arc::new([(); 2].map(|()| tempfile::tempdir().unwrap()));
    let held = Arc::clone(&dirs);
    let nodes = blocking(move || {
        let [a, b] = [0, 1].map(|at| Node::start(held[at].path(), &address, &topic));
        a.send("a", 0..n / 4);
        b.until(n / 4);
        Arc::new((a, b))
    })
    .await;
    let run = |work: fn(&Node, &Node, usize)| {
        let nodes = Arc::clone(&nodes);
        blocking(move || work(&nodes.0, &nodes.1, n))
    };
    // It refuses, then stores and hangs up.
    broker.refuse(2);
    run(|a, b, n| {
        a.send("a", n / 4..n / 2);
        b.until(n / 2);
    })
    .await;
    broker.cut_after(2);
    run(|a, b, n| {
        a.send("a", n / 2..n / 2 + n / 4);
        b.until(n / 2 + n / 4);
    })
    .await;
    assert_eq!(broker.faults_left(), 0, "the faults happened");
    // It is away: events go on, and go out when it is back.
    broker.stop();
    run(|a, _, n| a.send("a", n / 2 + n / 4..n)).await;
    broker.resume().await.unwrap();
    run(|a, b, n| {
        a.until(n);
        b.until(n);
    })
    .await;
    assert!(broker.stored() >= n as i64, "{}", broker.stored());
    let nodes = Arc::into_inner(nodes).unwrap();
    blocking(move || {
        assert!(nodes.0.metrics.stream.failures.get() > 0);
        drop(nodes);
        dirs.iter().for_each(|dir| check(dir.path(), n));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_reaches_every_node_and_comes_to_rest() {
    let (_broker, address, topic) = cluster().await;
    blocking(move || {
        let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let [a, b] = [0, 1].map(|at| Node::start(dirs[at].path(), &address, &topic));
        a.send("a", 0..2 * LISTENERS);
        b.until(2 * LISTENERS);
        a.ingest.forget(&listener(7)).unwrap();
        b.until(0);
        wait("the erasure", || (b.plays() as usize, b.plays() as usize == 2 * LISTENERS - 2));
        b.send("b", 0..LISTENERS);
        a.until(3 * LISTENERS - 2);
        let sent = |node: &Node| node.metrics.stream.sent.get() as usize;
        wait("what b sent", || (sent(&b), sent(&b) == LISTENERS));
        assert_eq!(sent(&a), 2 * LISTENERS + 1, "b did not send the erasure back");
        drop((a.stream, b.stream));
        let erasures = dirs.each_ref().map(|dir| {
            let mut erasures = 0;
            scan(dir.path(), 0, &mut |_, entry| {
                erasures += usize::from(matches!(entry, Entry::Erase(_)));
                Ok(())
            })
            .unwrap();
            erasures
        });
        assert_eq!(erasures, [1, 1]);
    })
    .await;
}
