//! Whether a bundle may take the place of the one that is served: what the last requests would be answered by both, and
//! what their model cards say.

use std::sync::Arc;

use super::AppError;
use super::serving::{Loaded, Serving};
use crate::bundle::Manifest;
use crate::config::GuardrailConfig;
use crate::domain::{ArtistIx, Catalogue, Knobs, Posteriors, Recorded, Request, Rung, SessionState, TrackId, TrackIx};
use crate::pipeline::{Deadline, Pipeline, Rehearsal, Width};
use crate::replay::{Quantiles, overlap};

/// Places of a list that are compared.
const TOP: usize = 20;
/// Requests below which nothing is said of lists.
const ENOUGH: usize = 20;
/// Share of the answers that may come from a lower rung: a listener whom the new bundle does not know as well is no breach.
const MOST_LOWER: f64 = 0.02;

/// What was compared, and what is out of bounds.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Verdict {
    /// Requests that were asked again, of both bundles: the last ones, with the live state of now.
    pub requests: usize,
    /// Share of the first 20 places of a list that other tracks have with the new bundle, on average; absent with less than
    /// 20 requests, which say nothing.
    pub turnover: Option<f64>,
    /// Share of the first 20 tracks that both lists have, over requests.
    #[schema(value_type = Option<Object>)]
    pub overlap_at_20: Option<Quantiles>,
    /// Answers of the new bundle from a lower rung than that of the old one.
    pub lower_rungs: usize,
    /// Tracks and artists of requests that the new bundle does not know.
    pub unknown_ids: usize,
    /// Offline metrics of the manifests, as `guardrail.metrics` names them.
    pub metrics: Vec<OfflineMetric>,
    /// What is out of bounds; empty: nothing.
    pub breaches: Vec<String>,
}

/// One offline metric, the higher the better.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct OfflineMetric {
    /// Its name in the manifest's `[training]`.
    pub name: String,
    /// Of the bundle that is served; absent where its manifest does not say.
    pub before: Option<f64>,
    /// Of the new bundle.
    pub after: Option<f64>,
}

/// Compares a bundle with the one that is served.
///
/// # Errors
/// A model that does not open.
pub(super) fn judge(config: &GuardrailConfig, served: &Serving, next: &Loaded) -> Result<Verdict, AppError> {
    let manifests = (&served.bundle().manifest, &next.wiring.bundle().manifest);
    let mut verdict = Verdict {
        requests: 0,
        turnover: None,
        overlap_at_20: None,
        lower_rungs: 0,
        unknown_ids: 0,
        metrics: config.metrics.iter().map(|name| metric(name, manifests.0, manifests.1)).collect(),
        breaches: Vec::new(),
    };
    if config.requests > 0 {
        replay(config.requests, served, next, &mut verdict)?;
    }
    verdict.breaches = breaches(config, &verdict);
    Ok(verdict)
}

/// What of a verdict is out of bounds.
fn breaches(config: &GuardrailConfig, verdict: &Verdict) -> Vec<String> {
    let mut found = Vec::new();
    let most = f64::from(config.most_turnover);
    if let Some(turnover) = verdict.turnover.filter(|turnover| *turnover > most) {
        found.push(format!("{turnover:.3} of a list turns over, guardrail.most_turnover is {most}"));
    }
    let worse = verdict.lower_rungs as f64 > MOST_LOWER * verdict.requests as f64;
    if verdict.turnover.is_some() && worse {
        found.push(format!("{} of {} answers come from a lower rung", verdict.lower_rungs, verdict.requests));
    }
    for OfflineMetric { name, before, after } in &verdict.metrics {
        let (Some(before), Some(after)) = (before, after) else { continue };
        let least = before - before.abs() * f64::from(config.most_loss);
        if *after < least {
            found.push(format!("{name} falls from {before:.4} to {after:.4}, guardrail.most_loss allows {least:.4}"));
        }
    }
    found
}

fn metric(name: &str, before: &Manifest, after: &Manifest) -> OfflineMetric {
    let of = |manifest: &Manifest| {
        let value = manifest.training.get(name)?;
        let value = value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
        value.filter(|value| value.is_finite())
    };
    OfflineMetric { name: name.to_owned(), before: of(before), after: of(after) }
}

/// Asks both bundles the last `most` requests again.
fn replay(most: usize, served: &Serving, next: &Loaded, verdict: &mut Verdict) -> Result<(), AppError> {
    let mut traces = served.traces().all();
    traces.sort_by_key(|trace| std::cmp::Reverse(trace.request.now_ms));
    traces.truncate(most);
    let mut before = served.wiring().rehearsing()?.build();
    let mut after = next.wiring.rehearsing()?.build();
    let tracks = [&served.bundle().catalogue, &next.wiring.bundle().catalogue];
    let mut overlaps = Vec::with_capacity(traces.len());
    for trace in traces {
        let (request, unknown) = translated(&trace.request, tracks[0], tracks[1]);
        verdict.unknown_ids += unknown;
        let was = ask(&mut before, served.loaded(), Arc::clone(&trace.request), trace.knobs);
        let is = ask(&mut after, next, Arc::new(request), trace.knobs);
        verdict.requests += 1;
        let place = |rung: Rung| Rung::ALL.iter().position(|other| *other == rung);
        verdict.lower_rungs += usize::from(place(is.0) > place(was.0));
        overlaps.push(overlap(&was.1, &is.1, TOP));
    }
    verdict.overlap_at_20 = Quantiles::of(overlaps);
    let enough = verdict.overlap_at_20.filter(|overlaps| overlaps.count >= ENOUGH);
    verdict.turnover = enough.map(|overlaps| 1.0 - overlaps.mean);
    Ok(())
}

