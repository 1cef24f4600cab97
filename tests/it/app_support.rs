//! The whole application over a small real bundle: ONNX models, lanes, live state, the real router.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Weak};

use actix_web::test::{self, TestRequest};
use segue::app::Engine;
use segue::backfill::{RankerPlan, TowersPlan, UserPart, ranker, towers};
use segue::bundle::{AsOf, BuildConfig, Bundle, build};
use segue::config::{Config, EventStore};
use segue::domain::{Request, SessionId, Track, UserId};
use segue::http::{Audience, RUNG, Service, app};
use segue::inference::Runtime;
use segue::startup;
use segue::tables::{read_tracks, write_tracks};
use segue::world::{WorldConfig, generate};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::http_support::{Got, post, read};

/// Tracks of the world.
pub(crate) const TRACKS: usize = 150;
/// A bundle of the same tracks, vectors and models as `bundle`, under another version.
pub(crate) const SAME: &str = "same";
/// A bundle of the same tracks in the reverse order.
pub(crate) const OTHER: &str = "other";
/// The moment at which [`request`] asks, Unix ms: 2025-06-15.
pub(crate) const NOW_MS: i64 = 1_750_000_000_000;

/// Tables, rows and bundles on disk; gone with the last application that uses them.
pub(crate) struct World {
    dir: TempDir,
}

impl World {
    /// The world of this process, made when nobody holds it.
    fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<World>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let world = Arc::new(Self::new());
            *shared = Arc::downgrade(&world);
            world
        })
    }

    /// A world that ended long ago, so that every licence has begun. Every 5th track is explicit, every 7th is licensed
    /// in SE and DE only, of every 11th the licence has ended, every 13th is the recording of the one before it.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let size = WorldConfig { tracks: TRACKS as u32, listeners: 12, days: 20, end_day: 20_000, seed: 3 };
        generate(&size, dir.path(), &|_, _| {}).unwrap();
        let table = dir.path().join("tracks.parquet");
        let mut tracks = read_tracks(&table).unwrap();
        for (row, track) in tracks.iter_mut().enumerate() {
            track.explicit = row % 5 == 0;
            track.markets = (row % 7 == 0).then(|| vec!["SE".into(), "DE".into()]);
            track.available_until_ms = (row % 11 == 0).then_some(1_700_000_000_000);
        }
        for row in (13..TRACKS).step_by(13) {
            tracks[row].recording_id = tracks[row - 1].recording_id.clone();
        }
        write_tracks(&table, tracks).unwrap();
        let (data, out) = (dir.path().into(), dir.path().join("rows"));
        let rows = TowersPlan { data, out, rank_days: 5, test_days: 4, part: UserPart::ALL };
        towers(&rows, &Config::default(), &mut |_| {}).unwrap();
        Self { dir }
    }

    /// Builds a bundle of models once and returns where it is.
    fn bundle(&self, name: &str, models: &Path) -> PathBuf {
        self.built(name, self.dir.path(), models, None)
    }

    /// Builds a bundle once: of some tables and models, under a version. Returns where it is.
    fn built(&self, name: &str, data: &Path, models: &Path, version: Option<&str>) -> PathBuf {
        let out = self.dir.path().join("bundles").join(name);
        if !out.exists() {
            fs::create_dir_all(self.dir.path().join("bundles")).unwrap();
            let mut plan = BuildConfig::new(data, models, self.dir.path().join("rows"), &out);
            plan.version = version.map(str::to_owned);
            build(&plan, &runtime(), &mut |_| {}).unwrap();
        }
        out
    }

    /// Builds [`SAME`] and [`OTHER`] once.
    fn others(&self) {
        static ONE: Mutex<()> = Mutex::new(());
        let _one = ONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        self.built(SAME, self.dir.path(), &fixture_models(), Some(SAME));
        let data = self.dir.path().join("reversed");
        if !data.exists() {
            fs::create_dir_all(&data).unwrap();
            let mut tracks = read_tracks(&self.dir.path().join("tracks.parquet")).unwrap();
            tracks.reverse();
            write_tracks(&data.join("tracks.parquet"), tracks).unwrap();
            fs::copy(self.dir.path().join("events.parquet"), data.join("events.parquet")).unwrap();
        }
        self.built(OTHER, &data, &fixture_models(), Some(OTHER));
    }
}

/// ONNX Runtime of this process.
pub(crate) fn runtime() -> Runtime {
    Runtime::open(&Config::default().inference).expect("scripts/setup installs ONNX Runtime")
}

fn fixture_models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models")
}

/// The application as `segue serve` wires it.
pub(crate) struct TestApp {
    pub(crate) engine: Arc<Engine>,
    pub(crate) service: Arc<dyn Service>,
    _world: Arc<World>,
}

