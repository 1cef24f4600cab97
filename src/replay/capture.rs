//! A request with all that its answer came from, to be asked again elsewhere: one line of JSON.

use std::collections::BTreeMap;

use crate::bundle::Bundle;
use crate::config::{Config, section_digests};
use crate::domain::{Answer, Knobs, RecommendationId, Recorded, Request, Rung, ServedTrack, Source, TrackIx};
use crate::pipeline::Width;
use crate::stages::observe::{CatalogueMoment, Trace};

/// The table whose rows a capture speaks of.
const TRACKS: &str = "tracks.parquet";
/// The vectors whose sums a session holds.
const VECTORS: &str = "item_vectors.bin";
/// Sections of the configuration that decide no answer beside the request and the weights.
const ASIDE: [&str; 12] = [
    "bundle",
    "bundles",
    "guardrail",
    "server",
    "lanes",
    "events",
    "experiments",
    "feature_log",
    "log",
    "state",
    "trace",
    "knobs",
];

/// What decides answers beside the request, the listener's state and the weights.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct MadeWith {
    /// Files of the bundle, with the begin of their SHA-256.
    pub files: BTreeMap<String, String>,
    /// Sections of the configuration, with the begin of the SHA-256 of what they say.
    pub config: BTreeMap<String, String>,
    /// The moment of the catalogue.
    pub catalogue: CatalogueMoment,
}

impl MadeWith {
    /// What decides answers of a bundle under a configuration.
    pub fn of(bundle: &Bundle, config: &Config, catalogue: CatalogueMoment) -> Self {
        let short = |text: &str| text.chars().take(16).collect::<String>();
        let files = bundle.manifest.files.iter().map(|file| (file.name.clone(), short(&file.sha256)));
        let mut sections = section_digests(config);
        sections.retain(|name, _| !ASIDE.contains(&name.as_str()));
        Self { files: files.collect(), config: sections, catalogue }
    }

    /// What is not as it was, in words; empty where everything is.
    pub fn changes(&self, now: &Self) -> Vec<String> {
        let differ = |then: &BTreeMap<String, String>, now: &BTreeMap<String, String>| {
            let names: std::collections::BTreeSet<String> = then.keys().chain(now.keys()).cloned().collect();
            names.into_iter().filter(|name| then.get(name) != now.get(name)).collect::<Vec<_>>()
        };
        let files = differ(&self.files, &now.files).into_iter().map(|name| format!("bundle: {name}"));
        let config = differ(&self.config, &now.config).into_iter().map(|name| format!("configuration: [{name}]"));
        let (then, now) = (self.catalogue, now.catalogue);
        let added = (then.additions != now.additions).then(|| "catalogue: tracks were added".to_owned());
        let down =
            (then.takedowns != now.takedowns).then(|| "catalogue: tracks were taken down or restored".to_owned());
        files.chain(config).chain(added).chain(down).collect()
    }
}

/// One track of an answer.
#[derive(Debug, Clone, Copy, serde::Serialize, serde::Deserialize)]
pub struct CapturedTrack {
    /// The track.
    pub track: TrackIx,
    /// What ordered it.
    pub score: f32,
    /// Who proposed it.
    pub source: Source,
    /// Probability of an exploratory choice.
    pub propensity: Option<f32>,
    /// What the ranker said: `(complete, skip, like)`.
    pub tasks: Option<(f32, f32, f32)>,
}

impl CapturedTrack {
    /// Whether both are the same, bit for bit.
    fn equals(&self, other: &Self) -> bool {
        let bits = |tasks: Option<(f32, f32, f32)>| tasks.map(|(a, b, c)| [a.to_bits(), b.to_bits(), c.to_bits()]);
        (self.track, self.source) == (other.track, other.source)
            && self.score.to_bits() == other.score.to_bits()
            && self.propensity.map(f32::to_bits) == other.propensity.map(f32::to_bits)
            && bits(self.tasks) == bits(other.tasks)
    }
}

/// What an answer said.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct CapturedAnswer {
    /// The rung.
    pub rung: Rung,
    /// What went less than well, as `stage: reason`.
    pub degraded: Vec<String>,
    /// Best first.
    pub tracks: Vec<CapturedTrack>,
}

impl CapturedAnswer {
    /// What `answer` says.
    pub fn of(answer: &Answer) -> Self {
        let track = |served: &ServedTrack| CapturedTrack {
            track: served.track,
            score: served.score,
            source: served.source,
            propensity: served.propensity,
            tasks: served.tasks,
        };
        Self {
            rung: answer.rung,
            degraded: answer.degraded.iter().map(|one| format!("{}: {}", one.stage, one.reason)).collect(),
            tracks: answer.tracks.iter().map(track).collect(),
        }
    }

    /// Whether two answers are the same, bit for bit, but for what went less than well on the way.
    pub fn equals(&self, other: &Self) -> bool {
        let same = self.tracks.iter().zip(&other.tracks).all(|(a, b)| a.equals(b));
        same && self.rung == other.rung && self.tracks.len() == other.tracks.len()
    }

