//! The answer of `POST /v1/next-tracks` and `POST /v1/rank`.

use crate::domain::{
    Answer, ArmName, Catalogue, Degradation, ExplainLevel, Intent, PoolCounts, Reason, RecommendationId, Rung,
    ServedTrack, Source,
};
use crate::pipeline::{StageReport, Step, Way};

/// What to hear next.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct NextTracksResponse<'a> {
    /// Names this answer in events and for its trace.
    #[schema(value_type = String)]
    pub recommendation_id: &'a RecommendationId,
    /// Version of the bundle that answered.
    pub bundle: &'a str,
    /// The arms of the experiments that could have made this answer otherwise; absent where none could.
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    #[schema(required = false)]
    pub experiments: &'a [ArmName],
    /// The rung of the fallback ladder it came from; also in the header `X-Segue-Rung`.
    pub rung: Rung,
    /// What went less than well.
    pub degraded: &'a [Degradation],
    /// What the session seems to be for; null when there is no telling.
    pub session_intent: Option<&'a Intent>,
    /// Best first.
    pub tracks: Vec<TrackAnswer<'a>>,
    /// How many candidates there were.
    pub pool: PoolCounts,
    /// Ids in the request that the catalogue does not know; absent when there are none.
    #[serde(skip_serializing_if = "is_zero")]
    #[schema(required = false)]
    pub unknown_ids: u32,
    /// What every stage did; with `explain` = `trace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<TraceView<'a>>,
    /// Time from the request's arrival, ms.
    pub took_ms: f64,
}

/// One track of an answer.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct TrackAnswer<'a> {
    /// The track.
    pub track_id: &'a str,
    /// Its artist.
    pub artist_id: &'a str,
    /// Its title.
    pub title: &'a str,
    /// From 1.
    pub position: usize,
    /// What ordered it; comparable within one answer.
    pub score: f32,
    /// Who proposed it.
    pub source: Source,
    /// Why it is here: `rule:<name>` (a business rule placed or moved it), `similar_to:<track_id>`, `artist_you_play`,
    /// `session_artist`, `popular`, `fresh`, `explore`. With `explain` other than `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasons: Option<Vec<String>>,
    /// Probability with which an exploratory choice fell on it; absent for a deterministic one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub propensity: Option<f32>,
    /// What the ranker says; absent where it did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scores: Option<TaskScoresView>,
    /// How it came through the stages; with `explain` = `trace`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<WayView>,
}

/// How one candidate came through ranking and re-ranking.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct WayView {
    /// The score of the source that proposed it; comparable within that source only.
    pub retrieved: f32,
    /// The weighted sum of `scores`; absent where the ranker did not run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blended: Option<f32>,
    /// Where it stood after each stage that ordered the list.
    pub steps: Vec<StepView>,
}

/// Where a candidate stood after one stage.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct StepView {
    /// The stage.
    pub stage: &'static str,
    /// Its place, from 1; null: left out by this stage or one before.
    pub place: Option<u32>,
    /// What ordered it.
    pub score: f32,
}

impl WayView {
    /// The wire form of a way through these stages.
    pub fn new(stages: &[&'static str], way: &Way) -> Self {
        let steps = stages.iter().zip(&way.steps);
        let steps = steps.map(|(stage, Step { place, score })| StepView { stage, place: *place, score: *score });
        Self { retrieved: way.retrieved, blended: way.blended, steps: steps.collect() }
    }
}

/// Some of what one filter removed.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct RemovedView<'a> {
    /// The filter; how many it removed is in its report.
    pub filter: &'static str,
    /// The first ten of them.
    pub track_ids: Vec<&'a str>,
}

/// The ranker's probabilities for one track.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct TaskScoresView {
    /// `P(play > 30 s)`.
    pub complete: f32,
    /// `P(early skip)`.
    pub skip: f32,
    /// `P(like)`.
    pub like: f32,
}

impl From<(f32, f32, f32)> for TaskScoresView {
    fn from((complete, skip, like): (f32, f32, f32)) -> Self {
        Self { complete, skip, like }
    }
}

/// How an answer came about.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct TraceView<'a> {
    /// The seed that was used.
    pub seed: u64,
    /// One report a stage, in order of execution.
    pub stages: &'a [StageReport],
    /// Some of what filters removed.
    pub removed: Vec<RemovedView<'a>>,
}

impl<'a> TraceView<'a> {
    fn new(answer: &'a Answer, catalogue: &'a Catalogue) -> Self {
        let mut removed: Vec<RemovedView<'a>> = Vec::new();
        for (filter, track) in answer.detail.iter().flat_map(|detail| &detail.removed) {
            let (filter, id) = (filter.as_str(), catalogue.track(*track).track_id.as_str());
            match removed.last_mut().filter(|last| last.filter == filter) {
                Some(last) => last.track_ids.push(id),
                None => removed.push(RemovedView { filter, track_ids: vec![id] }),
            }
        }
        Self { seed: answer.seed, stages: &answer.reports, removed }
    }
}

