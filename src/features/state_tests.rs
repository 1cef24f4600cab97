//! Live state against maps that keep everything, and its bounds.

use std::collections::HashMap;

use super::*;
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
    assert_eq!(store.owners.of(&user("thief")), []);
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
    assert_eq!((store.erase(&user("u")), store.erase(&user("u"))), (3, 0));
    assert_eq!(*store.profile(&user("u")), UserProfile::default());
    for which in ["s1", "s2", "s4"] {
        assert_eq!(*store.session(&session(which), 1_000), SessionState::default());
    }
    assert_eq!((store.session(&session("s3"), 1_000).plays, store.session_count(), store.profile_count()), (1, 1, 1));
    assert_eq!((store.owners.counts(), store.owners.of(&user("v"))), ((1, 1), vec![session("s3")]));
    store.apply(&event("e", "u", "s1", EventType::Stop, Some("t1"), 2_000), &catalogue, &vectors).unwrap();
    assert_eq!((store.profile(&user("u")).plays, store.erase(&user("u"))), (1, 1), "what comes later begins anew");
}

#[test]
fn bytes_are_bounded_the_newest_is_kept_and_the_index_follows() {
    let bounds = StateConfig { sessions_mib: 1, profiles_mib: 1, duplicate_window: 2, ..StateConfig::default() };
    let (store, catalogue, vectors) = (store(bounds), catalogue(), vectors(12));
    let served: Vec<_> = (0..400).map(TrackIx).collect();
    for n in 0..3_000i64 {
        let (who, which) = (format!("u{}", n / 2), format!("s{n}"));
        store.apply(&event("e", &who, &which, EventType::Stop, Some("t1"), 1_000), &catalogue, &vectors).unwrap();
        store.record_served(&session(&which), &user(&who), &served, 1_000);
        assert!(store.first_time(&user(&who), &EventId::new(&which).unwrap()));
        assert_eq!(store.session(&session(&which), 1_000).plays, 1, "the session just used is held");
        assert_eq!(store.profile(&user(&who)).plays, 1 + n as u64 % 2, "and so is the profile");
    }
    settle(&store);
    store.seen.run_pending_tasks();
    assert!(store.sessions.weighted_size() <= 1 << 20 && store.profiles.weighted_size() <= 1 << 20);
    assert!(store.seen.entry_count() <= 2);
    let (sessions, profiles) = (store.session_count(), store.profile_count());
    assert!((100..1_000).contains(&sessions) && (100..1_500).contains(&profiles), "{sessions} {profiles}");
    let (listeners, noted) = store.owners.counts();
    assert!(noted as u64 == sessions && listeners <= noted, "{noted} noted, {sessions} held");
    for (id, held) in &store.sessions {
        assert!(store.owners.of(&held.owner).contains(&id));
    }
    for n in 0..1_500 {
        store.erase(&user(&format!("u{n}")));
    }
    settle(&store);
    assert_eq!((store.session_count(), store.profile_count(), store.owners.counts()), (0, 0, (0, 0)));
}

#[test]
fn the_index_follows_eviction_under_many_writers() {
    let bounds = StateConfig { sessions_mib: 1, ..StateConfig::default() };
    let (store, catalogue, vectors) = (store(bounds), catalogue(), vectors(12));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (store, catalogue, vectors) = (&store, &catalogue, &vectors);
            scope.spawn(move || {
                for n in 0..4_000 {
                    let (who, which) = (format!("u{}", n % 7), format!("s{}", (n * 31 + thread * 17) % 3_000));
                    let stop = event("e", &who, &which, EventType::Stop, Some("t1"), 1_000 + n);
                    let _ = store.apply(&stop, catalogue, vectors);
                    if n % 97 == 0 {
                        store.erase(&user(&who));
                    }
                }
            });
        }
    });
    settle(&store);
    assert_eq!(store.owners.counts().1 as u64, store.session_count());
    for (id, held) in &store.sessions {
        assert!(store.owners.of(&held.owner).contains(&id), "{id} is not noted");
    }
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
        let (store, catalogue, vectors) = (store(StateConfig::default()), catalogue(), vectors(12));
        let config = SignalConfig::default();
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
