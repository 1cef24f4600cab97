//! User x item columns: what this listener, now, has to do with one candidate.

use super::anchor::anchor;
use super::numbers::{dot, log_scaled, minutes_between, norm, tidy};
use super::profile::MAX_RECENT;
use super::schema::{CROSS, TEMPO_SCALE};
use super::{Antecedents, Sound, affinity, moments, session};
use crate::domain::{
    AlbumIx, ArtistIx, Catalogue, GenreIx, ItemVectors, MarketPopularity, Popularity, RequestContext, SESSION_WINDOW,
    SequentialRules, TrackIx,
};

/// Number of cross columns (X).
pub const CROSS_LEN: usize = CROSS.len();

/// Directions shorter than this point nowhere.
const SHORTEST_DIRECTION: f32 = 1e-6;

/// Shares of rules are small: from a thousandth on they are told apart.
const SHARE_SCALE: f64 = 1_000.0;
/// Plays after an earlier one of the latest track that count as following it.
const FOLLOW_STEPS: usize = 3;
/// Most followers of the latest track, newest first.
const MAX_FOLLOWERS: usize = MAX_RECENT * FOLLOW_STEPS;

/// What is fixed for the life of a bundle.
pub(super) struct Fixed<'a> {
    pub(super) catalogue: &'a Catalogue,
    pub(super) vectors: &'a ItemVectors,
    pub(super) popularity: &'a Popularity,
    pub(super) rules: &'a SequentialRules,
    /// `[tracks]`: 1-based global rank, 0 below the top.
    pub(super) global_rank: &'a [u16],
    pub(super) half_life_days: f32,
}

/// The session's window in columns, on the stack.
struct Window {
    len: usize,
    tracks: [TrackIx; SESSION_WINDOW],
    artists: [ArtistIx; SESSION_WINDOW],
    genres: [GenreIx; SESSION_WINDOW],
}

/// What is the same for all candidates of a request.
pub(super) struct CrossColumns<'a> {
    fixed: &'a Fixed<'a>,
    context: &'a RequestContext,
    user_vector: &'a [f32],
    anchor: Option<TrackIx>,
    antecedents: Antecedents,
    followers: Followers,
    liked_norm: f32,
    skipped_norm: f32,
    window: Window,
    market: Option<&'a MarketPopularity>,
    artist_decay: f32,
    genre_total: f32,
}

impl<'a> CrossColumns<'a> {
    /// Gathers what all candidates share. No allocation.
    pub(super) fn new(fixed: &'a Fixed<'a>, context: &'a RequestContext, user_vector: &'a [f32]) -> Self {
        let (session, profile, request) = (&context.session, &context.profile, &context.request);
        let elapsed_ms = request.now_ms.saturating_sub(profile.artists.as_of_ms);
        let antecedents = Antecedents::of(context);
        Self {
            fixed,
            context,
            user_vector,
            anchor: anchor(context).filter(|track| track.at() < fixed.catalogue.len()),
            antecedents,
            followers: Followers::of(context, antecedents.latest()),
            liked_norm: norm(&session.liked_direction),
            skipped_norm: norm(&session.skipped_direction),
            window: Window::of(context, fixed.catalogue),
            market: request.market.as_deref().and_then(|code| fixed.popularity.market(code)),
            artist_decay: affinity::decay(elapsed_ms, fixed.half_life_days),
            genre_total: affinity::total(&profile.genres),
        }
    }

    /// The row of one candidate; all values finite.
    pub(super) fn row(&self, track: TrackIx) -> [f32; CROSS_LEN] {
        let [user, current, liked, skipped] = self.similarities(track);
        let [artist_affinity, genre_affinity, artist_share, genre_share, penalty] = self.tastes(track);
        let [same_artist, same_album] = self.follows(track);
        let [plays, recency, is_liked, in_session] = self.past(track);
        let [tempo_gap, energy_gap] = self.gaps(track);
        let [popularity, rank] = self.popularity(track);
        let [rule_next, rule_after, rule_near] = self.rules(track);
        let [own_next, session_gap] = self.own_order(track);
        let row = [
            user,
            current,
            liked,
            skipped,
            artist_affinity,
            genre_affinity,
            artist_share,
            genre_share,
            penalty,
            same_artist,
            same_album,
            plays,
            recency,
            is_liked,
            in_session,
            tempo_gap,
            energy_gap,
            popularity,
            rank,
            rule_next,
            rule_after,
            rule_near,
            own_next,
            session_gap,
        ];
        std::array::from_fn(|at| tidy(row[at], CROSS[at].default))
    }

    fn similarities(&self, track: TrackIx) -> [f32; 4] {
        let vectors = self.fixed.vectors;
        let item = vectors.row(track.at());
        let session = &self.context.session;
        let current = self.anchor.filter(|t| t.at() < vectors.len()).map_or(0.0, |t| dot(vectors.row(t.at()), item));
        let cosine = |direction: &[f32], norm: f32| {
            if direction.len() == item.len() && norm > SHORTEST_DIRECTION { dot(direction, item) / norm } else { 0.0 }
        };
        [
            dot(self.user_vector, item),
            current,
            cosine(&session.liked_direction, self.liked_norm),
            cosine(&session.skipped_direction, self.skipped_norm),
        ]
    }

