//! What is known about a listener: the session at hand and the long-term profile. Plain data; `features::signals` and
//! `features::state` define how events change it.

use super::{ArtistIx, GenreIx, TrackIx, UserId};

/// Plays kept in a session's window.
pub const SESSION_WINDOW: usize = 50;

/// One play.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Play {
    /// The track.
    pub track: TrackIx,
    /// Graded verdict in -1..1; 0 = censored or not ended yet.
    pub signal: f32,
    /// Part of the track that sounded, 0..1.
    pub played_fraction: f32,
    /// When it ended (or began, while it sounds), Unix ms.
    pub ts_ms: i64,
    /// Liked or added to a playlist during or after the play.
    pub liked: bool,
}

/// How long the current play has sounded: pauses do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Heard {
    /// What sounded up to the last pause, ms.
    pub before_pause_ms: i64,
    /// Since when it sounds without a pause, Unix ms; `None` while it rests.
    pub since_ms: Option<i64>,
}

/// The live state of one session. At most a few KB: every list is bounded.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct SessionState {
    /// Who listens; `None` until the first event.
    pub user_id: Option<UserId>,
    /// First event, Unix ms.
    pub started_ms: i64,
    /// Latest event, Unix ms.
    pub last_ms: i64,
    /// The listener's latest event before this session, Unix ms; 0 = none known.
    pub before_ms: i64,
    /// The last [`SESSION_WINDOW`] ended plays, oldest first.
    pub window: Vec<Play>,
    /// What sounds now.
    pub current: Option<Play>,
    /// How long it has sounded.
    pub heard: Heard,
    /// Ended plays in all.
    pub plays: u32,
    /// Skips in all.
    pub skips: u32,
    /// Plays that finished or passed 30 s.
    pub completes: u32,
    /// Skips since the last play that was not one.
    pub skips_in_row: u32,
    /// Distinct tracks whose play ended in this session, latest last, bounded (oldest dropped).
    pub played: Vec<TrackIx>,
    /// Tracks served to this session, newest last, bounded (oldest dropped).
    pub served: Vec<TrackIx>,
    /// Latest answer noted in `served`, Unix ms; 0 = none. Serving alone begins no session: no feature reads it.
    pub served_ms: i64,
    /// Decaying penalties of early skips and dislikes by artist, 0..1, bounded.
    pub artist_penalty: Vec<(ArtistIx, f32)>,
    /// Sum of the item vectors of positive plays weighted by signal and of likes, `[dim]`, or empty.
    pub liked_direction: Vec<f32>,
    /// Sum of the item vectors of skipped plays weighted by signal strength and of dislikes, `[dim]`, or empty; decays
    /// with plays.
    pub skipped_direction: Vec<f32>,
    /// Count, mean and M2 (Welford) of tempo in bpm over plays with audio.
    pub tempo: (f32, f32, f32),
    /// The same of energy.
    pub energy: (f32, f32, f32),
    /// The same of valence.
    pub valence: (f32, f32, f32),
}

/// A bounded list of `(key, weight)` kept sorted by key; weights decay exponentially in time.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Affinity<K> {
    /// Sorted by key.
    pub entries: Vec<(K, f32)>,
    /// When the weights were last brought up to date, Unix ms.
    pub as_of_ms: i64,
}

impl<K> Default for Affinity<K> {
    fn default() -> Self {
        Self { entries: Vec::new(), as_of_ms: 0 }
    }
}

impl<K: Ord + Copy> Affinity<K> {
    /// The weight of a key, 0 if absent. `O(log n)`.
    #[inline]
    pub fn get(&self, key: K) -> f32 {
        self.entries.binary_search_by_key(&key, |e| e.0).map_or(0.0, |at| self.entries[at].1)
    }
}

/// What a listener did with one track over time.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct TrackHistory {
    /// The track.
    pub track: TrackIx,
    /// Ended plays.
    pub plays: u32,
    /// Those of them that finished or passed 30 s.
    pub completes: u32,
    /// Latest play, Unix ms.
    pub last_ms: i64,
    /// Liked and not unliked since.
    pub liked: bool,
}

/// What a listener has added today to counts that others' lists go by. A day is one of UTC.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct GivenPlays {
    /// The day, since 1970.
    pub day: i64,
    /// Plays.
    pub plays: u32,
    /// Impressions.
    pub shown: u32,
    /// Of single tracks, sorted by track, bounded (no more are taken).
    pub tracks: Vec<GivenTrack>,
}

/// What a listener has added today of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct GivenTrack {
    /// The track.
    pub track: TrackIx,
    /// Plays.
    pub plays: u32,
    /// Impressions.
    pub shown: u32,
}

/// The long-term profile of a listener. Bounded to some tens of KB.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct UserProfile {
    /// Ended plays in all.
    pub plays: u64,
    /// Skips in all.
    pub skips: u64,
    /// Latest event, Unix ms.
    pub last_ms: i64,
    /// Decayed affinity by artist, bounded.
    pub artists: Affinity<ArtistIx>,
    /// Decayed affinity by genre.
    pub genres: Affinity<GenreIx>,
    /// The last 50 positive or censored plays of past and present sessions, oldest first.
    pub recent: Vec<Play>,
    /// What is known about single tracks, sorted by track, bounded (least recently played dropped).
    pub tracks: Vec<TrackHistory>,
    /// Plays by local hour, `[24]`, decayed.
    pub hours: [f32; 24],
    /// Disliked tracks, sorted: a hard filter.
    pub disliked: Vec<TrackIx>,
    /// Blocked artists, sorted: a hard filter.
    pub blocked_artists: Vec<ArtistIx>,
    /// What of it counts for others. The last field: `features::kept` reads profiles from before there was one.
    #[serde(default)]
    pub given: GivenPlays,
}

impl UserProfile {
    /// What is known about a track. `O(log n)`.
    #[inline]
    pub fn track(&self, track: TrackIx) -> Option<&TrackHistory> {
        self.tracks.binary_search_by_key(&track, |h| h.track).ok().map(|at| &self.tracks[at])
    }
}
