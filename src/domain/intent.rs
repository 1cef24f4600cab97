//! The rules that name what a session seems to be for.

use std::sync::Arc;

/// A range of a number, `[lo, hi]`. For hours `lo > hi` passes midnight: `[22, 5]`.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Band(pub f32, pub f32);

/// One entry of a bundle's `intents.json`: a name and the bands that the session must lie in. An absent band asks nothing;
/// at least one must be there, for a rule without bands never applies.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntentRule {
    /// The name shown: `focus`, `workout`, ...
    pub label: Arc<str>,
    /// Mean energy of the session's plays, 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy: Option<Band>,
    /// Mean valence of the session's plays, 0..1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valence: Option<Band>,
    /// Mean tempo of the session's plays, bpm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tempo: Option<Band>,
    /// The listener's hour, 0..24.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Band>,
}
