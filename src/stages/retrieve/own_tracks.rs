use crate::domain::{RequestContext, Retrieved, Source, TrackHistory, TrackIx};
use crate::pipeline::{Deadline, Retriever, StageError, TrackSet};

use super::push_by_place;

/// What the listener has played before, latest first: the session's tracks, then the profile's. A fifth of all plays repeat
/// an earlier one (30Music). Scores say the place only. `O(n log n)` in the profile's tracks, which are bounded.
#[derive(Debug, Default)]
pub struct OwnTracks {
    past: Vec<(i64, TrackIx)>,
    seen: TrackSet,
}

impl Retriever for OwnTracks {
    fn name(&self) -> &'static str {
        "own_tracks"
    }

    fn source(&self) -> Source {
        Source::OwnTracks
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        let played = |history: &&TrackHistory| history.plays > 0;
        self.past.clear();
        self.past.extend(context.profile.tracks.iter().filter(played).map(|history| (history.last_ms, history.track)));
        self.past.sort_unstable_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        self.seen.clear();
        let session = context.session.played.iter().rev().copied();
        for track in session.chain(self.past.iter().map(|(_, track)| *track)) {
            if out.len() >= quota {
                break;
            }
            if self.seen.insert(track) {
                push_by_place(out, track, quota);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows};
    use super::*;
    use crate::domain::{SessionState, UserProfile};
    use crate::stages::fixtures::{context, request, session};

    fn profile(tracks: &[(u32, u32, i64)]) -> UserProfile {
        let history = |(track, plays, last_ms): &(u32, u32, i64)| TrackHistory {
            track: TrackIx(*track),
            plays: *plays,
            completes: *plays,
            last_ms: *last_ms,
            liked: false,
        };
        UserProfile { tracks: tracks.iter().map(history).collect(), ..UserProfile::default() }
    }

    #[test]
    fn the_latest_comes_first_and_none_twice() {
        let profile = || profile(&[(0, 1, 50), (1, 3, 90), (2, 0, 95), (3, 1, 90), (7, 1, 99)]);
        let context = context(request(), session(&[7, 5, 7]), profile());
        assert_eq!(rows(&hits(&mut OwnTracks::default(), &context, 9)), [7, 5, 1, 3, 0], "2 was liked, never played");
        assert_eq!(rows(&hits(&mut OwnTracks::default(), &context, 2)), [7, 5]);
    }

    #[test]
    fn a_new_listener_has_none() {
        let context = context(request(), SessionState::default(), UserProfile::default());
        assert!(hits(&mut OwnTracks::default(), &context, 9).is_empty());
    }
}
