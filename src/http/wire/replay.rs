//! `POST /v1/recommendations/{id}/replay`.

use super::{Checks, NextTracksResponse, check_knobs};
use crate::app::{ReplayChanges, Replayed};
use crate::domain::{Catalogue, ExplainLevel, Knobs};
use crate::http::problem::ApiError;
use crate::replay::{Change, kendall_tau, overlap, rank_biased_overlap};

/// What is to be otherwise. `{}`: the answer must come out as it was.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayRequest {
    /// Other weights; all of them.
    knobs: Option<Knobs>,
    /// Another number of tracks.
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// Another dial.
    #[schema(minimum = 0, maximum = 1)]
    discovery: Option<f32>,
    /// Another dial.
    #[schema(minimum = 0, maximum = 1)]
    diversity: Option<f32>,
    /// Another seed.
    seed: Option<u64>,
}

impl ReplayRequest {
    /// Checks the ranges.
    ///
    /// # Errors
    /// All that are out of range.
    pub fn validate(self) -> Result<ReplayChanges, ApiError> {
        let mut checks = Checks::default();
        self.limit.iter().for_each(|limit| checks.range("limit", *limit, 1..=super::MAX_LIMIT));
        self.discovery.iter().for_each(|value| checks.range("discovery", *value, 0.0..=1.0));
        self.diversity.iter().for_each(|value| checks.range("diversity", *value, 0.0..=1.0));
        checks.finish()?;
        self.knobs.as_ref().map_or(Ok(()), check_knobs)?;
        let Self { knobs, limit, discovery, diversity, seed } = self;
        Ok(ReplayChanges { knobs, limit: limit.map(|limit| limit as usize), discovery, diversity, seed })
    }
}

/// A request asked again.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ReplayResponse<'a> {
    /// Whether the request as it was gave the answer as it was, bit for bit. Where not, the lists are compared with what it
    /// gives now.
    reproduced: bool,
    /// What decides otherwise than then.
    changed: Vec<String>,
    /// Share of the first 20 tracks that both lists have.
    overlap_at_20: f64,
    /// Rank-biased overlap at persistence 0.9.
    rank_biased_overlap: f64,
    /// Kendall's tau of the tracks that both have; null with less than two.
    kendall_tau: Option<f64>,
    /// Every track of either list, those of the new one first and in its order.
    tracks: Vec<ReplayedTrack<'a>>,
    /// The answer now. Its id was given to nobody else and is not kept.
    answer: NextTracksResponse<'a>,
}

/// One track of either list.
#[derive(Debug, serde::Serialize, utoipa::ToSchema)]
pub struct ReplayedTrack<'a> {
    track_id: &'a str,
    /// What became of it.
    change: Change,
    /// Its place before, from 1.
    before: Option<usize>,
    /// Its place now, from 1.
    after: Option<usize>,
    /// The first stage in which the two runs differ for it; absent where it stands where it stood.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'static str>,
}

impl<'a> ReplayResponse<'a> {
    /// The wire form.
    pub fn new(replayed: &'a Replayed, catalogue: &'a Catalogue, bundle: &'a str) -> Self {
        let Replayed { reproduced, changed, answer, diff, before, after } = replayed;
        let tracks = diff.0.iter().map(|place| ReplayedTrack {
            track_id: catalogue.track(place.track).track_id.as_str(),
            change: place.change,
            before: place.before,
            after: place.after,
            why: place.why,
        });
        let mut view = NextTracksResponse::new(answer, catalogue, bundle, ExplainLevel::Trace);
        view.took_ms = answer.reports.iter().map(|report| report.micros).sum::<u64>() as f64 / 1_000.0;
        Self {
            reproduced: *reproduced,
            changed: changed.clone(),
            overlap_at_20: overlap(before, after, 20),
            rank_biased_overlap: rank_biased_overlap(before, after),
            kendall_tau: kendall_tau(before, after),
            tracks: tracks.collect(),
            answer: view,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_refused() {
        let read =
            |text: &str| crate::http::json::parse::<ReplayRequest>(text.as_bytes()).and_then(ReplayRequest::validate);
        assert_eq!(read("{}").unwrap(), ReplayChanges::default());
        let Err(ApiError::Invalid(errors)) = read(r#"{"limit": 101, "discovery": 2, "diversity": -1}"#) else {
            panic!("three are wrong")
        };
        assert_eq!(errors.len(), 3);
        assert!(read(r#"{"bundle": "b"}"#).is_err());
    }
}
