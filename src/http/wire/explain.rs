//! The answer of `POST /v1/explain`.

use super::answer::{TaskScoresView, WayView};
use crate::app::Explained;
use crate::domain::Rung;
use crate::stages::why::Why;

/// Why a track is, or is not, in an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ExplainOutcome {
    /// It is in the answer.
    Served,
    /// No retriever proposed it.
    NotRetrieved,
    /// A filter removed it, or would have.
    Filtered,
    /// It was ranked below the list.
    Ranked,
    /// A re-ranker put other tracks in its place: diversity, exploration, separation, business rules.
    Displaced,
    /// The answer came from below the funnel, which did not have it.
    BelowFunnel,
    /// The catalogue does not know it.
    Unknown,
}

/// A retriever that proposed the track.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct ProposalView {
    /// The retriever.
    pub retriever: &'static str,
    /// Its place among what the retriever proposed, from 1.
    pub place: u32,
    /// The retriever's score.
    pub score: f32,
}

/// How near the track is to the listener.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct SimilarityView {
    /// Cosine of the listener's vector and the track's.
    pub cosine: f32,
    /// Its rank among all tracks by that, from 1; null where there was no time to compare all.
    pub rank: Option<usize>,
    /// All tracks.
    pub of: usize,
}

/// Why a track is, or is not, in an answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct ExplainResponse<'a> {
    /// The track.
    pub track_id: &'a str,
    /// Version of the bundle that was asked.
    pub bundle: &'a str,
    /// Why.
    pub outcome: ExplainOutcome,
    /// The same for people.
    pub detail: String,
    /// The filter or the stage that decided, where one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<&'static str>,
    /// Its place in the answer, or in the ranking, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub place: Option<usize>,
    /// Places of the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// The rung that the answer came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rung: Option<Rung>,
    /// Who proposed it.
    pub proposed_by: Vec<ProposalView>,
    /// How near it is to the listener, where no retriever proposed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub similarity: Option<SimilarityView>,
    /// What the ranker says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<TaskScoresView>,
    /// How it came through the stages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<WayView>,
}

impl<'a> ExplainResponse<'a> {
    /// Of a track that the catalogue does not know.
    pub fn unknown(track_id: &'a str, bundle: &'a str) -> Self {
        Self {
            track_id,
            bundle,
            outcome: ExplainOutcome::Unknown,
            detail: "the catalogue does not have this track".into(),
            stage: None,
            place: None,
            limit: None,
            rung: None,
            proposed_by: Vec::new(),
            similarity: None,
            scores: None,
            way: None,
        }
    }

    /// The wire form.
    pub fn new(track_id: &'a str, bundle: &'a str, explained: &Explained) -> Self {
        let Explained { answer, limit, watched, similarity, .. } = explained;
        let (outcome, stage, place, detail) = told(explained);
        let stages = answer.detail.as_ref().map_or(&[][..], |detail| &detail.stages);
        let proposed = watched.proposed.iter();
        Self {
            outcome,
            detail,
            stage,
            place,
            limit: Some(*limit),
            rung: Some(answer.rung),
            proposed_by: proposed
                .map(|(retriever, place, score)| ProposalView { retriever, place: *place, score: *score })
                .collect(),
            similarity: similarity.map(|near| SimilarityView { cosine: near.cosine, rank: near.rank, of: near.of }),
            scores: watched.way.as_ref().and_then(|way| way.tasks).map(TaskScoresView::from),
            way: watched.way.as_ref().map(|way| WayView::new(stages, way)),
            ..Self::unknown(track_id, bundle)
        }
    }
}

/// Outcome, deciding stage, place and words.
fn told(explained: &Explained) -> (ExplainOutcome, Option<&'static str>, Option<usize>, String) {
    let Explained { limit, watched, similarity, .. } = explained;
    match explained.why {
        Why::Served(place) => {
            (ExplainOutcome::Served, None, Some(place), format!("it is in the answer, at place {place}"))
        }
        Why::NotRetrieved => {
            let near = match similarity.map(|near| (near.cosine, near.rank, near.of)) {
                Some((cosine, Some(rank), of)) => {
                    format!("by similarity to the listener ({cosine:.3}) it is track {rank} of {of}")
                }
                Some((cosine, None, _)) => format!("its similarity to the listener is {cosine:.3}"),
                None => "nothing is known of its similarity to the listener".into(),
            };
            (ExplainOutcome::NotRetrieved, None, None, format!("no retriever proposed it: {near}"))
        }
        Why::Filtered(filter) => {
            let filter = filter.as_str();
            let tense = if watched.retrieved { "removed it" } else { "keeps it from being found" };
            (ExplainOutcome::Filtered, Some(filter), None, format!("the filter `{filter}` {tense}"))
        }
        Why::Ranked(place) => {
            let detail = format!("it was ranked at place {place}, and the list has {limit}");
            (ExplainOutcome::Ranked, None, Some(place), detail)
        }
        Why::Displaced(stage) => {
            let place = watched.way.as_ref().and_then(|way| way.steps.first()?.place).map(|place| place as usize);
            (
                ExplainOutcome::Displaced,
                Some(stage),
                place,
                format!("it stood in the list until `{stage}` put others there"),
            )
        }
        Why::BelowFunnel(rung) => {
            let rung = rung.as_str();
            (
                ExplainOutcome::BelowFunnel,
                None,
                None,
                format!("the answer came from the rung `{rung}`, which has it not"),
            )
        }
    }
}
