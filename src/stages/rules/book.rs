//! The rules, read off the configuration and looked up in a catalogue.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::in_force::{RuleSet, Rules};
use crate::config::{RuleAction, RuleConfig};
use crate::domain::{ArtistIx, Catalogue, GenreIx, Request, TrackIx};
use crate::features::day_of;

/// One rule.
#[derive(Debug, Clone)]
pub(super) struct Rule {
    pub(super) name: Arc<str>,
    pub(super) action: RuleAction,
    /// Place (from 0), places or count, as the action has it.
    pub(super) number: usize,
    given: RuleConfig,
    window_ms: (i64, i64),
}

/// All rules with the rows of what they name. Rows are looked up anew when there are other rules, and when the catalogue got
/// tracks. Clones share the rules, not the rows.
#[derive(Debug, Clone)]
pub struct RuleBook {
    rules: Rules,
    /// What `rows` are of.
    set: Arc<RuleSet>,
    catalogue: Arc<Catalogue>,
    /// `Catalogue::additions` that `rows` are of.
    additions: Option<u64>,
    rows: Vec<Rows>,
}

/// The rows of what one rule names; a list that was not given is `None`.
#[derive(Debug, Clone, Default)]
pub(super) struct Rows {
    /// As given; what is not in the catalogue left out.
    pub(super) tracks: Vec<TrackIx>,
    sorted_tracks: Option<Vec<TrackIx>>,
    artists: Option<Vec<ArtistIx>>,
    genres: Option<Vec<GenreIx>>,
    labels: Option<Vec<String>>,
}

impl RuleBook {
    /// Takes rules that may be exchanged while it is used.
    pub fn new(rules: Rules, catalogue: Arc<Catalogue>) -> Self {
        let set = rules.now();
        Self { rules, set, catalogue, additions: None, rows: Vec::new() }
    }

    /// What of the rules the catalogue does not have, and which pins a block by artist, genre or age keeps from being
    /// served; for people.
    pub fn findings(&self) -> Vec<String> {
        let mut found = Vec::new();
        let labels = self.known_labels();
        for rule in &self.set.rules {
            let Rule { name, given, .. } = rule;
            let mut gone = |what: &str, id: &String, is_known: bool| {
                if !is_known {
                    let rest = "it counts for nothing until it comes";
                    found.push(format!("rule `{name}`: the catalogue has no {what} {id:?}: {rest}"));
                }
            };
            given.tracks.iter().for_each(|id| gone("track", id, self.catalogue.find(id).is_some()));
            given.artists.iter().for_each(|id| gone("artist", id, self.catalogue.find_artist(id).is_some()));
            given.genres.iter().for_each(|name| gone("genre", name, self.catalogue.find_genre(name) != GenreIx::NONE));
            given.labels.iter().for_each(|name| gone("label", name, labels.contains(name.as_str())));
        }
        let mut own = self.clone();
        own.look_up();
        let of = |action| own.set.rules.iter().zip(&own.rows).filter(move |(rule, _)| rule.action == action);
        for (pin, rows) in of(RuleAction::Pin) {
            for (block, blocked) in of(RuleAction::Block) {
                let fits = |track: &&TrackIx| {
                    block.given.tracks.is_empty() && block.fits(blocked, **track, &own.catalogue, None)
                };
                if let Some(track) = rows.tracks.iter().find(fits) {
                    let (pin, block, id) = (&pin.name, &block.name, &own.catalogue.track(*track).track_id);
                    found.push(format!(
                        "rule `{pin}`: `{block}` blocks track {id:?}, which is not served while both hold"
                    ));
                }
            }
        }
        found
    }

    /// Those of the labels that rules name which a track has. Looks at all tracks where a rule names one.
    fn known_labels(&self) -> BTreeSet<&str> {
        let named: BTreeSet<&str> =
            self.set.rules.iter().flat_map(|rule| &rule.given.labels).map(String::as_str).collect();
        if named.is_empty() {
            return named;
        }
        let tracks = (0..self.catalogue.len() as u32).map(|row| self.catalogue.track(TrackIx(row)));
        tracks.filter_map(|track| track.label.as_deref()).filter(|label| named.contains(label)).collect()
    }

