//! Candidates in columns, and the scores of the ranker beside them.

use super::TrackIx;

/// Which retriever proposed a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// User vector against the index.
    TwoTower,
    /// Most played, market then global.
    Popular,
    /// Other tracks of this session's artists.
    SessionArtists,
    /// What follows the last tracks in other sessions.
    SequentialRules,
    /// What the listener has played before.
    OwnTracks,
    /// New releases.
    Fresh,
    /// Little-heard tracks near the listener's taste.
    Exploration,
    /// Pinned by a business rule.
    Rule,
    /// The caller's own list.
    Caller,
    /// A fallback list.
    Fallback,
}

impl Source {
    /// All sources.
    pub const ALL: [Self; 10] = [
        Self::TwoTower,
        Self::Popular,
        Self::SessionArtists,
        Self::SequentialRules,
        Self::OwnTracks,
        Self::Fresh,
        Self::Exploration,
        Self::Rule,
        Self::Caller,
        Self::Fallback,
    ];

    /// The name on the wire and in labels.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TwoTower => "two_tower",
            Self::Popular => "popular",
            Self::SessionArtists => "session_artists",
            Self::SequentialRules => "sequential_rules",
            Self::OwnTracks => "own_tracks",
            Self::Fresh => "fresh",
            Self::Exploration => "exploration",
            Self::Rule => "rule",
            Self::Caller => "caller",
            Self::Fallback => "fallback",
        }
    }
}

/// One hit of a retriever.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Retrieved {
    /// The track.
    pub track: TrackIx,
    /// The retriever's own score; comparable only within one source.
    pub score: f32,
}

/// The candidates of one request in columns: row i of every column is one candidate, no track twice.
#[derive(Debug, Clone, Default)]
pub struct CandidateSet {
    /// Tracks.
    pub tracks: Vec<TrackIx>,
    /// Who proposed it first.
    pub sources: Vec<Source>,
    /// The proposer's score.
    pub scores: Vec<f32>,
}

impl CandidateSet {
    /// Number of candidates.
    #[inline]
    pub fn len(&self) -> usize {
        self.tracks.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.tracks.is_empty()
    }

    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.tracks.clear();
        self.sources.clear();
        self.scores.clear();
    }

    /// Appends a row; the caller has checked that the track is new.
    pub fn push(&mut self, hit: Retrieved, source: Source) {
        self.tracks.push(hit.track);
        self.sources.push(source);
        self.scores.push(hit.score);
    }

    /// Keeps the rows whose mark is `false`, in order. `O(n)`, no allocation.
    ///
    /// # Panics
    /// If `removed` is shorter than the set.
    pub fn remove_marked(&mut self, removed: &[bool]) {
        assert!(removed.len() >= self.len(), "one mark a candidate");
        let mut to = 0;
        for (from, _) in removed.iter().take(self.tracks.len()).enumerate().filter(|(_, removed)| !**removed) {
            self.tracks[to] = self.tracks[from];
            self.sources[to] = self.sources[from];
            self.scores[to] = self.scores[from];
            to += 1;
        }
        self.truncate(to);
    }

    /// Sorts rows of the set best first by `scores[row]`, as [`super::by_score`] orders them; ties by track, so that equal
    /// scores order the same everywhere. One comparison of integers a step.
    ///
    /// # Panics
    /// If `order` names a row that the set or `scores` lacks.
    pub fn sort_rows(&self, order: &mut [u32], scores: &[f32]) {
        order.sort_by_cached_key(|row| {
            let row = *row as usize;
            u64::from(descending(scores[row])) << 32 | u64::from(self.tracks[row].0)
        });
    }

    /// Keeps the first `len` rows.
    pub fn truncate(&mut self, len: usize) {
        self.tracks.truncate(len);
        self.sources.truncate(len);
        self.scores.truncate(len);
    }
}

/// An integer that orders as scores do, best first: finite ones by their total order downwards, all others last and alike.
#[inline]
fn descending(score: f32) -> u32 {
    if !score.is_finite() {
        return u32::MAX;
    }
    let bits = score.to_bits();
    // Flips what makes IEEE 754 bits rise with the number, the other way round.
    if bits >> 31 == 0 { !(bits | 1 << 31) } else { bits }
}

/// What the ranker says of each candidate, in columns; row i = candidate i.
#[derive(Debug, Clone, Default)]
pub struct TaskScores {
    /// `P(play > 30 s)`.
    pub complete: Vec<f32>,
    /// `P(early skip)`.
    pub skip: Vec<f32>,
    /// `P(like)`.
    pub like: Vec<f32>,
    /// The blend of the three by the weights in force: what re-ranking starts from.
    pub blended: Vec<f32>,
}

impl TaskScores {
    /// Forgets all rows and keeps the memory.
    pub fn clear(&mut self) {
        self.complete.clear();
        self.skip.clear();
        self.like.clear();
        self.blended.clear();
    }

    /// Whether each column has `rows` rows and the blend is finite.
    pub fn is_complete(&self, rows: usize) -> bool {
        [&self.complete, &self.skip, &self.like, &self.blended].iter().all(|c| c.len() == rows)
            && self.blended.iter().all(|s| s.is_finite())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::by_score;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn sorts_as_scores_compare(
            rows in prop::collection::vec((any::<f32>(), 0u32..50), 0..60), coarse in any::<bool>(),
        ) {
            let mut set = CandidateSet::default();
            rows.iter().for_each(|(_, t)| set.push(Retrieved { track: TrackIx(*t), score: 0.0 }, Source::Popular));
            let scores: Vec<f32> = rows.iter().map(|(s, _)| if coarse { s.signum() } else { *s }).collect();
            let mut order: Vec<u32> = (0..rows.len() as u32).collect();
            let mut twin = order.clone();
            set.sort_rows(&mut order, &scores);
            twin.sort_by(|a, b| {
                let (a, b) = (*a as usize, *b as usize);
                by_score(scores[a], scores[b]).then(set.tracks[a].cmp(&set.tracks[b]))
            });
            prop_assert_eq!(order, twin);
        }
    }
}
