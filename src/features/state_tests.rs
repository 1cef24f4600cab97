//! Live state against maps that keep everything, and its bounds.

use std::collections::HashMap;

use super::*;
use crate::config::FeedbackConfig;
use crate::domain::EventType;
use crate::features::testing::{catalogue, event, random_events, vectors};
use crate::features::user_columns;
use proptest::prelude::*;

const MINUTE_MS: i64 = 60_000;
/// The default of `state.session_idle_min`.
const IDLE_MS: i64 = 30 * MINUTE_MS;
/// The default of `state.allowed_lateness_s`.
const LATENESS_MS: i64 = 5 * MINUTE_MS;

fn store(state: StateConfig) -> StateStore {
    StateStore::new(&state, &SignalConfig::default())
}

fn session(id: &str) -> SessionId {
    SessionId::new(id).unwrap()
}

fn user(id: &str) -> UserId {
    UserId::new(id).unwrap()
}

/// Waits until the cache has done all its work, which it does in pieces.
fn settle(store: &StateStore) {
    for _ in 0..64 {
        store.session_count();
        store.profile_count();
    }
}

#[test]
fn the_next_read_sees_an_event_and_old_snapshots_stand() {
    let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
    let before = store.session(&session("s"), 1_000);
    store.apply(&event("e", "u", "s", EventType::PlayEnd, Some("t1"), 1_000), &catalogue, &vectors).unwrap();
    assert_eq!((before.plays, store.session(&session("s"), 1_000).plays, store.profile(&user("u")).plays), (0, 1, 1));
    assert_eq!((store.session_count(), store.profile_count()), (1, 1));
}

#[test]
fn a_late_event_counts_in_the_profile_and_leaves_the_session_alone() {
    let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
    let apply = |kind, track: &str, session: &str, ts_ms| {
        store.apply(&event("e", "u", session, kind, Some(track), ts_ms), &catalogue, &vectors).unwrap().late
    };
    assert!(!apply(EventType::PlayStart, "t1", "s", LATENESS_MS + 1_000));
    assert!(!apply(EventType::PlayEnd, "t2", "s", 1_000), "as late as is allowed");
    let before = store.session(&session("s"), 1_000);
    assert!(apply(EventType::PlayStart, "t3", "s", 999) && apply(EventType::PlayEnd, "t3", "s", 999));
    assert!(apply(EventType::Dislike, "t4", "s", 999));
    assert_eq!(store.session(&session("s"), 1_000), before, "t1 still sounds");
    let profile = store.profile(&user("u"));
    assert_eq!((profile.plays, profile.disliked.len(), profile.last_ms), (2, 1, LATENESS_MS + 1_000));
    assert!(apply(EventType::PlayEnd, "t5", "offline", 500));
    assert_eq!(store.session(&session("offline"), 500).plays, 1, "nothing newer was known of that session");
}

#[test]
fn a_session_belongs_to_its_first_listener() {
    let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
    store.record_served(&session("s"), &user("u"), &[TrackIx(1)], 900);
    store.record_served(&session("s"), &user("thief"), &[TrackIx(2)], 900);
    assert_eq!(store.session(&session("s"), 1_000).served, [TrackIx(1)]);
    let theirs = event("e", "thief", "s", EventType::Stop, Some("t1"), 1_000);
    assert_eq!(store.apply(&theirs, &catalogue, &vectors), Err(ApplyError::OtherListener));
    assert_eq!(store.check(&theirs, &catalogue), Err(ApplyError::OtherListener));
    assert_eq!(store.profile_count(), 0, "a refused event makes no profile");
    assert_eq!(store.session_of(&session("s"), &user("thief"), 1_000), None);
}

#[test]
fn a_session_ends_by_event_time_and_reads_do_not_prolong_it() {
    let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
    let stop = |ts_ms| event("e", "u", "s", EventType::Stop, Some("t1"), ts_ms);
    store.apply(&stop(1_000), &catalogue, &vectors).unwrap();
    let plays_at = |now_ms| store.session_of(&session("s"), &user("u"), now_ms).unwrap().plays;
    assert_eq!([0, 1_000, 1_000 + IDLE_MS, 1_001 + IDLE_MS].map(plays_at), [1, 1, 1, 0]);
    store.apply(&stop(1_000 + IDLE_MS), &catalogue, &vectors).unwrap();
    assert_eq!(plays_at(1_001 + IDLE_MS), 2);
    store.apply(&stop(1_001 + 2 * IDLE_MS), &catalogue, &vectors).unwrap();
    let anew = store.session(&session("s"), 1_001 + 2 * IDLE_MS);
    assert_eq!((anew.plays, anew.started_ms, anew.before_ms), (1, 1_001 + 2 * IDLE_MS, 1_000 + IDLE_MS));
    assert_eq!(store.profile(&user("u")).plays, 3);
}

