//! Prototypes of intents: sessions of the history in clusters, each named by what it is like.

use std::collections::HashMap;
use std::sync::Arc;

use super::intents::MAX_LABEL_BYTES;
use super::session_sample::SampledSession;
use crate::domain::{
    Catalogue, GenreIx, IntentPrototypes, IntentRule, ItemVectors, Prototype, SessionProfile, by_score,
};
use crate::features::intent::{SessionPoint, mean_direction};
use crate::features::{Sound, moments};
use crate::index::{cluster_directions, dot};

/// Most prototypes.
const MOST_PROTOTYPES: usize = 24;
/// Sessions that each of them is to stand for, at least on average.
const SESSIONS_A_PROTOTYPE: usize = 20;
/// Wanted plays from which on a session says where it lies.
const LEAST_PLAYS: usize = 3;
/// Genres told of each.
const GENRES: usize = 3;
/// Seed of the clusters.
const SEED: u64 = 1;
/// Sharpness is found for 1 to this many plays.
const COUNTED_PLAYS: usize = 5;
/// Sessions from which it is found, at least and at most.
const LEAST_JUDGED: usize = 50;
const MOST_JUDGED: usize = 20_000;
/// Values of sharpness that are tried: powers of the square root of 2 up to 2^9.
const TRIED: i32 = 18;
/// Sharpness where the history cannot tell.
const SHARPNESS: f32 = 8.0;

/// What is gathered of the sessions of one cluster.
#[derive(Debug, Clone)]
struct Cluster {
    direction: Vec<f32>,
    sessions: u64,
    plays: u64,
    energy: moments::Moments,
    valence: moments::Moments,
    tempo: moments::Moments,
    judged: u64,
    of_new_artists: u64,
    hours: [u64; 24],
    genres: HashMap<GenreIx, u64>,
}

/// Clusters the sessions and names the clusters. None where there are too few sessions for two. The same sessions and
/// vectors give the same.
pub(super) fn prototypes(
    sessions: &[SampledSession],
    catalogue: &Catalogue,
    vectors: &ItemVectors,
    rules: &[IntentRule],
) -> Option<IntentPrototypes> {
    let dim = vectors.dim();
    let (mut points, mut placed) = (Vec::new(), Vec::new());
    let mut point = vec![0.0; dim];
    for session in sessions.iter().filter(|session| session.tracks.len() >= LEAST_PLAYS) {
        if mean_direction(session.tracks.iter().copied(), vectors, &mut point) {
            points.extend_from_slice(&point);
            placed.push(session);
        }
    }
    let count = (placed.len() / SESSIONS_A_PROTOTYPE).min(MOST_PROTOTYPES);
    if count < 2 {
        return None;
    }
    let directions = cluster_directions(&points, dim, count, SEED);
    let mut clusters: Vec<Cluster> = directions.chunks_exact(dim).map(Cluster::new).collect();
    for (session, point) in placed.iter().zip(points.chunks_exact(dim)) {
        clusters[nearest(&directions, point)].add(session, catalogue);
    }
    clusters.retain(|cluster| cluster.sessions > 0);
    // Stable: of clusters alike in size the earlier stays first.
    clusters.sort_by_key(|cluster| std::cmp::Reverse(cluster.sessions));
    let mut hours = [0u64; 24];
    clusters.iter().for_each(|cluster| hours.iter_mut().zip(cluster.hours).for_each(|(all, own)| *all += own));
    let named = clusters.into_iter().enumerate();
    let prototypes: Vec<Prototype> = named.map(|(at, cluster)| cluster.named(at, rules, &hours, catalogue)).collect();
    let sharpness = sharpness(&placed, &prototypes, vectors);
    Some(IntentPrototypes::new(prototypes, sharpness))
}

/// The direction with the greatest dot product; ties by order.
fn nearest(directions: &[f32], point: &[f32]) -> usize {
    let cosines = directions.chunks_exact(point.len()).map(|direction| dot(direction, point));
    cosines.enumerate().min_by(|a, b| by_score(a.1, b.1).then(a.0.cmp(&b.0))).map_or(0, |(at, _)| at)
}

impl Cluster {
    fn new(direction: &[f32]) -> Self {
        let none = moments::Moments::default();
        Self {
            direction: direction.to_vec(),
            sessions: 0,
            plays: 0,
            energy: none,
            valence: none,
            tempo: none,
            judged: 0,
            of_new_artists: 0,
            hours: [0; 24],
            genres: HashMap::new(),
        }
    }

    fn add(&mut self, session: &SampledSession, catalogue: &Catalogue) {
        self.sessions += 1;
        self.hours[session.hour] += 1;
        self.judged += u64::from(session.judged);
        self.of_new_artists += u64::from(session.of_new_artists);
        for track in &session.tracks {
            self.plays += 1;
            let Sound { energy, valence, tempo, .. } = Sound::of(catalogue.track(*track));
            energy.into_iter().for_each(|value| moments::push(&mut self.energy, value));
            valence.into_iter().for_each(|value| moments::push(&mut self.valence, value));
            tempo.into_iter().for_each(|value| moments::push(&mut self.tempo, value));
            *self.genres.entry(catalogue.genre_of(*track)).or_default() += 1;
        }
    }

