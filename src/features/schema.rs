//! The feature schema: names, units, ranges and defaults of every column, in order. A change of any of it raises
//! [`VERSION`]; bundles trained on another version are refused.

/// Version of everything in this file and of the code that fills it.
pub const VERSION: u32 = 2;

/// Plays of history that the user tower sees (H): the session's, newest first, then the profile's.
pub const HISTORY_LEN: usize = 50;

/// One column.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Column {
    /// Name, unique in its block.
    pub name: &'static str,
    /// Unit or scale.
    pub unit: &'static str,
    /// Value when unknown.
    pub default: f32,
    /// What it says.
    pub meaning: &'static str,
}

const fn column(name: &'static str, unit: &'static str, default: f32, meaning: &'static str) -> Column {
    Column { name, unit, default, meaning }
}

/// Per history entry (S). An empty entry is all zero.
pub const SIGNALS: &[Column] = &[
    column("valid", "0/1", 0.0, "there is a play"),
    column("signal", "-1..1", 0.0, "graded verdict of the play"),
    column("played_fraction", "0..1", 0.0, "part of the track that sounded"),
    column("age_log", "ln(1 + minutes) / 10", 0.0, "time since the play"),
    column("in_session", "0/1", 0.0, "played in the session at hand"),
    column("liked", "0/1", 0.0, "liked or added to a playlist"),
];

/// Dense user-side columns (U): session, profile, context.
pub const USER: &[Column] = &[
    column("session_plays_log", "ln(1 + n) / 4", 0.0, "ended plays in the session"),
    column("session_skips_log", "ln(1 + n) / 4", 0.0, "skips in the session"),
    column("session_completes_log", "ln(1 + n) / 4", 0.0, "completed plays in the session"),
    column("skips_in_row", "min(n, 5) / 5", 0.0, "skips since the last play that was not one"),
    column("session_minutes_log", "ln(1 + minutes) / 6", 0.0, "time since the session's first event"),
    column("session_tempo_mean", "(bpm - 120) / 60", 0.0, "mean tempo of the session's plays with audio"),
    column("session_tempo_spread", "bpm / 60", 0.0, "standard deviation of it"),
    column("session_energy_mean", "0..1", 0.5, "mean energy"),
    column("session_energy_spread", "0..1", 0.0, "standard deviation of it"),
    column("session_valence_mean", "0..1", 0.5, "mean valence"),
    column("session_valence_spread", "0..1", 0.0, "standard deviation of it"),
    column("profile_plays_log", "ln(1 + n) / 10", 0.0, "ended plays ever"),
    column("profile_skip_rate", "0..1", 0.0, "skips per ended play, ever"),
    column("profile_hour_share", "share x 24 / 4", 0.0, "the local hour's share of the listener's plays"),
    column("profile_top_artist_share", "0..1", 0.0, "share of the strongest artist in the affinity"),
    column("profile_genre_entropy", "nats / 4", 0.0, "spread of the genre affinity"),
    column("days_since_last_log", "ln(1 + days) / 6", 0.0, "time since the listener's last event before this session"),
    column("hour_sin", "-1..1", 0.0, "sine of the local hour's angle"),
    column("hour_cos", "-1..1", 1.0, "cosine of the local hour's angle"),
    column("weekday_sin", "-1..1", 0.0, "sine of the weekday's angle"),
    column("weekday_cos", "-1..1", 1.0, "cosine of the weekday's angle"),
    column("device_phone", "0/1", 0.0, "listening on a phone"),
    column("device_desktop", "0/1", 0.0, "listening on a computer"),
    column("device_car", "0/1", 0.0, "listening in a car"),
    column("device_speaker", "0/1", 0.0, "listening on a speaker"),
    column("device_tv", "0/1", 0.0, "listening on a television"),
];

/// Dense item-side columns (I): fixed for the life of a bundle.
pub const ITEM: &[Column] = &[
    column("has_audio", "0/1", 0.0, "audio features are known"),
    column("tempo", "(bpm - 120) / 60", 0.0, "tempo"),
    column("energy", "0..1", 0.5, "energy"),
    column("valence", "0..1", 0.5, "valence"),
    column("danceability", "0..1", 0.5, "danceability"),
    column("acousticness", "0..1", 0.5, "acousticness"),
    column("loudness", "(dB + 60) / 60", 0.8, "loudness"),
    column("popularity", "0..1", 0.0, "global popularity score"),
    column("artist_popularity", "0..1", 0.0, "popularity score of the artist"),
    column("has_release_day", "0/1", 0.0, "the release date is known"),
    column("age_log", "ln(1 + days) / 10", 0.0, "time since release, at the time of the bundle"),
    column("duration", "minutes / 5", 0.7, "length"),
    column("explicit", "0/1", 0.0, "explicit"),
];

