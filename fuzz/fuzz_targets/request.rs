//! Bodies of requests: any bytes are read or refused, and what is read is within its bounds.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use segue::domain::{Catalogue, TrackId};
use segue::http::wire::{ExplainRequest, NextTracksRequest, PutTrack, RankRequest, ReplayRequest, WhichAnswer};
use serde_json::{from_slice, from_str};

const MAX_LIST: usize = 50;
const NOW_MS: i64 = 1_750_000_000_000;

static CATALOGUE: LazyLock<Catalogue> = LazyLock::new(|| {
    let row = |id: &str| {
        let row = format!(
            "{{\"track_id\":\"{id}\",\"title\":\"Song\",\"artist_id\":\"a1\",\"artist_name\":\"Artist\",\"explicit\":false}}"
        );
        from_str(&row).unwrap()
    };
    Catalogue::new(["t1", "t2", "t3"].map(row).to_vec()).unwrap()
});

fuzz_target!(|bytes: &[u8]| {
    let bounded = |request: &segue::domain::Request| {
        assert!((1..=100).contains(&request.limit) && request.exclude.len() <= MAX_LIST);
        assert!((0.0..=1.0).contains(&request.discovery) && (0.0..=1.0).contains(&request.diversity));
    };
    if let Ok(body) = from_slice::<NextTracksRequest>(bytes) {
        body.validate(&CATALOGUE, MAX_LIST, NOW_MS).iter().for_each(bounded);
    }
    if let Ok(body) = from_slice::<RankRequest>(bytes) {
        body.validate(&CATALOGUE, MAX_LIST, NOW_MS).iter().for_each(bounded);
    }
    if let Ok(Ok((_, WhichAnswer::Now(body)))) = from_slice::<ExplainRequest>(bytes).map(ExplainRequest::split) {
        body.validate(&CATALOGUE, MAX_LIST, NOW_MS).iter().for_each(bounded);
    }
    if let Ok(body) = from_slice::<PutTrack>(bytes) {
        let _ = body.track(TrackId::new("t4").unwrap());
    }
    if let Ok(body) = from_slice::<ReplayRequest>(bytes) {
        let _ = body.validate();
    }
});