impl TestApp {
    /// Two lanes, and time enough for any machine.
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    /// With another configuration.
    pub(crate) fn with(change: impl FnOnce(&mut Config)) -> Self {
        let world = World::shared();
        let bundle = world.bundle("bundle", &fixture_models());
        Self::start(world, &bundle, change)
    }

    /// Over a directory of bundles that can be activated: `bundle`, which is served unless `bundle` of the configuration
    /// names another one, [`SAME`] and [`OTHER`].
    pub(crate) fn among_others(change: impl FnOnce(&mut Config)) -> Self {
        let world = World::shared();
        let bundle = world.bundle("bundle", &fixture_models());
        world.others();
        let dir = bundle.parent().unwrap().to_owned();
        let (mut config, mut served) = (Self::config(), bundle);
        config.bundles.dir = Some(dir.clone());
        change(&mut config);
        config.bundle.iter().for_each(|name| served = dir.join(name));
        Self::over(world, &served, config)
    }

    /// Copies a bundle of the directory; where to.
    pub(crate) fn copied(&self, name: &str, to: &str) -> PathBuf {
        let dir = self._world.dir.path().join("bundles");
        fs::create_dir_all(dir.join(to)).unwrap();
        for file in fs::read_dir(dir.join(name)).unwrap().map(|file| file.unwrap().path()) {
            fs::copy(&file, dir.join(to).join(file.file_name().unwrap())).unwrap();
        }
        dir.join(to)
    }

    /// Over a bundle that has no ranker.
    pub(crate) fn without_ranker() -> Self {
        let world = World::shared();
        let models = world.dir.path().join("towers");
        std::fs::create_dir_all(&models).unwrap();
        for name in ["user_tower.onnx", "item_tower.onnx"] {
            std::fs::copy(fixture_models().join(name), models.join(name)).unwrap();
        }
        let bundle = world.bundle("towers-only", &models);
        Self::start(world, &bundle, |_| {})
    }

    /// Over a bundle that holds a reference: the rows that its ranker would have been trained on are at hand.
    pub(crate) fn with_reference() -> Self {
        let world = World::shared();
        let data = world.dir.path();
        let [rows, out, first, bundle] =
            ["rows", "ranker-rows", "as-of-rank", "referenced"].map(|name| data.join(name));
        if !bundle.exists() {
            let mut plan = BuildConfig::new(data, fixture_models(), &rows, &first);
            plan.as_of = AsOf::RankFrom;
            build(&plan, &runtime(), &mut |_| {}).unwrap();
            let (data, part, seed) = (data.to_owned(), UserPart::ALL, 1);
            let moments = RankerPlan { data, bundle: first, rows, out, negatives: 10, max_groups: 60, seed, part };
            ranker(&moments, &Config::default(), &runtime(), &mut |_| {}).unwrap();
            let plan = BuildConfig::new(moments.data, fixture_models(), moments.out, &bundle);
            build(&plan, &runtime(), &mut |_| {}).unwrap();
        }
        Self::start(world, &bundle, |_| {})
    }

    fn config() -> Config {
        let mut config = Config::default();
        config.lanes.count = 2;
        config.server.budget_ms = 60_000;
        config.events.store = EventStore::Memory;
        config
    }

    fn start(world: Arc<World>, bundle: &Path, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Self::config();
        change(&mut config);
        Self::over(world, bundle, config)
    }

    fn over(world: Arc<World>, bundle: &Path, config: Config) -> Self {
        let engine = Arc::new(Engine::start(config, bundle).unwrap());
        Self { service: startup::service(Arc::clone(&engine)), engine, _world: world }
    }

    /// Sends one request through the real router.
    pub(crate) async fn ask(&self, request: TestRequest) -> Got {
        let app = app(Arc::clone(&self.service), Arc::default(), Audience::Everyone);
        let app = test::init_service(app).await;
        read(test::call_service(&app, request.to_request()).await).await
    }