#[test]
fn serving_shows_in_the_session_and_in_no_feature() {
    let store = store(StateConfig::default());
    let columns = |now_ms| {
        let request = Arc::new(crate::features::testing::request("u", now_ms));
        let mut context = crate::domain::RequestContext::new(request, Default::default());
        context.session = store.session(&session("s"), now_ms);
        user_columns(&context)
    };
    let untouched = columns(10 * MINUTE_MS);
    store.record_served(&session("s"), &user("u"), &[TrackIx(1)], MINUTE_MS);
    assert_eq!(columns(10 * MINUTE_MS), untouched);
    assert_eq!(store.session(&session("s"), 10 * MINUTE_MS).served, [TrackIx(1)]);
    assert_eq!(*store.session(&session("s"), 40 * MINUTE_MS), SessionState::default());
}

#[test]
fn erasure_takes_the_profile_and_every_session_of_the_listener() {
    let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
    for (who, which) in [("u", "s1"), ("u", "s2"), ("v", "s3")] {
        store.apply(&event("e", who, which, EventType::Stop, Some("t1"), 1_000), &catalogue, &vectors).unwrap();
    }
    store.record_served(&session("s4"), &user("u"), &[TrackIx(1)], 1_000);
    assert_eq!((store.erase(&user("u")), store.erase(&user("u"))), (Ok(3), Ok(0)));
    assert_eq!(*store.profile(&user("u")), UserProfile::default());
    for which in ["s1", "s2", "s4"] {
        assert_eq!(*store.session(&session(which), 1_000), SessionState::default());
    }
    assert_eq!((store.session(&session("s3"), 1_000).plays, store.session_count(), store.profile_count()), (1, 1, 1));
    store.apply(&event("e", "u", "s1", EventType::Stop, Some("t1"), 2_000), &catalogue, &vectors).unwrap();
    assert_eq!((store.profile(&user("u")).plays, store.erase(&user("u"))), (1, Ok(1)), "what comes later begins anew");
}

#[test]
fn without_a_disk_bytes_are_bounded_the_newest_is_kept_and_what_goes_is_counted() {
    let bounds = StateConfig { sessions_mib: 1, profiles_mib: 1, ..StateConfig::default() };
    let (store, catalogue, vectors) = (store(bounds), catalogue(), vectors(12));
    let served: Vec<_> = (0..400).map(TrackIx).collect();
    for n in 0..3_000i64 {
        let (who, which) = (format!("u{}", n / 2), format!("s{n}"));
        store.apply(&event("e", &who, &which, EventType::Stop, Some("t1"), 1_000), &catalogue, &vectors).unwrap();
        store.record_served(&session(&which), &user(&who), &served, 1_000);
        assert_eq!(store.session(&session(&which), 1_000).plays, 1, "the session just used is held");
        assert_eq!(store.profile(&user(&who)).plays, 1 + n as u64 % 2, "and so is the profile");
    }
    settle(&store);
    assert!(store.sessions.bytes() <= 1 << 20 && store.profiles.bytes() <= 1 << 20);
    let (sessions, profiles) = (store.session_count(), store.profile_count());
    assert!((100..1_000).contains(&sessions) && (100..1_500).contains(&profiles), "{sessions} {profiles}");
    assert_eq!(store.figures().lost, 3_000 - sessions + 1_500 - profiles);
    let removed: usize = (0..1_500).map(|n| store.erase(&user(&format!("u{n}"))).unwrap()).sum();
    settle(&store);
    assert_eq!((removed as u64, store.session_count(), store.profile_count()), (sessions, 0, 0));
}

/// A store with little memory in front of a disk.
fn over_disk(dir: &std::path::Path, memory: usize) -> StateStore {
    let store = StateStore::sized(memory, memory, &StateConfig::default(), &SignalConfig::default());
    store.attach(Vault::open(dir, "g").unwrap().0);
    store
}

