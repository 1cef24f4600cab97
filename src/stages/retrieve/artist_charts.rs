use crate::domain::{ArtistIx, Catalogue, Popularity, TrackIx, by_score};

/// The tracks of each artist by popularity; none of an artist that was added later. Built once a bundle and shared. 4 bytes a track and an artist.
#[derive(Debug)]
pub struct ArtistCharts {
    /// `[artists + 1]`
    starts: Vec<u32>,
    tracks: Vec<TrackIx>,
}

impl ArtistCharts {
    /// Sorts every artist's tracks: most popular first, ties by row. `O(n log n)`.
    pub fn new(catalogue: &Catalogue, popularity: &Popularity) -> Self {
        let mut starts = vec![0];
        let mut tracks = Vec::with_capacity(catalogue.len());
        for artist in (0..catalogue.artist_count() as u32).map(ArtistIx) {
            let first = tracks.len();
            tracks.extend_from_slice(catalogue.tracks_of(artist));
            let score = |track: TrackIx| popularity.score.get(track.at()).copied().unwrap_or(0.0);
            tracks[first..].sort_unstable_by(|a, b| by_score(score(*a), score(*b)).then(a.cmp(b)));
            starts.push(tracks.len() as u32);
        }
        Self { starts, tracks }
    }

    /// The bundle's tracks of an artist, most popular first.
    #[inline]
    pub fn of(&self, artist: ArtistIx) -> &[TrackIx] {
        match self.starts.get(artist.at()..artist.at() + 2) {
            Some([start, end]) => &self.tracks[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// Visits the first track of each artist, then the second of each and so on, until `visit` returns `false` or all
    /// tracks have been visited: an artist with many tracks cannot fill a list. No allocation.
    pub(super) fn round_robin(&self, artists: &[ArtistIx], mut visit: impl FnMut(TrackIx) -> bool) {
        let longest = artists.iter().map(|artist| self.of(*artist).len()).max().unwrap_or(0);
        for place in 0..longest {
            for track in artists.iter().filter_map(|artist| self.of(*artist).get(place)) {
                if !visit(*track) {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::fixtures::catalogue;

    #[test]
    fn takes_turns_between_artists() {
        let catalogue = catalogue(6, |_, _| {});
        let popularity = Popularity::new(&catalogue, &[1.0, 5.0, 2.0, 0.0, 0.0, 3.0], Vec::new());
        let charts = ArtistCharts::new(&catalogue, &popularity);
        assert_eq!(charts.of(ArtistIx(1)), [5, 3, 4].map(TrackIx));
        let mut seen = Vec::new();
        charts.round_robin(&[ArtistIx(1), ArtistIx(0)], |track| {
            seen.push(track.0);
            seen.len() < 5
        });
        assert_eq!(seen, [5, 1, 3, 2, 4]);
    }
}
