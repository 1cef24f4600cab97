//! Backfill against its naive twin: for one row, everything that happened before it, applied to nothing.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::moment::context;
use super::rows::{RankerRow, TowerRow};
use super::{BackfillError, RankerPlan, TowersPlan, UserPart, ranker, towers};
use crate::app::{Repeats, Wiring};
use crate::bundle::{AsOf, BuildConfig, Bundle, build};
use crate::config::Config;
use crate::domain::{Catalogue, Event, EventId, EventType, ItemVectors, Knobs, Request, TrackIx};
use crate::features::{History, StateStore, grade, is_terminal, user_columns};
use crate::inference::test_runtime;
use crate::pipeline::Deadline;
use crate::tables::{EventWriter, read_events, read_rows, read_tracks, write_tracks};
use crate::world::{WorldConfig, generate};

/// A world of 150 tracks, 12 listeners and 20 days, of which the ranker gets 5 and the test 4.
pub(super) struct Fixture {
    dir: tempfile::TempDir,
    pub(super) config: Config,
    pub(super) events: Vec<Event>,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let world = WorldConfig { tracks: 150, listeners: 12, days: 20, seed: 3, ..WorldConfig::default() };
        generate(&world, dir.path(), &|_, _| {}).unwrap();
        let events = read_events(&dir.path().join("events.parquet")).unwrap().collect::<Result<_, _>>().unwrap();
        Self { dir, config: Config::default(), events }
    }

    pub(super) fn at(&self, name: &str) -> std::path::PathBuf {
        self.dir.path().join(name)
    }

    pub(super) fn towers(&self) -> super::TowersSummary {
        let plan =
            TowersPlan { data: self.at(""), out: self.at("rows"), rank_days: 5, test_days: 4, part: UserPart::ALL };
        towers(&plan, &self.config, &mut |_| {}).unwrap()
    }

    /// The bundle that `ranker` reads.
    pub(super) fn bundle(&self) -> Arc<Bundle> {
        let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
        let mut plan = BuildConfig::new(self.at(""), models, self.at("rows"), self.at("bundle"));
        plan.as_of = AsOf::RankFrom;
        build(&plan, &test_runtime(), &mut |_| {}).unwrap();
        Arc::new(Bundle::load(&self.at("bundle"), &self.config, &test_runtime()).unwrap())
    }

    /// The events before the one that began a play, and that event.
    fn before(&self, user: &str, ts_ms: i64) -> (&[Event], &Event) {
        let began = |e: &&Event| e.kind == EventType::PlayStart && e.ts_ms == ts_ms && e.user_id.as_str() == user;
        let at = self.events.iter().position(|e| began(&e)).unwrap();
        (&self.events[..at], &self.events[at])
    }
}

impl Fixture {
    /// Makes every third play end unseen and lets likes come one and six minutes after the end of others.
    pub(super) fn disturb(&mut self) {
        let like = |event: &Event, kind: EventType, minutes: i64| Event {
            event_id: EventId::new(format!("{}-{}", event.event_id, kind.as_str())).unwrap(),
            kind,
            ts_ms: event.ts_ms + minutes * 60_000,
            ..event.clone()
        };
        let mut disturbed = Vec::new();
        for (at, event) in std::mem::take(&mut self.events).into_iter().enumerate() {
            let ends = is_terminal(event.kind);
            match at % 12 {
                0 | 4 | 8 if ends => continue,
                1 if ends => disturbed.push(like(&event, EventType::Like, 1)),
                2 if ends => disturbed.push(like(&event, EventType::AddToPlaylist, 6)),
                3 if ends => disturbed.push(like(&event, EventType::Unlike, 2)),
                _ => {}
            }
            disturbed.push(event);
        }
        disturbed.sort_by_key(|event| event.ts_ms);
        let mut writer = EventWriter::create(&self.at("events.parquet")).unwrap();
        disturbed.iter().for_each(|event| writer.write(event).unwrap());
        writer.finish().unwrap();
        self.events = disturbed;
    }

    pub(super) fn plan(&self, max_groups: usize) -> RankerPlan {
        let [bundle, rows, out] = ["bundle", "rows", "ranker"].map(|name| self.at(name));
        RankerPlan { data: self.at(""), bundle, rows, out, negatives: 5, max_groups, seed: 9, part: UserPart::ALL }
    }

    pub(super) fn ranker(&self, plan: &RankerPlan) -> Result<super::RankerSummary, BackfillError> {
        ranker(plan, &self.config, &test_runtime(), &mut |_| {})
    }

