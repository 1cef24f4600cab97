//! What the next track follows: the plays that rules are looked up for.

use super::sounding;
use crate::domain::{RequestContext, TrackIx};

/// Most plays that count.
pub const ANTECEDENTS: usize = 5;
/// What a play counts against the one after it.
const FADE: f32 = 0.7;

/// The tracks that what comes next follows, each once, with weights that fade from 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Antecedents {
    len: usize,
    tracks: [(TrackIx, f32); ANTECEDENTS],
}

impl Antecedents {
    /// What sounds now, then the session's plays from the latest back, but for skipped ones; before anything was played, the
    /// request's seeds. No allocation.
    pub fn of(context: &RequestContext) -> Self {
        let session = &context.session;
        let played = session.window.iter().rev().filter(|play| play.signal >= 0.0);
        let mut found = Self { len: 0, tracks: [(TrackIx(0), 0.0); ANTECEDENTS] };
        found.take(sounding(context).iter().chain(played).map(|play| play.track));
        if found.len == 0 {
            found.take(context.request.seed_tracks.iter().copied());
        }
        found
    }

    fn take(&mut self, tracks: impl Iterator<Item = TrackIx>) {
        for track in tracks {
            if self.len == ANTECEDENTS {
                break;
            }
            if self.as_slice().iter().all(|(taken, _)| *taken != track) {
                self.tracks[self.len] = (track, FADE.powi(self.len as i32));
                self.len += 1;
            }
        }
    }

    /// Latest first.
    #[inline]
    pub fn as_slice(&self) -> &[(TrackIx, f32)] {
        &self.tracks[..self.len]
    }

    /// The latest.
    pub fn latest(&self) -> Option<TrackIx> {
        self.as_slice().first().map(|(track, _)| *track)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Knobs, Play, SessionState};
    use crate::features::testing::request;
    use std::sync::Arc;

    fn of(current: Option<u32>, window: &[(u32, f32)], seeds: &[u32]) -> Vec<(u32, f32)> {
        let play = |(track, signal): &(u32, f32)| Play {
            track: TrackIx(*track),
            signal: *signal,
            played_fraction: 1.0,
            ts_ms: 5,
            liked: false,
        };
        let mut request = request("u", 10);
        request.seed_tracks = seeds.iter().map(|track| TrackIx(*track)).collect();
        let mut context = RequestContext::new(Arc::new(request), Knobs::default());
        let (window, current) = (window.iter().map(play).collect(), current.map(|track| play(&(track, 0.0))));
        context.session = Arc::new(SessionState { window, current, ..SessionState::default() });
        Antecedents::of(&context).as_slice().iter().map(|(track, weight)| (track.0, *weight)).collect()
    }

    #[test]
    fn the_latest_come_first_without_what_was_skipped() {
        let window: Vec<_> = (1..9).map(|track| (track, 1.0)).collect();
        let tracks = |found: Vec<(u32, f32)>| found.into_iter().map(|(track, _)| track).collect::<Vec<_>>();
        assert_eq!(tracks(of(None, &window, &[30])), [8, 7, 6, 5, 4]);
        assert_eq!(tracks(of(Some(7), &window, &[])), [7, 8, 6, 5, 4]);
        assert_eq!(of(None, &[(1, 1.0), (2, -0.5), (1, 0.0)], &[30]), [(1, 1.0)]);
        assert_eq!(of(None, &[(2, -0.5)], &[30, 31, 30]), [(30, 1.0), (31, FADE)]);
        assert!(of(None, &[], &[]).is_empty());
    }
}