/// User x item columns (X), per candidate.
pub const CROSS: &[Column] = &[
    column("user_similarity", "-1..1", 0.0, "user vector . item vector"),
    column("current_similarity", "-1..1", 0.0, "item vector . vector of what sounds now, else of the last play"),
    column("liked_similarity", "-1..1", 0.0, "cosine to the direction of the session's positive plays and likes"),
    column("skipped_similarity", "-1..1", 0.0, "cosine to the direction of the session's skipped plays and dislikes"),
    column("artist_affinity", "w / (1 + w)", 0.0, "decayed affinity to the artist"),
    column("genre_affinity", "share", 0.0, "the genre's share of the genre affinity"),
    column("artist_session_share", "0..1", 0.0, "share of the session's window by the artist"),
    column("genre_session_share", "0..1", 0.0, "share of the session's window in the genre"),
    column("artist_penalty", "0..1", 0.0, "decaying penalty of early skips and dislikes of the artist"),
    column("same_artist", "0/1", 0.0, "by the artist of what sounds now, else of the last play"),
    column("same_album", "0/1", 0.0, "from the album of it"),
    column("track_plays_log", "ln(1 + n) / 4", 0.0, "the listener's earlier plays of this track"),
    column("track_recency", "1 / (1 + days)", 0.0, "how recently; 0 = never"),
    column("track_liked", "0/1", 0.0, "liked"),
    column("in_session", "0/1", 0.0, "already played in this session"),
    column("tempo_gap", "|bpm - session mean| / 60", 0.0, "0 where either is unknown"),
    column("energy_gap", "0..1", 0.0, "0 where either is unknown"),
    column("market_popularity", "0..1", 0.0, "popularity score in the market; global where the market has no plays"),
    column("market_rank", "1 / rank", 0.0, "0 below the top 1,000"),
    column(
        "rule_next",
        "ln(1 + 1000 share) / 7",
        0.0,
        "share of what came right after the latest track in other sessions",
    ),
    column("rule_after", "ln(1 + 1000 share) / 7", 0.0, "share of what came after the last tracks, faded"),
    column("rule_near", "ln(1 + 1000 share) / 7", 0.0, "share of what came around the last tracks, faded"),
    column("own_next", "w / (1 + w)", 0.0, "how often it came after the latest track in the listener's recent plays"),
    column("session_gap", "1 / plays", 0.0, "how many plays ago it last was in the session's window; 0 = not in it"),
];

/// Tempo is measured from here, beats per minute.
pub const TEMPO_CENTRE: f32 = 120.0;
/// One unit of tempo, beats per minute.
pub const TEMPO_SCALE: f32 = 60.0;

/// Task names, in the order of the ranker's output.
pub const TASKS: [&str; 3] = ["complete", "skip", "like"];

/// Sizes and instants that a rows directory adds to the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowsInfo {
    /// Dimension of the vectors in the rows; absent where there are none (tower rows).
    pub dim: Option<usize>,
    /// Tracks in the catalogue.
    pub tracks: usize,
    /// Artists in the catalogue.
    pub artists: usize,
    /// Genres in the catalogue.
    pub genres: usize,
    /// Where the ranker's window begins, Unix ms.
    pub rank_from_ms: i64,
    /// Where the test window begins, Unix ms.
    pub test_from_ms: i64,
}

/// The content of a rows directory's `schema.json` (`docs/formats.md`).
pub fn describe(info: &RowsInfo) -> serde_json::Value {
    let names = |columns: &[Column]| columns.iter().map(|c| c.name).collect::<Vec<_>>();
    serde_json::json!({
        "feature_version": VERSION,
        "history_len": HISTORY_LEN,
        "signals": names(SIGNALS),
        "user": names(USER),
        "item": names(ITEM),
        "cross": names(CROSS),
        "tasks": TASKS,
        "dim": info.dim,
        "tracks": info.tracks,
        "artists": info.artists,
        "genres": info.genres,
        "rank_from_ms": info.rank_from_ms,
        "test_from_ms": info.test_from_ms,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_defaults_finite() {
        for block in [SIGNALS, USER, ITEM, CROSS] {
            let mut names: Vec<_> = block.iter().map(|c| c.name).collect();
            names.sort_unstable();
            names.dedup();
            assert_eq!(names.len(), block.len());
            assert!(block.iter().all(|c| c.default.is_finite()));
        }
    }

    #[test]
    fn describes_every_block() {
        let info = RowsInfo { dim: None, tracks: 3, artists: 2, genres: 1, rank_from_ms: 5, test_from_ms: 9 };
        let schema = describe(&info);
        assert_eq!(schema["user"].as_array().map(Vec::len), Some(USER.len()));
        assert_eq!((&schema["dim"], &schema["tracks"]), (&serde_json::Value::Null, &serde_json::json!(3)));
    }
}