    /// What is to be learnt from the play that the event at `at` begins, by looking ahead: its labels, if it has an end.
    fn labels(&self, at: usize, catalogue: &Catalogue, until_ms: i64) -> Option<[f32; 3]> {
        let start = &self.events[at];
        let later = |e: &&Event| e.session_id == start.session_id && e.ts_ms < until_ms;
        let mut later = self.events[at + 1..].iter().filter(later);
        let end = later.clone().find(|e| e.kind == EventType::PlayStart || is_terminal(e.kind))?;
        let track = catalogue.find(start.track_id.as_ref().unwrap().as_str()).unwrap();
        let duration = crate::features::duration_ms(catalogue.track(track));
        let verdict = grade(end, duration, None, &self.config.signals)?;
        let said = later.by_ref().take_while(|e| e.ts_ms <= end.ts_ms + 5 * 60_000);
        let likes = [EventType::Like, EventType::AddToPlaylist];
        let takes_back = [EventType::Unlike, EventType::Dislike];
        let about_it = said.filter(|e| e.track_id == start.track_id).map(|e| e.kind);
        let last = about_it.filter(|kind| likes.contains(kind) || takes_back.contains(kind)).last();
        let liked = last.is_some_and(|kind| likes.contains(&kind));
        Some([verdict.completed, verdict.early_skip, liked].map(f32::from))
    }
}

pub(super) fn rows<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    read_rows(path).unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn tower_rows_say_what_was_known_just_before_the_play() {
    let fixture = Fixture::new();
    let summary = fixture.towers();
    let all: Vec<TowerRow> = rows(&fixture.at("rows/towers.parquet"));
    assert_eq!(all.len() as u64, summary.rows);
    assert!(all.len() > 100 && summary.refused == 0, "{summary:?}");
    let first_ms = fixture.events[0].ts_ms;
    let valid_from = summary.rank_from_ms - (summary.rank_from_ms - first_ms) / 20;
    let catalogue = super::data::Data::open(&fixture.at("")).unwrap().catalogue;
    for row in all.iter().step_by(all.len() / 12) {
        assert!(row.ts_ms < summary.rank_from_ms && (row.split == "valid") == (row.ts_ms >= valid_from));
        let (past, event) = fixture.before(&row.user_id, row.ts_ms);
        let state = StateStore::new(&fixture.config.state, &fixture.config.signals);
        for event in past {
            state.apply(event, &catalogue, &ItemVectors::none()).unwrap();
        }
        let context = context(&state, event, &catalogue);
        let mut history = History::default();
        history.fill(&context, None);
        assert_eq!(row.history_ix, history.ix);
        assert_eq!(row.history_signals, history.signals);
        assert_eq!(row.user, user_columns(&context));
        assert_eq!(row.target_ix, catalogue.find(event.track_id.as_ref().unwrap().as_str()).unwrap().0 as i32);
        let ended =
            fixture.events[past.len()..].iter().find(|e| e.session_id == event.session_id && e.played_ms.is_some());
        let ended = ended.unwrap();
        assert!(ended.kind == EventType::PlayEnd || ended.played_ms > Some(30_000), "only positive plays: {ended:?}");
    }
}

#[test]
fn ranker_rows_say_what_the_served_funnel_would_have_seen() {
    let fixture = Fixture::new();
    let windows = fixture.towers();
    let bundle = fixture.bundle();
    let plan = fixture.plan(40);
    let summary = fixture.ranker(&plan).unwrap();
    let all: Vec<RankerRow> = rows(&fixture.at("ranker/ranker.parquet"));
    assert_eq!((all.len() as u64, summary.groups + summary.unended), (summary.rows, 40));
    assert!(summary.groups > 30 && summary.retrieved > 0, "{summary:?}");
    for group in all.chunk_by(|a, b| a.group == b.group).step_by(7) {
        let played = &group[0];
        assert!((windows.rank_from_ms..windows.test_from_ms).contains(&played.ts_ms));
        assert!(played.played && group[1..].iter().all(|row| !row.played && row.mask == [1.0, 0.0, 0.0]));
        assert!(group[1..].iter().all(|row| row.label == [0.0; 3] && row.track_ix != played.track_ix));
        let (past, event) = fixture.before(&played.user_id, played.ts_ms);
        let state = Arc::new(StateStore::new(&fixture.config.state, &fixture.config.signals));
        for event in past {
            state.apply(event, &bundle.catalogue, &bundle.vectors).unwrap();
        }
        let wiring = Wiring::new(&fixture.config, Arc::clone(&bundle), state);
        let mut pipeline = wiring.offline(Repeats::Allowed).unwrap().build();
        let request = Arc::new(Request::before(event, &bundle.catalogue));
        let (context, pool) = pipeline.candidates(request, Knobs::default(), &Deadline::never());
        assert!(group[1..].iter().all(|row| pool.tracks.contains(&TrackIx(row.track_ix as u32))));
        let vector = context.user_vector.as_ref().unwrap().as_slice();
        let tracks: Vec<_> = group.iter().map(|row| TrackIx(row.track_ix as u32)).collect();
        let (mut items, mut cross) = (Vec::new(), Vec::new());
        wiring.assembler().candidates(&context, &tracks, vector, &mut items, &mut cross);
        assert_eq!(group.iter().flat_map(|row| row.item.clone()).collect::<Vec<_>>(), items);
        assert_eq!(group.iter().flat_map(|row| row.cross.clone()).collect::<Vec<_>>(), cross);
        let user: Vec<f32> = context.user_features.iter().chain(vector).copied().collect();
        assert!(group.iter().all(|row| row.user == user));
    }
    let again = RankerPlan { out: fixture.at("again"), ..plan };
    fixture.ranker(&again).unwrap();
    assert_eq!(rows::<RankerRow>(&fixture.at("again/ranker.parquet")), all, "the same seed gives the same rows");
}