#[test]
fn nothing_is_lost_between_the_layers_under_many_writers_and_readers() {
    let (dir, catalogue, vectors) = (tempfile::tempdir().unwrap(), catalogue(), vectors(12));
    let store = over_disk(dir.path(), 30_000);
    let (threads, events) = (3i64, 600);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..threads)
            .map(|thread| {
                let (store, catalogue, vectors) = (&store, &catalogue, &vectors);
                scope.spawn(move || {
                    for n in 0..events {
                        let (who, which) = (format!("u{}", n % 20), format!("s{}", n % 20));
                        let stop = event("e", &who, &which, EventType::Stop, Some("t1"), 1_000 + n);
                        store.apply(&stop, catalogue, vectors).unwrap();
                        let at_least = (n / 20 + 1) as u64;
                        assert!(store.profile(&user(&who)).plays >= at_least, "thread {thread}, event {n}");
                        assert!(store.session(&session(&which), 1_000).plays as u64 >= at_least);
                    }
                })
            })
            .collect();
        let mut offset = 0;
        while writers.iter().any(|writer| !writer.is_finished()) {
            offset += 1;
            store.part();
            store.write(offset).unwrap();
        }
    });
    for who in 0..20 {
        let plays = store.profile(&user(&format!("u{who}"))).plays as i64;
        assert_eq!((plays, store.session(&session(&format!("s{who}")), 1_000).plays as i64), (90, 90));
    }
    let figures = store.figures();
    assert!(figures.disk_reads > 0 && (figures.damaged, figures.lost) == (0, 0), "{figures:?}");
}

#[test]
fn memory_drops_what_the_disk_holds_and_a_write_that_fails_keeps_it_all() {
    let (dir, catalogue, vectors) = (tempfile::tempdir().unwrap(), catalogue(), vectors(12));
    let store = over_disk(dir.path(), 40_000);
    let play = |who: i64, ts_ms| {
        let (user, session) = (format!("u{who}"), format!("s{who}"));
        store.apply(&event("e", &user, &session, EventType::Stop, Some("t1"), ts_ms), &catalogue, &vectors).unwrap();
    };
    (0..200).for_each(|who| play(who, 1_000));
    assert!(store.is_crowded() && store.is_full());
    let vault = store.vault.get().unwrap();
    vault.limit_pages(1);
    store.part();
    assert!(store.write(1).unwrap_err().to_string().contains("full"));
    (0..50).for_each(|who| play(who, 2_000));
    vault.limit_pages(1 << 20);
    store.part();
    assert_eq!(store.write(2), Ok(404), "with a row of counts each for all, genre, artist and track");
    settle(&store);
    assert_eq!((store.figures().changed_bytes, store.is_crowded()), (0, false));
    assert!(store.sessions.bytes() <= 40_000 && store.profiles.bytes() <= 40_000);
    assert!(store.profile_count() < 200 && store.figures().lost == 0);
    for who in 0..200 {
        let (user, plays) = (user(&format!("u{who}")), if who < 50 { 2 } else { 1 });
        assert_eq!(store.profile(&user).plays, plays, "u{who}");
    }
    assert!(store.is_at_hand(&user("u199"), None), "a miss is kept");
}

#[test]
fn a_session_that_is_over_has_left_its_plays_in_the_profile() {
    let (dir, catalogue, vectors) = (tempfile::tempdir().unwrap(), catalogue(), vectors(12));
    let store = over_disk(dir.path(), 0);
    let day_ms = 24 * 60 * MINUTE_MS;
    let send = |which: &str, kind, track: &str, ts_ms| {
        store.apply(&event("e", "u", which, kind, Some(track), ts_ms), &catalogue, &vectors).unwrap();
        store.part();
        store.write(1).unwrap();
    };
    send("s1", EventType::Stop, "t1", 1_000);
    send("s1", EventType::Like, "t2", 2_000);
    let at_the_end = store.profile(&user("u"));
    assert_eq!(store.session(&session("s1"), day_ms).plays, 0, "over");
    assert_eq!((at_the_end.recent.len(), at_the_end.track(TrackIx(2)).unwrap().liked), (1, true));
    // An unfinished play has no verdict and no part in the profile.
    send("s1", EventType::PlayStart, "t3", 3_000);
    send("s2", EventType::Search, "t3", 3 * day_ms);
    let kept: Vec<_> = store.sessions.all().into_keys().collect();
    assert_eq!(kept, ["s2"], "what was over for a day is not on disk");
    let next = store.profile(&user("u"));
    assert_eq!(
        (next.recent.clone(), next.tracks.clone(), next.plays),
        (at_the_end.recent.clone(), at_the_end.tracks.clone(), 1)
    );
    assert_eq!(store.session(&session("s2"), 3 * day_ms).before_ms, 3_000);
}