    /// Its list.
    pub fn list(&self) -> Vec<TrackIx> {
        self.tracks.iter().map(|served| served.track).collect()
    }
}

/// Why a capture cannot be asked again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CaptureError {
    /// The line is not a capture.
    #[error("not a captured request: {0}")]
    Malformed(String),
    /// Its rows are of other tables.
    #[error(
        "its catalogue is another ({TRACKS} differs): rows of captures mean nothing there; replay it on the bundle `{0}`"
    )]
    OtherCatalogue(String),
    /// Its rows are of tracks that came later.
    #[error("tracks had been added to the catalogue when it was answered: it can be replayed on that server only")]
    Added,
}

/// A request, what it read and what it was answered. Rows are those of the bundle's catalogue.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Capture {
    /// The answer's id.
    pub recommendation_id: RecommendationId,
    /// Version of the bundle that answered.
    pub bundle: String,
    /// What else decided.
    pub made_with: MadeWith,
    /// The question.
    pub request: Request,
    /// The weights in force.
    pub knobs: Knobs,
    /// How wide the funnel was.
    pub width: Width,
    /// What the request read of the live state: [`Recorded`] as the state writes itself (postcard), in hexadecimal.
    pub read: String,
    /// The answer.
    pub answer: CapturedAnswer,
}

impl Capture {
    /// The capture of a trace; `None` where what it read was not kept.
    pub fn of(trace: &Trace, bundle: &str, made_with: &MadeWith) -> Option<Self> {
        let width = trace.answer.detail.as_ref()?.width;
        let mut made_with = MadeWith { catalogue: trace.catalogue, ..made_with.clone() };
        if let Some(rules) = &trace.rules {
            // Those of then: they change while it runs.
            made_with.config.insert("rules".to_owned(), rules.to_string());
        }
        Some(Self {
            recommendation_id: trace.answer.recommendation_id.clone(),
            bundle: bundle.to_owned(),
            made_with,
            request: Request::clone(&trace.request),
            knobs: trace.knobs,
            width,
            read: hex::encode(trace.read()?),
            answer: CapturedAnswer::of(&trace.answer),
        })
    }

    /// Reads a line.
    ///
    /// # Errors
    /// [`CaptureError::Malformed`].
    pub fn parse(line: &str) -> Result<Self, CaptureError> {
        serde_json::from_str(line).map_err(|error| CaptureError::Malformed(error.to_string()))
    }

    /// What the request read, for a bundle and what decides there. With other vectors the directions that the session
    /// gathered in the old space are left out; all else is of tracks and holds.
    ///
    /// # Errors
    /// The catalogue is another one, or the state cannot be read.
    pub fn recorded(&self, now: &MadeWith) -> Result<Recorded, CaptureError> {
        let malformed = |why: String| CaptureError::Malformed(why);
        if self.made_with.files.get(TRACKS) != now.files.get(TRACKS) {
            return Err(CaptureError::OtherCatalogue(self.bundle.clone()));
        }
        if self.made_with.catalogue.additions > 0 {
            return Err(CaptureError::Added);
        }
        let bytes = hex::decode(&self.read).map_err(|error| malformed(error.to_string()))?;
        let mut recorded: Recorded = postcard::from_bytes(&bytes).map_err(|error| malformed(error.to_string()))?;
        if self.made_with.files.get(VECTORS) != now.files.get(VECTORS) {
            let session = std::sync::Arc::make_mut(&mut recorded.session);
            session.liked_direction.clear();
            session.skipped_direction.clear();
        }
        Ok(recorded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::testing::answer;

    #[test]
    fn what_changed_is_named() {
        let one = |text: &str| BTreeMap::from([(text.to_owned(), "1".to_owned()), ("both".to_owned(), "2".to_owned())]);
        let then = MadeWith { files: one("a.bin"), config: one("rerank"), catalogue: CatalogueMoment::default() };
        assert!(then.changes(&then.clone()).is_empty());
        let mut now = then.clone();
        now.files.insert("a.bin".into(), "9".into());
        now.config.remove("rerank");
        now.catalogue = CatalogueMoment { additions: 1, takedowns: 2 };
        let expected = [
            "bundle: a.bin",
            "configuration: [rerank]",
            "catalogue: tracks were added",
            "catalogue: tracks were taken down or restored",
        ];
        assert_eq!(then.changes(&now), expected);
    }

    #[test]
    fn answers_are_compared_bit_by_bit() {
        let same = CapturedAnswer::of(&answer(3));
        let mut other = CapturedAnswer::of(&answer(3));
        other.degraded.push("lanes: overload".into());
        assert!(same.equals(&other), "how it went is not what came out");
        other.tracks[1].score = f32::from_bits(other.tracks[1].score.to_bits() + 1);
        assert!(!same.equals(&other));
        assert!(!same.equals(&CapturedAnswer::of(&answer(2))));
    }
}