    /// The rules of some actions that hold for a request, by number and in order, with their rows. Looks rows up where
    /// rules or catalogue changed.
    pub(super) fn holding<'a>(
        &'a mut self,
        request: &'a Request,
        actions: &'static [RuleAction],
    ) -> impl Iterator<Item = (usize, &'a Rule, &'a Rows)> + Clone {
        if !self.rules.are(&self.set) {
            self.set = self.rules.now();
            self.additions = None;
        }
        if self.additions != Some(self.catalogue.additions()) {
            self.look_up();
        }
        let all = self.set.rules.iter().zip(&self.rows).enumerate().map(|(at, (rule, rows))| (at, rule, rows));
        all.filter(move |(_, rule, _)| actions.contains(&rule.action) && rule.holds(request))
    }

    pub(super) fn catalogue(&self) -> &Arc<Catalogue> {
        &self.catalogue
    }

    fn look_up(&mut self) {
        self.additions = Some(self.catalogue.additions());
        let rows = |rule: &Rule| {
            let catalogue = &self.catalogue;
            let tracks: Vec<TrackIx> = rule.given.tracks.iter().filter_map(|id| catalogue.find(id)).collect();
            let given = |list: &[String]| !list.is_empty();
            let sorted_tracks = given(&rule.given.tracks).then(|| sorted(tracks.iter().copied()));
            let artists = rule.given.artists.iter().filter_map(|id| catalogue.find_artist(id));
            let genres = rule.given.genres.iter().map(|name| catalogue.find_genre(name));
            Rows {
                sorted_tracks,
                artists: given(&rule.given.artists).then(|| sorted(artists)),
                genres: given(&rule.given.genres).then(|| sorted(genres.filter(|genre| *genre != GenreIx::NONE))),
                labels: given(&rule.given.labels).then(|| sorted(rule.given.labels.iter().cloned())),
                tracks,
            }
        };
        self.rows = self.set.rules.iter().map(rows).collect();
    }
}

impl Rule {
    /// A rule that `config` has checked; one whose moments cannot be read never holds.
    pub(super) fn new(given: &RuleConfig) -> Self {
        Self {
            name: given.name.as_str().into(),
            action: given.action,
            number: given.position.map(|from_1| from_1.saturating_sub(1)).or(given.places).or(given.count).unwrap_or(0),
            window_ms: given.window_ms().unwrap_or((0, 0)),
            given: given.clone(),
        }
    }

    /// Whether it holds for a request.
    fn holds(&self, request: &Request) -> bool {
        let given = &self.given;
        let names = |list: &[String], of: Option<&str>| list.is_empty() || list.iter().any(|one| Some(&**one) == of);
        self.window_ms.0 <= request.now_ms
            && request.now_ms < self.window_ms.1
            && names(&given.markets, request.market.as_deref())
            && names(&given.surfaces, request.surface.as_deref())
    }

    /// Whether a track is one that it is about, at a moment; without a moment, of any age. `O(log ids)`.
    pub(super) fn fits(&self, rows: &Rows, track: TrackIx, catalogue: &Catalogue, now_ms: Option<i64>) -> bool {
        let holds = |list: &Option<Vec<TrackIx>>| list.as_ref().is_none_or(|list| list.binary_search(&track).is_ok());
        holds(&rows.sorted_tracks)
            && rows.artists.as_ref().is_none_or(|list| list.binary_search(&catalogue.artist_of(track)).is_ok())
            && rows.genres.as_ref().is_none_or(|list| list.binary_search(&catalogue.genre_of(track)).is_ok())
            && rows.labels.as_ref().is_none_or(|list| {
                let label = catalogue.track(track).label.as_deref();
                label.is_some_and(|own| list.binary_search_by(|one| one.as_str().cmp(own)).is_ok())
            })
            && match (self.given.fresh_days, now_ms) {
                (None, _) | (_, None) => true,
                (Some(days), Some(now_ms)) => {
                    let age = catalogue.track(track).release_day.map(|day| i64::from(day_of(now_ms)) - i64::from(day));
                    age.is_some_and(|age| (0..=i64::from(days)).contains(&age))
                }
            }
    }
}

fn sorted<T: Ord>(rows: impl Iterator<Item = T>) -> Vec<T> {
    let mut rows: Vec<T> = rows.collect();
    rows.sort_unstable();
    rows
}