/// Asks one request with the live state of the bundle, but without what was served, which a state that was rebuilt has not.
fn ask(pipeline: &mut Pipeline, of: &Loaded, request: Arc<Request>, knobs: Knobs) -> (Rung, Vec<TrackId>) {
    let (state, user) = (of.wiring.state(), &request.user_id);
    let session = request.session_id.as_ref().and_then(|id| state.session_of(id, user, request.now_ms));
    let session = SessionState { served: Vec::new(), ..SessionState::clone(&session.unwrap_or_default()) };
    let (session, profile, posteriors) = (Arc::new(session), state.profile(user), Posteriors::default());
    let recorded = Some(Arc::new(Recorded { session, profile, posteriors }));
    let rehearsal = Rehearsal { recorded, watch: Vec::new() };
    let (_, answer) = pipeline.rehearse(request, knobs, &Deadline::never(), Width::Full, rehearsal);
    let catalogue = &of.wiring.bundle().catalogue;
    (answer.rung, answer.tracks.iter().map(|served| catalogue.track(served.track).track_id.clone()).collect())
}

/// A request of one catalogue's rows in those of another, without what that does not know; how much that is.
fn translated(request: &Request, from: &Catalogue, to: &Catalogue) -> (Request, usize) {
    let mut unknown = 0;
    let mut counted = |found: Option<TrackIx>| {
        unknown += usize::from(found.is_none());
        found
    };
    let track = |row: &TrackIx| to.find(from.track(*row).track_id.as_str());
    let mut tracks = |rows: &[TrackIx]| rows.iter().filter_map(|row| counted(track(row))).collect::<Vec<_>>();
    let (seed_tracks, mut exclude) = (tracks(&request.seed_tracks), tracks(&request.exclude));
    let candidates = request.candidates.as_deref().map(&mut tracks);
    let current_track = request.current_track.as_ref().and_then(track);
    exclude.sort_unstable();
    let artist = |row: &ArtistIx| to.find_artist(from.artist(*row).id.as_str());
    let seed_artists: Vec<_> = request.seed_artists.iter().filter_map(artist).collect();
    unknown += request.seed_artists.len() - seed_artists.len();
    let market_ix = request.market.as_deref().and_then(|code| to.find_market(code));
    let request =
        Request { current_track, seed_tracks, seed_artists, exclude, candidates, market_ix, ..Request::clone(request) };
    (request, unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{UserId, bare_track};

    fn verdict(turnover: Option<f64>, lower_rungs: usize, before: Option<f64>, after: Option<f64>) -> Verdict {
        let metrics = vec![OfflineMetric { name: "ndcg".into(), before, after }];
        Verdict { requests: 100, turnover, overlap_at_20: None, lower_rungs, unknown_ids: 0, metrics, breaches: vec![] }
    }

    #[test]
    fn what_is_out_of_bounds_is_named() {
        let config = GuardrailConfig { most_turnover: 0.5, most_loss: 0.1, ..GuardrailConfig::default() };
        let found = |verdict| breaches(&config, &verdict);
        assert!(found(verdict(Some(0.5), 2, Some(1.0), Some(0.95))).is_empty());
        assert!(found(verdict(None, 90, None, Some(0.1))).is_empty(), "what is not known is no breach");
        assert!(found(verdict(Some(0.51), 0, None, None))[0].contains("turns over"));
        assert!(found(verdict(Some(0.1), 3, None, None))[0].contains("lower rung"));
        assert!(found(verdict(None, 0, Some(1.0), Some(0.85)))[0].starts_with("ndcg falls"));
        assert!(found(verdict(None, 0, Some(-1.0), Some(-1.2)))[0].starts_with("ndcg falls"), "a loss is a loss");
    }

    #[test]
    fn a_request_is_asked_in_the_other_catalogues_rows() {
        let from = Catalogue::new(vec![bare_track("t0", "a"), bare_track("t1", "b"), bare_track("t2", "c")]).unwrap();
        let to = Catalogue::new(vec![bare_track("t2", "c"), bare_track("t0", "a")]).unwrap();
        let request = Request {
            current_track: Some(TrackIx(2)),
            seed_tracks: vec![TrackIx(0), TrackIx(1)],
            seed_artists: vec![ArtistIx(1), ArtistIx(2)],
            exclude: vec![TrackIx(0), TrackIx(2)],
            candidates: Some(vec![TrackIx(1), TrackIx(2)]),
            ..Request::new(UserId::new("u").unwrap(), 0)
        };
        let (asked, unknown) = translated(&request, &from, &to);
        assert_eq!((asked.current_track, asked.seed_tracks), (Some(TrackIx(0)), vec![TrackIx(1)]));
        assert_eq!((asked.seed_artists, asked.exclude), (vec![ArtistIx(0)], vec![TrackIx(0), TrackIx(1)]));
        assert_eq!((asked.candidates, unknown), (Some(vec![TrackIx(0)]), 3));
    }
}
