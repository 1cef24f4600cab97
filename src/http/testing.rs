//! A three-track catalogue for tests.

use serde_json::json;

use crate::domain::{Catalogue, Track};

/// Tracks `t0` to `t2` of artists `a0` to `a2`; `t2` is licensed in Sweden only.
pub(super) fn catalogue() -> Catalogue {
    let track = |n: usize| -> Track {
        let row = json!({
            "track_id": format!("t{n}"), "title": format!("Song {n}"), "artist_id": format!("a{n}"),
            "artist_name": format!("Artist {n}"), "explicit": false, "release_day": 19_000, "energy": 0.5,
            "label": (n == 1).then_some("Label 1"), "markets": (n == 2).then_some(["SE"]),
        });
        serde_json::from_value(row).unwrap()
    };
    Catalogue::new((0..3).map(track).collect()).unwrap()
}
