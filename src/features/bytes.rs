//! What live state weighs in memory: the sum by which its caches are bounded.

use std::mem::size_of;

use crate::domain::{SessionId, SessionState, UserId, UserProfile};

/// What one entry costs beside its content: the cache's own records and queues, shared pointers, the listener's index.
const ENTRY_BYTES: usize = 512;

/// A vector's memory, what it has reserved included.
fn heap<T>(list: &Vec<T>) -> usize {
    list.capacity() * size_of::<T>()
}

/// A session under its id, held for its listener; bytes.
pub(super) fn of_session(id: &SessionId, owner: &UserId, session: &SessionState) -> usize {
    ENTRY_BYTES
        + id.as_str().len()
        + owner.as_str().len()
        + size_of::<SessionState>()
        + heap(&session.window)
        + heap(&session.played)
        + heap(&session.served)
        + heap(&session.artist_penalty)
        + heap(&session.liked_direction)
        + heap(&session.skipped_direction)
}

/// A profile under its listener; bytes.
pub(super) fn of_profile(id: &UserId, profile: &UserProfile) -> usize {
    ENTRY_BYTES
        + id.as_str().len()
        + size_of::<UserProfile>()
        + heap(&profile.artists.entries)
        + heap(&profile.genres.entries)
        + heap(&profile.recent)
        + heap(&profile.tracks)
        + heap(&profile.disliked)
        + heap(&profile.blocked_artists)
        + heap(&profile.given.tracks)
}

/// A weight as the cache counts it.
pub(super) fn weight(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Affinity, ArtistIx, GenreIx, GivenPlays, GivenTrack, Play, TrackHistory, TrackIx};
    use crate::features::{feedback, lifetime, profile, session};

    #[test]
    fn the_fullest_entries_fit_the_smallest_caches() {
        let id = UserId::new("u".repeat(128)).unwrap();
        let play = Play { track: TrackIx(0), signal: 0.0, played_fraction: 0.0, ts_ms: 0, liked: false };
        let history = TrackHistory { track: TrackIx(0), plays: 0, completes: 0, last_ms: 0, liked: false };
        let given = GivenTrack { track: TrackIx(0), plays: 0, shown: 0 };
        let full = UserProfile {
            artists: Affinity { entries: vec![(ArtistIx(0), 0.0); 2 * profile::MAX_ARTISTS], as_of_ms: 0 },
            genres: Affinity { entries: vec![(GenreIx(0), 0.0); 2 * profile::MAX_GENRES], as_of_ms: 0 },
            recent: vec![play; 2 * profile::MAX_RECENT],
            tracks: vec![history; 2 * profile::MAX_TRACKS],
            disliked: vec![TrackIx(0); 2 * profile::MAX_DISLIKED],
            blocked_artists: vec![ArtistIx(0); 2 * profile::MAX_BLOCKED],
            given: GivenPlays { tracks: vec![given; 2 * feedback::MAX_GIVEN], ..GivenPlays::default() },
            ..UserProfile::default()
        };
        assert!((100_000..400_000).contains(&of_profile(&id, &full)), "{}", of_profile(&id, &full));
        let session = SessionState {
            window: vec![play; 100],
            played: vec![TrackIx(0); 2 * session::MAX_PLAYED],
            served: vec![TrackIx(0); 2 * lifetime::MAX_SERVED],
            artist_penalty: vec![(ArtistIx(0), 0.0); 2 * session::MAX_PENALTIES],
            liked_direction: vec![0.0; 4_096],
            skipped_direction: vec![0.0; 4_096],
            ..SessionState::default()
        };
        let bytes = of_session(&SessionId::new("s".repeat(128)).unwrap(), &id, &session);
        assert!((40_000..100_000).contains(&bytes), "{bytes}");
    }

    #[test]
    fn what_is_reserved_counts() {
        let id = UserId::new("u").unwrap();
        let empty = of_profile(&id, &UserProfile::default());
        let reserved = UserProfile { disliked: Vec::with_capacity(100), ..UserProfile::default() };
        assert_eq!(of_profile(&id, &reserved), empty + 400);
        assert_eq!(weight(usize::MAX), u32::MAX);
    }
}
