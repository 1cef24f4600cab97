//! Events, one a line, through validation into live state: nothing breaks, and every number stays finite.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use segue::config::{EventsConfig, SignalConfig, StateConfig};
use segue::domain::{Catalogue, ItemVectors, TrackIx};
use segue::events::{Clock, RawEvent, validate};
use segue::features::StateStore;
use serde_json::{from_slice, from_str};

const NOW_MS: i64 = 1_767_225_600_000;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let row = |id: &str| {
        let row = format!(
            "{{\"track_id\":\"{id}\",\"title\":\"Song\",\"artist_id\":\"a1\",\"artist_name\":\"Artist\",\"explicit\":false}}"
        );
        from_str(&row).unwrap()
    };
    Catalogue::new(["t1", "t2"].map(row).to_vec()).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let config = EventsConfig::default();
    let vectors = ItemVectors::from_raw(vec![1.0, 0.0, 0.0, 1.0], 2).unwrap();
    let state = StateStore::new(&StateConfig { sessions_mib: 1, profiles_mib: 1, ..StateConfig::default() }, &SignalConfig::default());
    for line in bytes.split(|byte| *byte == b'\n') {
        let Ok(raw) = from_slice::<RawEvent>(line) else { continue };
        let Ok(event) = validate(&raw, Clock::new(NOW_MS, None, &config)) else { continue };
        if state.apply(&event, &CATALOGUE, &vectors).is_ok() {
            let (session, profile) = (state.session(&event.session_id, NOW_MS), state.profile(&event.user_id));
            assert!(session.liked_direction.iter().chain(&session.skipped_direction).all(|value| value.is_finite()));
            assert!(profile.hours.iter().all(|value| value.is_finite()));
        }
    }
    let mut known = Vec::new();
    state.completions().estimates(&CATALOGUE, [TrackIx(0), TrackIx(1)].into_iter(), NOW_MS, &mut known);
    assert!(known.iter().all(|estimate| estimate.alpha > 0.0 && estimate.beta > 0.0));
});