    fn tastes(&self, track: TrackIx) -> [f32; 5] {
        let catalogue = self.fixed.catalogue;
        let (artist, genre) = (catalogue.artist_of(track), catalogue.genre_of(track));
        let (profile, window) = (&self.context.profile, &self.window);
        let weight = profile.artists.get(artist) * self.artist_decay;
        let has_genre = genre != GenreIx::NONE && self.genre_total > 0.0;
        [
            weight / (1.0 + weight),
            if has_genre { profile.genres.get(genre) / self.genre_total } else { 0.0 },
            window.share(&window.artists, artist),
            if genre == GenreIx::NONE { 0.0 } else { window.share(&window.genres, genre) },
            session::penalty_of(&self.context.session, artist),
        ]
    }

    fn follows(&self, track: TrackIx) -> [f32; 2] {
        let catalogue = self.fixed.catalogue;
        let Some(last) = self.anchor else { return [0.0, 0.0] };
        let album = catalogue.album_of(track);
        [
            f32::from(catalogue.artist_of(last) == catalogue.artist_of(track)),
            f32::from(album != AlbumIx::NONE && catalogue.album_of(last) == album),
        ]
    }

    fn past(&self, track: TrackIx) -> [f32; 4] {
        let history = self.context.profile.track(track);
        let sounds = self.context.session.current.is_some_and(|play| play.track == track);
        let now_ms = self.context.request.now_ms;
        let played = history.filter(|h| h.plays > 0);
        [
            log_scaled(history.map_or(0.0, |h| h.plays.into()), 4.0),
            played.map_or(0.0, |h| (1.0 / (1.0 + minutes_between(h.last_ms, now_ms) / 1_440.0)) as f32),
            f32::from(history.is_some_and(|h| h.liked)),
            f32::from(sounds || self.window.tracks[..self.window.len].contains(&track)),
        ]
    }

    fn gaps(&self, track: TrackIx) -> [f32; 2] {
        let sound = Sound::of(self.fixed.catalogue.track(track));
        let gap = |value: Option<f32>, mean: Option<f32>| match (value, mean) {
            (Some(value), Some(mean)) => (value - mean).abs(),
            (Some(_) | None, _) => 0.0,
        };
        let session = &self.context.session;
        [gap(sound.tempo, moments::mean(session.tempo)) / TEMPO_SCALE, gap(sound.energy, moments::mean(session.energy))]
    }

    fn popularity(&self, track: TrackIx) -> [f32; 2] {
        let (score, rank) = match self.market {
            Some(market) => (market.score.get(track.at()), market.rank.get(track.at())),
            None => (self.fixed.popularity.score.get(track.at()), self.fixed.global_rank.get(track.at())),
        };
        let rank = rank.copied().filter(|rank| *rank > 0);
        [score.copied().unwrap_or(0.0), rank.map_or(0.0, |rank| 1.0 / f32::from(rank))]
    }

    /// What other sessions say.
    fn rules(&self, track: TrackIx) -> [f32; 3] {
        let mut shares = [0.0; 3];
        for (at, (from, weight)) in self.antecedents.as_slice().iter().enumerate() {
            if let Some(rule) = self.fixed.rules.find(*from, track) {
                shares[0] += if at == 0 { rule.next } else { 0.0 };
                shares[1] += weight * rule.after;
                shares[2] += weight * rule.near;
            }
        }
        shares.map(|share| log_scaled(f64::from(share) * SHARE_SCALE, 7.0))
    }

    /// What the listener's own plays say.
    fn own_order(&self, track: TrackIx) -> [f32; 2] {
        let weight = self.followers.weight(track);
        let gap = self.window.tracks[..self.window.len].iter().position(|played| *played == track);
        [weight / (1.0 + weight), gap.map_or(0.0, |gap| 1.0 / (gap as f32 + 1.0))]
    }
}

/// What came after the latest track in the listener's own recent plays, by one over the distance.
struct Followers {
    len: usize,
    tracks: [(TrackIx, f32); MAX_FOLLOWERS],
}

impl Followers {
    /// Looks at the profile's recent plays, which hold those of the session. No allocation.
    fn of(context: &RequestContext, latest: Option<TrackIx>) -> Self {
        let mut found = Self { len: 0, tracks: [(TrackIx(0), 0.0); MAX_FOLLOWERS] };
        let plays = &context.profile.recent;
        let starts = plays.iter().enumerate().rev().filter(|(_, play)| Some(play.track) == latest);
        for (at, _) in starts {
            for (distance, play) in plays[at + 1..].iter().take(FOLLOW_STEPS).enumerate() {
                if found.len == MAX_FOLLOWERS {
                    return found;
                }
                found.tracks[found.len] = (play.track, 1.0 / (distance as f32 + 1.0));
                found.len += 1;
            }
        }
        found
    }

    fn weight(&self, track: TrackIx) -> f32 {
        self.tracks[..self.len].iter().filter(|(follower, _)| *follower == track).map(|(_, weight)| weight).sum()
    }
}

impl Window {
    fn of(context: &RequestContext, catalogue: &Catalogue) -> Self {
        let mut window = Self {
            len: 0,
            tracks: [TrackIx(0); SESSION_WINDOW],
            artists: [ArtistIx(0); SESSION_WINDOW],
            genres: [GenreIx::NONE; SESSION_WINDOW],
        };
        let plays = context.session.window.iter().rev().filter(|play| play.track.at() < catalogue.len());
        for (at, play) in plays.take(SESSION_WINDOW).enumerate() {
            window.tracks[at] = play.track;
            window.artists[at] = catalogue.artist_of(play.track);
            window.genres[at] = catalogue.genre_of(play.track);
            window.len = at + 1;
        }
        window
    }

    fn share<K: PartialEq>(&self, column: &[K; SESSION_WINDOW], key: K) -> f32 {
        let count = column[..self.len].iter().filter(|k| **k == key).count();
        count as f32 / self.len.max(1) as f32
    }
}
