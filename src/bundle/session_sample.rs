//! Sessions of the history, for the prototypes of intents: all of them or, where they are many, those of some listeners.

use std::collections::{HashMap, HashSet};

use sha2::{Digest, Sha256};

use crate::domain::{ArtistIx, Catalogue, Event, SessionId, TrackIx, UserId};
use crate::features::local_hour;

/// Most sessions kept.
const MOST_SESSIONS: usize = 100_000;
/// Most wanted plays kept of one.
const MOST_PLAYS: usize = 50;
/// Plays of a listener after which it is known which artists are new to them.
const LEARNT_AFTER: u32 = 20;

/// The wanted plays of one session.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SampledSession {
    /// In order.
    pub tracks: Vec<TrackIx>,
    /// The listener's hour of the first.
    pub hour: usize,
    /// Plays of which it is known whether their artists were new to the listener.
    pub judged: u32,
    /// Those of them whose artists were.
    pub of_new_artists: u32,
}

/// What a listener has heard.
#[derive(Debug, Default)]
struct Listener {
    plays: u32,
    artists: HashSet<ArtistIx>,
}

/// Gathers sessions. Whenever they become too many, half of the listeners are dropped, by a hash of their ids, so that memory
/// is bounded and the sample does not depend on anything but the history: some hundred bytes a session and a few an artist
/// of each listener.
#[derive(Debug)]
pub(super) struct SessionSampler {
    most: usize,
    /// Listeners stay whose hash begins with so many zeros.
    halvings: u32,
    sessions: HashMap<SessionId, (UserId, SampledSession)>,
    listeners: HashMap<UserId, Listener>,
}

impl Default for SessionSampler {
    fn default() -> Self {
        Self { most: MOST_SESSIONS, halvings: 0, sessions: HashMap::new(), listeners: HashMap::new() }
    }
}

impl SessionSampler {
    /// Takes in a play that counts. Plays come in time order.
    pub(super) fn play(&mut self, event: &Event, track: TrackIx, catalogue: &Catalogue) {
        if self.halvings > 0 && !stays(&event.user_id, self.halvings) {
            return;
        }
        let listener = self.listeners.entry(event.user_id.clone()).or_default();
        let is_new = listener.artists.insert(catalogue.artist_of(track));
        let is_judged = listener.plays >= LEARNT_AFTER;
        listener.plays = listener.plays.saturating_add(1);
        let begin = || {
            let hour = local_hour(event.local_hour, event.ts_ms);
            let session = SampledSession { tracks: Vec::new(), hour, judged: 0, of_new_artists: 0 };
            (event.user_id.clone(), session)
        };
        let (_, session) = self.sessions.entry(event.session_id.clone()).or_insert_with(begin);
        if session.tracks.len() < MOST_PLAYS {
            session.tracks.push(track);
            session.judged += u32::from(is_judged);
            session.of_new_artists += u32::from(is_judged && is_new);
        }
        while self.sessions.len() > self.most {
            self.halvings += 1;
            let halvings = self.halvings;
            self.sessions.retain(|_, (user, _)| stays(user, halvings));
            self.listeners.retain(|user, _| stays(user, halvings));
        }
    }

    /// The sessions, by their ids.
    pub(super) fn sessions(self) -> Vec<SampledSession> {
        let mut all: Vec<_> = self.sessions.into_iter().collect();
        all.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        all.into_iter().map(|(_, (_, session))| session).collect()
    }
}

/// Whether a listener is among those who stay after so many halvings.
fn stays(user: &UserId, halvings: u32) -> bool {
    let digest = Sha256::digest(user.as_str());
    let first = digest.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    first.leading_zeros() >= halvings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::fixture;

    fn sample(most: usize, plays: impl Iterator<Item = (usize, usize, u32)>) -> Vec<SampledSession> {
        let catalogue = Catalogue::new(fixture::tracks()).unwrap();
        let mut sampler = SessionSampler { most, ..SessionSampler::default() };
        let like = fixture::events().swap_remove(0);
        for (user, session, track) in plays {
            let (user_id, session_id) = (UserId::new(format!("u{user}")), SessionId::new(format!("s{user}-{session}")));
            let event = Event { user_id: user_id.unwrap(), session_id: session_id.unwrap(), ..like.clone() };
            sampler.play(&event, TrackIx(track), &catalogue);
        }
        sampler.sessions()
    }

    #[test]
    fn artists_are_new_once_and_only_when_somebody_is_known() {
        // Twelve artists: those of the first 20 plays are rows 0 and 1, that of row 2 is new then.
        let early = (0..20).map(|play| (0, 0, play % 2));
        let sessions = sample(9, early.chain([(0, 1, 0), (0, 1, 2), (0, 1, 14), (0, 1, 3)]));
        assert_eq!((sessions[0].judged, sessions[0].of_new_artists), (0, 0));
        assert_eq!((sessions[1].judged, sessions[1].of_new_artists), (4, 2), "row 14 is of the artist of row 2");
    }

    #[test]
    fn many_sessions_are_those_of_some_listeners_whole() {
        let plays = || (0..3).flat_map(|round| (0..200).map(move |user| (user, round, (user % 40) as u32)));
        let all = sample(1_000, plays());
        assert_eq!(all.len(), 600);
        let some = sample(200, plays());
        assert!((30..=200).contains(&some.len()) && some.len() % 3 == 0, "each listener has three: {}", some.len());
        assert_eq!(some, sample(200, plays()));
    }
}