#[test]
fn labels_come_from_the_very_play_and_from_what_is_said_of_it_soon_after() {
    let mut fixture = Fixture::new();
    fixture.disturb();
    let windows = fixture.towers();
    let bundle = fixture.bundle();
    let summary = fixture.ranker(&fixture.plan(100_000)).unwrap();
    let all: Vec<RankerRow> = rows(&fixture.at("ranker/ranker.parquet"));
    let window = windows.rank_from_ms..windows.test_from_ms;
    let starts = fixture.events.iter().enumerate().filter(|(_, e)| e.kind == EventType::PlayStart);
    let expected: HashMap<(&str, i64), [f32; 3]> = starts
        .filter(|(_, event)| window.contains(&event.ts_ms))
        .filter_map(|(at, event)| {
            let labels = fixture.labels(at, &bundle.catalogue, window.end)?;
            Some(((event.user_id.as_str(), event.ts_ms), labels))
        })
        .collect();
    let groups: Vec<_> = all.iter().filter(|row| row.played).collect();
    assert!(groups.len() > 100 && summary.unended > 50, "{summary:?}");
    assert_eq!((groups.len(), summary.groups as usize), (expected.len(), expected.len()));
    let mut liked = 0;
    for (at, row) in groups.into_iter().enumerate() {
        let labels = expected[&(row.user_id.as_str(), row.ts_ms)];
        assert_eq!((&row.label[1..], row.group), (&labels[1..], at as i64), "{row:?}");
        assert!(row.mask[0] == 0.0 || row.label[0] == labels[0], "{row:?}");
        liked += u32::from(labels[2] > 0.0);
    }
    assert!(liked > 5, "{liked} likes");
}

#[test]
fn draws_from_the_rankers_window_only() {
    let fixture = Fixture::new();
    let data = super::data::Data::open(&fixture.at("")).unwrap();
    let starts: Vec<usize> =
        (0..fixture.events.len()).filter(|at| fixture.events[*at].kind == EventType::PlayStart).collect();
    let (from, until) = (starts[20], starts[40]);
    let window = (fixture.events[from].ts_ms, fixture.events[until].ts_ms);
    let drawn = super::ranker::draw(&fixture.plan(1_000), &data, window, &mut |_| {}).unwrap();
    let inside = starts.into_iter().filter(|at| (window.0..window.1).contains(&fixture.events[*at].ts_ms));
    assert_eq!(drawn, inside.map(|at| at as u64).collect());
}

#[test]
fn refuses_a_bundle_of_a_later_moment_or_of_other_tracks() {
    let fixture = Fixture::new();
    let windows = fixture.towers();
    fixture.bundle();
    let models = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/models");
    let mut later = BuildConfig::new(fixture.at(""), models, fixture.at("rows"), fixture.at("later"));
    later.as_of = AsOf::Ms(windows.rank_from_ms + 1);
    build(&later, &test_runtime(), &mut |_| {}).unwrap();
    let refused = fixture.ranker(&RankerPlan { bundle: fixture.at("later"), ..fixture.plan(9) }).unwrap_err();
    assert!(refused.to_string().contains("--as-of rank"), "{refused}");
    let mut tracks = read_tracks(&fixture.at("tracks.parquet")).unwrap();
    tracks.swap(0, 1);
    write_tracks(&fixture.at("tracks.parquet"), tracks).unwrap();
    let refused = fixture.ranker(&fixture.plan(9)).unwrap_err();
    assert!(refused.to_string().contains("another tracks.parquet"), "{refused}");
}

#[test]
fn says_why_a_history_cannot_be_cut() {
    let fixture = Fixture::new();
    let plan =
        TowersPlan { data: fixture.at(""), out: fixture.at("rows"), rank_days: 14, test_days: 14, part: UserPart::ALL };
    let error = towers(&plan, &fixture.config, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("--rank-days"), "{error}");
    let missing = TowersPlan { data: fixture.at("nowhere"), ..plan };
    assert!(matches!(towers(&missing, &fixture.config, &mut |_| {}), Err(BackfillError::Table(_))));
}