    fn profile(&self) -> SessionProfile {
        SessionProfile {
            energy: moments::mean(self.energy),
            valence: moments::mean(self.valence),
            tempo: moments::mean(self.tempo),
            new_artists: (self.judged > 0).then(|| self.of_new_artists as f32 / self.judged as f32),
        }
    }

    /// The commonest genres with their shares of the plays; ties by the catalogue's order.
    fn commonest_genres(&self, catalogue: &Catalogue) -> Vec<(String, f32)> {
        let mut genres: Vec<_> = self.genres.iter().filter(|(genre, _)| **genre != GenreIx::NONE).collect();
        genres.sort_by_key(|(genre, plays)| (std::cmp::Reverse(**plays), genre.0));
        let share = |(genre, plays): &(&GenreIx, &u64)| {
            (catalogue.genres()[genre.at()].clone(), **plays as f32 / self.plays as f32)
        };
        genres.iter().take(GENRES).map(share).collect()
    }

    /// The prototype: named by the rule that matches best, else by its commonest genre, else by its number.
    fn named(self, at: usize, rules: &[IntentRule], all_hours: &[u64; 24], catalogue: &Catalogue) -> Prototype {
        let (profile, genres) = (self.profile(), self.commonest_genres(catalogue));
        let label = name(rules, &profile, &self.hours, all_hours)
            .or_else(|| genres.first().map(|(genre, _)| shortened(genre).into()))
            .unwrap_or_else(|| format!("group-{}", at + 1).into());
        Prototype { label, sessions: self.sessions, profile, genres, direction: self.direction }
    }
}

/// The rule that matches best, ties by order: how well its bands match what the plays are like, times how much commoner its
/// hours are than among all sessions. A rule of hours alone names no music.
fn name(rules: &[IntentRule], profile: &SessionProfile, own: &[u64; 24], all: &[u64; 24]) -> Option<Arc<str>> {
    let share = |rule: &IntentRule, hours: &[u64; 24]| {
        let total: u64 = hours.iter().sum();
        let within = hours.iter().enumerate().map(|(hour, count)| *count as f32 * rule.match_of_hour(hour as f32));
        within.sum::<f32>() / total.max(1) as f32
    };
    let match_of = |rule: &IntentRule| {
        let usual = share(rule, all);
        let lift = if usual > 0.0 { share(rule, own) / usual } else { 0.0 };
        rule.match_of_plays(profile) * lift
    };
    let matches = rules.iter().filter(|rule| rule.asks_for_plays()).map(|rule| (rule, match_of(rule)));
    let best = matches.reduce(|best, next| if next.1 > best.1 { next } else { best })?;
    (best.1 >= IntentRule::LEAST_MATCH).then(|| Arc::clone(&best.0.label))
}

/// As much of a name as a label holds.
fn shortened(name: &str) -> &str {
    let mut end = name.len().min(MAX_LABEL_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

/// For 1, 2, ... plays the sharpness under which the beginnings of sessions foretell best where the rest of them lies: the
/// least mean log loss over the prototypes. So plays say no more than they did in the past.
fn sharpness(sessions: &[&SampledSession], prototypes: &[Prototype], vectors: &ItemVectors) -> Vec<f32> {
    let mut found = Vec::with_capacity(COUNTED_PLAYS);
    let (mut point, mut rest) = (SessionPoint::default(), vec![0.0; vectors.dim()]);
    let directions: Vec<f32> = prototypes.iter().flat_map(|prototype| prototype.direction.iter().copied()).collect();
    for plays in 1..=COUNTED_PLAYS {
        // Cosines with the prototypes, and the prototype that came.
        let mut judged: Vec<(Vec<f32>, usize)> = Vec::new();
        let long = sessions.iter().filter(|session| session.tracks.len() >= plays + LEAST_PLAYS);
        for session in long.take(MOST_JUDGED) {
            let (begin, after) = session.tracks.split_at(plays);
            let newest_first = begin.iter().rev().map(|track| (*track, 1.0));
            if point.read(newest_first, vectors) && mean_direction(after.iter().copied(), vectors, &mut rest) {
                let cosines = prototypes.iter().map(|prototype| dot(&prototype.direction, point.direction()));
                judged.push((cosines.collect(), nearest(&directions, &rest)));
            }
        }
        let usual = found.last().copied().unwrap_or(SHARPNESS);
        found.push(if judged.len() < LEAST_JUDGED { usual } else { sharpest(&judged) });
    }
    found
}

/// The tried sharpness of the least log loss; ties to the smaller.
fn sharpest(judged: &[(Vec<f32>, usize)]) -> f32 {
    let loss = |sharpness: f32| {
        let of = |(cosines, came): &(Vec<f32>, usize)| {
            let weight = |cosine: f32| f64::from(sharpness * (cosine - cosines[*came])).exp();
            cosines.iter().map(|cosine| weight(*cosine)).sum::<f64>().ln()
        };
        judged.iter().map(of).sum::<f64>()
    };
    let tried = (0..=TRIED).map(|power| std::f32::consts::SQRT_2.powi(power)).map(|tried| (tried, loss(tried)));
    tried.reduce(|best, next| if next.1 < best.1 { next } else { best }).map_or(SHARPNESS, |(tried, _)| tried)
}

#[cfg(test)]
#[path = "prototypes_tests.rs"]
mod tests;
