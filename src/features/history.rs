//! The listener's plays as the user tower sees them.

use super::anchor::sounding;
use super::numbers::{log_scaled, minutes_between, tidy};
use super::schema::{HISTORY_LEN, SIGNALS};
use crate::domain::{ItemVectors, Play, RequestContext};

/// Number of signals an entry (S).
pub const SIGNALS_LEN: usize = SIGNALS.len();

/// The last plays, newest first; entry i of every part is one play. Buffers are reused from request to request.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct History {
    /// `[H]`: track rows, -1 where empty.
    pub ix: Vec<i32>,
    /// `[H * S]`: signals in schema order, zero where empty.
    pub signals: Vec<f32>,
    /// `[H * dim]`: item vectors, zero where empty; `[0]` without vectors.
    pub vectors: Vec<f32>,
}

impl History {
    /// Number of plays that are not empty.
    pub fn len(&self) -> usize {
        self.ix.iter().filter(|ix| **ix >= 0).count()
    }

    /// Whether there is no play.
    pub fn is_empty(&self) -> bool {
        self.ix.first().is_none_or(|ix| *ix < 0)
    }

    /// Fills every part: what sounds now (signal 0), then the session's window newest first, then the profile's recent
    /// plays that are not of that window, up to [`HISTORY_LEN`]. `O(H^2)` comparisons at worst, no allocation once grown.
    pub fn fill(&mut self, context: &RequestContext, vectors: Option<&ItemVectors>) {
        self.ix.clear();
        self.signals.clear();
        self.vectors.clear();
        let (session, profile) = (&context.session, &context.profile);
        let now_ms = context.request.now_ms;
        let in_session = sounding(context).into_iter().chain(session.window.iter().rev().copied());
        for play in in_session.take(HISTORY_LEN) {
            self.push(&play, true, now_ms, vectors);
        }
        let is_taken =
            |play: &Play| session.window.iter().any(|own| (own.track, own.ts_ms) == (play.track, play.ts_ms));
        let left = HISTORY_LEN - self.ix.len();
        for play in profile.recent.iter().rev().filter(|play| !is_taken(play)).take(left) {
            self.push(play, false, now_ms, vectors);
        }
        self.ix.resize(HISTORY_LEN, -1);
        self.signals.resize(HISTORY_LEN * SIGNALS_LEN, 0.0);
        self.vectors.resize(HISTORY_LEN * vectors.map_or(0, ItemVectors::dim), 0.0);
    }

    fn push(&mut self, play: &Play, in_session: bool, now_ms: i64, vectors: Option<&ItemVectors>) {
        self.ix.push(play.track.0 as i32);
        self.signals.extend_from_slice(&signals_of(play, in_session, now_ms));
        if let Some(vectors) = vectors {
            if play.track.at() < vectors.len() {
                self.vectors.extend_from_slice(vectors.row(play.track.at()));
            } else {
                self.vectors.resize(self.vectors.len() + vectors.dim(), 0.0);
            }
        }
    }
}

fn signals_of(play: &Play, in_session: bool, now_ms: i64) -> [f32; SIGNALS_LEN] {
    [
        1.0,
        tidy(play.signal, 0.0),
        tidy(play.played_fraction, 0.0),
        log_scaled(minutes_between(play.ts_ms, now_ms), 10.0),
        f32::from(in_session),
        f32::from(play.liked),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Knobs, SessionState, TrackIx, UserProfile};
    use crate::features::testing::{request, vectors};
    use proptest::prelude::*;
    use std::sync::Arc;

    fn play(track: u32, ts_ms: i64) -> Play {
        Play { track: TrackIx(track), signal: 0.5, played_fraction: 0.25, ts_ms, liked: track % 2 == 1 }
    }

    proptest! {
        /// Against a list built the slow way: everything, sorted out afterwards.
        #[test]
        fn equals_the_plain_list(
            window in prop::collection::vec(0u32..12, 0..51), recent in prop::collection::vec(0u32..12, 0..51),
            shared in 0usize..51, current in prop::option::of(0u32..12), asked in prop::option::of(0u32..12),
        ) {
            let now_ms = 100_000_000i64;
            let window: Vec<_> = window.iter().enumerate().map(|(at, t)| play(*t, 50_000_000 + at as i64 * 60_000)).collect();
            let mut recent: Vec<_> = recent.iter().enumerate().map(|(at, t)| play(*t, at as i64 * 60_000)).collect();
            recent.extend_from_slice(&window[window.len().saturating_sub(shared)..]);
            let mut request = request("u", now_ms);
            request.current_track = asked.map(TrackIx);
            let mut context = RequestContext::new(Arc::new(request), Knobs::default());
            let current = current.map(|t| play(t, 99_000_000));
            context.session = Arc::new(SessionState { window: window.clone(), current, ..SessionState::default() });
            context.profile = Arc::new(UserProfile { recent: recent.clone(), ..UserProfile::default() });

            let mut plain: Vec<(Play, bool)> = sounding(&context).map(|p| (p, true)).into_iter().collect();
            plain.extend(window.iter().rev().map(|p| (*p, true)));
            plain.extend(recent.iter().rev().filter(|p| !window.contains(p)).map(|p| (*p, false)));
            plain.truncate(HISTORY_LEN);

            let vectors = vectors(12);
            let mut history = History::default();
            for _ in 0..2 {
                history.fill(&context, Some(&vectors));
                prop_assert_eq!(history.len(), plain.len());
                prop_assert_eq!(history.is_empty(), plain.is_empty());
                prop_assert_eq!((history.ix.len(), history.signals.len(), history.vectors.len()), (50, 300, 150));
                for at in 0..HISTORY_LEN {
                    let (ix, signals, vector) = (history.ix[at], &history.signals[at * 6..][..6], &history.vectors[at * 3..][..3]);
                    match plain.get(at) {
                        Some((play, in_session)) => {
                            prop_assert_eq!(ix, play.track.0 as i32);
                            prop_assert_eq!(vector, vectors.row(play.track.at()));
                            let age = (1.0 + (now_ms - play.ts_ms) as f64 / 60_000.0).ln() as f32 / 10.0;
                            prop_assert!((signals[3] - age).abs() < 1e-5);
                            prop_assert_eq!((signals[0], signals[1], signals[2]), (1.0, play.signal, play.played_fraction));
                            prop_assert_eq!((signals[4], signals[5]), (f32::from(*in_session), f32::from(play.liked)));
                        }
                        None => {
                            prop_assert_eq!(ix, -1);
                            prop_assert!(signals.iter().chain(vector).all(|v| *v == 0.0));
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn without_vectors_there_are_none() {
        let mut history = History::default();
        history.fill(&RequestContext::new(Arc::new(request("u", 0)), Knobs::default()), None);
        assert!(history.vectors.is_empty() && history.is_empty());
    }
}