impl<'a> NextTracksResponse<'a> {
    /// The wire form of an answer. `O(tracks)`.
    pub fn new(answer: &'a Answer, catalogue: &'a Catalogue, bundle: &'a str, explain: ExplainLevel) -> Self {
        let places = answer.tracks.iter().enumerate();
        let detail = answer.detail.as_ref().filter(|_| explain == ExplainLevel::Trace);
        let way = |at: usize| detail.and_then(|detail| Some(WayView::new(&detail.stages, detail.ways.get(at)?)));
        Self {
            recommendation_id: &answer.recommendation_id,
            bundle,
            experiments: &answer.experiments,
            rung: answer.rung,
            degraded: &answer.degraded,
            session_intent: answer.intent.as_ref(),
            tracks: places.map(|(at, served)| TrackAnswer::new(at + 1, served, catalogue, explain, way(at))).collect(),
            pool: answer.pool,
            unknown_ids: 0,
            trace: (explain == ExplainLevel::Trace).then(|| TraceView::new(answer, catalogue)),
            took_ms: 0.0,
        }
    }
}

impl<'a> TrackAnswer<'a> {
    fn new(
        position: usize,
        served: &ServedTrack,
        catalogue: &'a Catalogue,
        explain: ExplainLevel,
        way: Option<WayView>,
    ) -> Self {
        let track = catalogue.track(served.track);
        let reasons = || served.reasons.iter().map(|reason| reason_text(reason, catalogue)).collect();
        Self {
            track_id: track.track_id.as_str(),
            artist_id: track.artist_id.as_str(),
            title: &track.title,
            position,
            score: served.score,
            source: served.source,
            reasons: (explain != ExplainLevel::None).then(reasons),
            propensity: served.propensity,
            scores: served.tasks.map(TaskScoresView::from),
            way,
        }
    }
}

fn reason_text(reason: &Reason, catalogue: &Catalogue) -> String {
    match reason {
        Reason::SimilarTo(track) => format!("similar_to:{}", catalogue.track(*track).track_id),
        Reason::ArtistYouPlay => "artist_you_play".to_owned(),
        Reason::SessionArtist => "session_artist".to_owned(),
        Reason::Popular => "popular".to_owned(),
        Reason::Fresh => "fresh".to_owned(),
        Reason::Explore => "explore".to_owned(),
        Reason::Rule(name) => format!("rule:{name}"),
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands over a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TrackIx;
    use crate::http::testing::catalogue;
    use crate::pipeline::{Outcome, StageKind};

    fn answer() -> Answer {
        let report = StageReport {
            stage: "two_tower",
            kind: StageKind::Retrieve,
            micros: 5,
            candidates_in: 0,
            candidates_out: 2,
            outcome: Outcome::Ok,
            detail: None,
            notes: Vec::new(),
            rules: Vec::new(),
        };
        Answer {
            recommendation_id: RecommendationId::new("r-1").unwrap(),
            rung: Rung::Full,
            degraded: Vec::new(),
            intent: None,
            tracks: vec![ServedTrack {
                track: TrackIx(1),
                score: 0.5,
                source: Source::TwoTower,
                tasks: Some((0.75, 0.25, 0.5)),
                propensity: None,
                rules: Vec::new(),
                reasons: vec![Reason::SimilarTo(TrackIx(2)), Reason::Explore],
            }],
            pool: PoolCounts::default(),
            reports: vec![report],
            seed: 9,
            experiments: Vec::new(),
            detail: None,
        }
    }

    fn json(explain: ExplainLevel) -> serde_json::Value {
        serde_json::to_value(NextTracksResponse::new(&answer(), &catalogue(), "b1", explain)).unwrap()
    }

    #[test]
    fn explains_as_much_as_asked() {
        let plain = json(ExplainLevel::None);
        let track = serde_json::json!({
            "track_id": "t1", "artist_id": "a1", "title": "Song 1", "position": 1, "score": 0.5, "source": "two_tower",
            "scores": {"complete": 0.75, "skip": 0.25, "like": 0.5},
        });
        assert_eq!(plain["tracks"][0], track);
        assert!(plain.get("trace").is_none() && plain.get("unknown_ids").is_none());
        let reasons = json(ExplainLevel::Reasons);
        assert_eq!(reasons["tracks"][0]["reasons"], serde_json::json!(["similar_to:t2", "explore"]));
        assert!(reasons.get("trace").is_none());
        assert_eq!(json(ExplainLevel::Trace)["trace"]["stages"][0]["stage"], "two_tower");
    }
}