#[test]
fn one_of_many_is_first_and_listeners_do_not_meet() {
    let store = store(StateConfig::default());
    let (u, v, id) = (user("u"), user("v"), EventId::new("e").unwrap());
    let firsts: usize = std::thread::scope(|scope| {
        let asked: Vec<_> = (0..8).map(|_| scope.spawn(|| usize::from(store.first_time(&u, &id)))).collect();
        asked.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(firsts, 1);
    assert!(store.first_time(&v, &id) && !store.first_time(&v, &id));
    let (ab, c, a, bc) = (user("ab"), EventId::new("c").unwrap(), user("a"), EventId::new("bc").unwrap());
    assert!(store.first_time(&ab, &c) && store.first_time(&a, &bc));
    store.forget(&u, &id);
    assert!(store.first_time(&u, &id) && !store.first_time(&v, &id));
}

#[test]
fn no_event_is_lost_between_threads() {
    let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, catalogue, vectors) = (&store, &catalogue, &vectors);
            scope.spawn(move || {
                for n in 0..100 {
                    let which = format!("s{}", thread % 2);
                    let stop = event("e", "u", &which, EventType::Stop, Some("t1"), 1_000 + n);
                    store.apply(&stop, catalogue, vectors).unwrap();
                    store.record_served(&session(&which), &user("u"), &[TrackIx(1)], 1_000 + n);
                }
            });
        }
    });
    assert_eq!(store.profile(&user("u")).plays, 400);
    for which in ["s0", "s1"] {
        let state = store.session(&session(which), 1_100);
        assert_eq!((state.plays, state.served.len()), (200, 200));
    }
}

/// What is kept of a session when nothing is ever dropped.
#[derive(Default)]
struct Plain {
    owner: Option<UserId>,
    state: SessionState,
}

impl Plain {
    fn is_over(&self, now_ms: i64) -> bool {
        self.state.user_id.is_some() && now_ms - self.state.last_ms > IDLE_MS
    }

    /// The session as a request at that moment sees it.
    fn seen(&self, now_ms: i64) -> SessionState {
        if self.is_over(now_ms) { SessionState::default() } else { self.state.clone() }
    }
}

fn without_answers(mut session: SessionState) -> SessionState {
    (session.served, session.served_ms) = (Vec::new(), 0);
    session
}

prop_compose! {
    /// Events of three listeners in four sessions with gaps up to more than a session's idle time, some of them late.
    fn wandering()(
        events in random_events(80),
        places in prop::collection::vec((0u8..3, 0u8..4, prop::sample::select(vec![0i64, 0, 0, 9, 31, -9]), any::<bool>()), 80),
    ) -> Vec<(Event, bool)> {
        let mut later = 0;
        let place = |(mut event, (who, which, minutes, served)): (Event, (u8, u8, i64, bool))| {
            later += minutes * MINUTE_MS;
            event.ts_ms += later;
            (event.user_id, event.session_id) = (user(&format!("u{who}")), session(&format!("s{which}")));
            (event, served)
        };
        events.into_iter().zip(places).map(place).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn equals_maps_that_keep_everything(steps in wandering()) {
        // What counts for others has a twin of its own (`feedback`).
        let config = SignalConfig { feedback: FeedbackConfig::off(), ..SignalConfig::default() };
        let (store, catalogue, vectors) = (StateStore::new(&StateConfig::default(), &config), catalogue(), vectors(12));
        let rules = Reducer { catalogue: &catalogue, vectors: Some(&vectors), config: &config };
        let (mut sessions, mut profiles) = (HashMap::<SessionId, Plain>::new(), HashMap::<UserId, UserProfile>::new());
        for (event, served) in &steps {
            let (id, who, now_ms) = (&event.session_id, &event.user_id, event.ts_ms);
            let plain = sessions.entry(id.clone()).or_default();
            if *served {
                store.record_served(id, who, &[TrackIx(3)], now_ms);
                plain.owner.get_or_insert_with(|| who.clone());
            }
            let expected = if plain.owner.as_ref().is_none_or(|owner| owner == who) {
                if plain.is_over(now_ms) {
                    plain.state = SessionState::default();
                }
                plain.owner = Some(who.clone());
                let profile = profiles.entry(who.clone()).or_default();
                let late = profile.last_ms - event.ts_ms > LATENESS_MS;
                let aside = &mut SessionState::default();
                let session = if late && event.ts_ms < plain.state.last_ms { aside } else { &mut plain.state };
                rules.apply(session, profile, event).map(|applied| Applied { late, ..applied })
            } else {
                Err(ApplyError::OtherListener)
            };
            prop_assert_eq!(store.apply(event, &catalogue, &vectors), expected);
            for later_ms in [now_ms, now_ms + 20 * MINUTE_MS, now_ms + 40 * MINUTE_MS] {
                for (id, plain) in &sessions {
                    let got = without_answers((*store.session(id, later_ms)).clone());
                    prop_assert_eq!(got, plain.seen(later_ms), "{:?} at {}", id, later_ms);
                }
            }
            for (who, profile) in &profiles {
                prop_assert_eq!(&*store.profile(who), profile);
            }
        }
    }
}