    /// A `GET` that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let got = self.ask(TestRequest::get().uri(path)).await;
        assert_eq!(got.status, 200, "{path}: {}", String::from_utf8_lossy(&got.body));
        got.json()
    }

    /// The status of a request without a body.
    pub(crate) async fn status(&self, request: TestRequest, path: &str) -> u16 {
        self.ask(request.uri(path)).await.status
    }

    /// An answer of `/v1/next-tracks`, checked to be well formed.
    pub(crate) async fn next(&self, body: Value) -> Value {
        answered(self.ask(post("/v1/next-tracks", &body)).await)
    }

    /// An answer of `/v1/rank`, checked to be well formed.
    pub(crate) async fn rank(&self, body: Value) -> Value {
        answered(self.ask(post("/v1/rank", &body)).await)
    }

    /// Sends events; the reply.
    pub(crate) async fn send(&self, events: Vec<Value>) -> Value {
        let got = self.ask(post("/v1/events", &json!({ "events": events }))).await;
        assert_eq!(got.status, 202, "{}", String::from_utf8_lossy(&got.body));
        got.json()
    }

    /// Sends events that must all be accepted.
    pub(crate) async fn accept(&self, events: Vec<Value>) {
        let count = events.len();
        let reply = self.send(events).await;
        assert_eq!(reply["accepted"], count, "{reply}");
    }

    /// Gives a listener a past: these rows, played to their end in a session of their own.
    pub(crate) async fn past(&self, user: &str, rows: impl IntoIterator<Item = usize>) {
        let session = format!("past-of-{user}");
        self.accept(rows.into_iter().map(|row| finished(user, &session, &format!("t{row}"))).collect()).await;
    }

    /// The catalogue's row of a track.
    pub(crate) fn track(&self, id: &str) -> Track {
        let catalogue = &bundle(self).catalogue;
        catalogue.track(catalogue.find(id).unwrap()).clone()
    }

    /// The ids of the tracks that fit.
    pub(crate) fn tracks(&self, fits: impl Fn(&Track) -> bool) -> HashSet<String> {
        bundle(self).catalogue.tracks().iter().filter(|t| fits(t)).map(|t| t.track_id.to_string()).collect()
    }

    /// The value of one metric, named with its labels; 0 where it is not there.
    pub(crate) fn metric(&self, name: &str) -> u64 {
        let text = self.service.metrics_text();
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

/// Checks what holds for every answer, and returns it.
pub(crate) fn answered(got: Got) -> Value {
    let answer: Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(got.status, 200, "{answer}");
    assert_eq!(answer["rung"], got.header(RUNG));
    let tracks = answer["tracks"].as_array().unwrap();
    for (at, track) in tracks.iter().enumerate() {
        assert_eq!(track["position"], at + 1);
        assert!(track["score"].as_f64().unwrap().is_finite());
    }
    assert_eq!(ids(&answer).into_iter().collect::<HashSet<_>>().len(), tracks.len(), "a track comes twice: {answer}");
    answer
}

/// Asks for a replay of an answer.
pub(crate) async fn post_replay(app: &TestApp, answer: &Value, body: Value) -> Got {
    let id = answer["recommendation_id"].as_str().unwrap();
    app.ask(post(&format!("/v1/recommendations/{id}/replay"), &body)).await
}

/// The tracks of an answer, best first.
pub(crate) fn ids(answer: &Value) -> Vec<String> {
    let tracks = answer["tracks"].as_array().unwrap();
    tracks.iter().map(|track| track["track_id"].as_str().unwrap().to_owned()).collect()
}

/// The same as a set.
pub(crate) fn id_set(answer: &Value) -> HashSet<String> {
    ids(answer).into_iter().collect()
}

/// An event of now with an id of its own.
pub(crate) fn event(user: &str, session: &str, kind: &str, track: &str) -> Value {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    json!({"event_id": format!("e{}", NUMBER.fetch_add(1, Ordering::Relaxed)), "user_id": user, "session_id": session,
           "track_id": track, "type": kind, "client_ts": jiff::Timestamp::now().to_string()})
}

/// A play that came to its end.
pub(crate) fn finished(user: &str, session: &str, track: &str) -> Value {
    let mut event = event(user, session, "play_end", track);
    event["reason_end"] = json!("done");
    event
}

/// A skip after 3 s.
pub(crate) fn skip(user: &str, session: &str, track: &str) -> Value {
    let mut event = event(user, session, "skip", track);
    event["played_ms"] = json!(3_000);
    event
}

/// A resolved question at [`NOW_MS`] with every dial at 0.
pub(crate) fn request(user: &str, session: Option<&str>) -> Request {
    let session_id = session.map(|id| SessionId::new(id).unwrap());
    Request { session_id, limit: 10, seed: 1, ..Request::new(UserId::new(user).unwrap(), NOW_MS) }
}

/// The bundle of an application.
pub(crate) fn bundle(app: &TestApp) -> Arc<Bundle> {
    Arc::clone(app.engine.current().bundle())
}

/// Has lists of the small catalogue explore: sources leave some tracks to exploration, and no track counts as new, so that their share
/// closes no place.
pub(crate) fn exploring(config: &mut Config) {
    (config.exploration.positions, config.exploration.more_positions) = (vec![2, 4], vec![]);
    config.exploration.new_plays = 0;
    let quotas = &mut config.retrieval;
    (quotas.two_tower, quotas.popular, quotas.own_tracks) = (20, 10, 10);
    (quotas.session_artists, quotas.sequential_rules, quotas.fresh) = (10, 10, 0);
}
