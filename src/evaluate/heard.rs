//! What was played before a moment, counted from the events themselves.

use std::collections::{HashMap, HashSet};

use super::moments::begun;
use super::slices::Slice;
use crate::domain::{ArtistIx, Catalogue, Device, Event, TrackIx, UserId};

/// What one listener began to play.
#[derive(Debug, Default)]
struct Listener {
    plays: u32,
    tracks: HashSet<TrackIx>,
    artists: HashSet<ArtistIx>,
}

/// Plays by listener up to now, and by track up to the test period: what a bundle can have learnt from. Memory: each
/// listener's distinct tracks.
#[derive(Debug)]
pub(super) struct Heard<'a> {
    catalogue: &'a Catalogue,
    test_from_ms: i64,
    tracks: Vec<u32>,
    listeners: HashMap<UserId, Listener>,
}

impl<'a> Heard<'a> {
    pub(super) fn new(catalogue: &'a Catalogue, test_from_ms: i64) -> Self {
        Self { catalogue, test_from_ms, tracks: vec![0; catalogue.len()], listeners: HashMap::new() }
    }

    /// Counts an event, if it begins a play of a known track.
    pub(super) fn note(&mut self, event: &Event) {
        let Some(track) = begun(self.catalogue, event) else { return };
        if event.ts_ms < self.test_from_ms {
            self.tracks[track.at()] += 1;
        }
        if !self.listeners.contains_key(&event.user_id) {
            self.listeners.insert(event.user_id.clone(), Listener::default());
        }
        if let Some(listener) = self.listeners.get_mut(&event.user_id) {
            listener.plays += 1;
            listener.tracks.insert(track);
            listener.artists.insert(self.catalogue.artist_of(track));
        }
    }

    /// The slices that a moment belongs to, one of each dimension.
    pub(super) fn slices(&self, event: &Event, target: TrackIx) -> [Slice; Slice::DIMENSIONS] {
        let listener = self.listeners.get(&event.user_id).map_or(0, |listener| listener.plays);
        [
            Slice::track_plays(self.tracks[target.at()]),
            Slice::listener_plays(listener),
            Slice::hour(event.local_hour),
            Slice::device(event.device.unwrap_or(Device::Other)),
        ]
    }

    /// Of a list: the part that the listener played before, and the part by artists that the listener never played.
    pub(super) fn familiarity(&self, user: &UserId, list: impl Iterator<Item = TrackIx>) -> (f64, f64) {
        let listener = self.listeners.get(user);
        let (mut length, mut played, mut new_artists) = (0u32, 0u32, 0u32);
        for track in list {
            let artist = self.catalogue.artist_of(track);
            length += 1;
            played += u32::from(listener.is_some_and(|listener| listener.tracks.contains(&track)));
            new_artists += u32::from(listener.is_none_or(|listener| !listener.artists.contains(&artist)));
        }
        let share = |count: u32| f64::from(count) / f64::from(length.max(1));
        (share(played), share(new_artists))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::EventType;
    use crate::features::testing::{catalogue, event};

    #[test]
    fn tracks_count_up_to_the_test_period_and_listeners_up_to_now() {
        let catalogue = catalogue();
        let mut heard = Heard::new(&catalogue, 10);
        let start = |user: &str, track: &str, at| event("e", user, "s", EventType::PlayStart, Some(track), at);
        let target = catalogue.find("t1").unwrap();
        assert_eq!(heard.slices(&start("u", "t1", 0), target)[..2], [Slice::track_plays(0), Slice::listener_plays(0)]);
        for event in [start("u", "t1", 1), start("v", "t1", 2), start("u", "t1", 20), start("u", "gone", 21)] {
            heard.note(&event);
        }
        heard.note(&event("e", "u", "s", EventType::PlayEnd, Some("t1"), 22));
        assert_eq!(heard.slices(&start("u", "t1", 30), target)[..2], [Slice::track_plays(2), Slice::listener_plays(2)]);
        let user = UserId::new("u").unwrap();
        let other =
            (0..catalogue.len() as u32).map(TrackIx).find(|t| catalogue.artist_of(*t) != catalogue.artist_of(target));
        let list = [target, other.unwrap()];
        assert_eq!(heard.familiarity(&user, list.into_iter()), (0.5, 0.5));
        assert_eq!(heard.familiarity(&UserId::new("w").unwrap(), list.into_iter()), (0.0, 1.0));
        assert_eq!(heard.familiarity(&user, std::iter::empty()), (0.0, 0.0));
    }
}
