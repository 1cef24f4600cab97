//! What sounds now: the strongest cue for what should come next.

use crate::domain::{Play, RequestContext, TrackIx};

/// The play that sounds now. The request's word counts before the events', which may lag; a track whose end the session
/// has just seen, with nothing begun since, sounds no longer.
pub fn sounding(context: &RequestContext) -> Option<Play> {
    let (session, now_ms) = (&context.session, context.request.now_ms);
    match (context.request.current_track, session.current) {
        (Some(track), Some(play)) if play.track == track => Some(play),
        (Some(track), current) => {
            let just_ended = current.is_none() && session.window.last().is_some_and(|play| play.track == track);
            let begun = Play { track, signal: 0.0, played_fraction: 0.0, ts_ms: now_ms, liked: false };
            (!just_ended).then_some(begun)
        }
        (None, current) => current,
    }
}

/// What sounds now, else the session's last play: what the next track follows.
pub fn anchor(context: &RequestContext) -> Option<TrackIx> {
    sounding(context).or(context.session.window.last().copied()).map(|play| play.track)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Knobs, SessionState};
    use crate::features::testing::request;
    use std::sync::Arc;

    fn play(track: u32) -> Play {
        Play { track: TrackIx(track), signal: 1.0, played_fraction: 1.0, ts_ms: 5, liked: false }
    }

    fn context(asked: Option<u32>, current: Option<u32>, last: Option<u32>) -> RequestContext {
        let mut request = request("u", 10);
        request.current_track = asked.map(TrackIx);
        let mut context = RequestContext::new(Arc::new(request), Knobs::default());
        let window = last.map(play).into_iter().collect();
        context.session = Arc::new(SessionState { current: current.map(play), window, ..SessionState::default() });
        context
    }

    #[test]
    fn the_request_counts_first_and_an_ended_track_does_not_sound() {
        let table = [
            (None, None, None, None, None),
            (None, None, Some(3), None, Some(3)),
            (None, Some(2), Some(3), Some(2), Some(2)),
            (Some(1), Some(2), Some(3), Some(1), Some(1)),
            (Some(1), None, Some(3), Some(1), Some(1)),
            (Some(3), None, Some(3), None, Some(3)),
            (Some(3), Some(3), Some(3), Some(3), Some(3)),
        ];
        for (asked, current, last, sounds, follows) in table {
            let context = context(asked, current, last);
            assert_eq!(sounding(&context).map(|play| play.track.0), sounds, "{asked:?} {current:?} {last:?}");
            assert_eq!(anchor(&context).map(|track| track.0), follows, "{asked:?} {current:?} {last:?}");
        }
    }
}
