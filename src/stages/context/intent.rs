//! What the session seems to be for, by the bundle's prototypes, and what that turns.

use std::sync::Arc;

use crate::config::IntentConfig;
use crate::domain::{
    Dials, Intent, IntentPrototypes, IntentRule, IntentShare, ItemVectors, RequestContext, SessionProfile,
    SessionState, by_score,
};
use crate::features::intent::{SessionPoint, wanted};
use crate::features::moments;
use crate::pipeline::{ContextPatch, ContextSource, Deadline, StageError};

/// What a session's plays are like; unknown where nothing was wanted, for what is skipped says nothing of what it is for.
fn profile(session: &SessionState) -> SessionProfile {
    if wanted(&session.window).next().is_none() {
        return SessionProfile::default();
    }
    let [energy, valence, tempo] = [session.energy, session.valence, session.tempo].map(moments::mean);
    SessionProfile { energy, valence, tempo, new_artists: None }
}

/// The best rule, if it matches well enough; ties by order. Confidence is the margin over the second best rule, 0..1.
fn recognise(rules: &[IntentRule], seen: &SessionProfile, hour: f32) -> Option<Intent> {
    let (mut best, mut second): (Option<(&IntentRule, f32)>, f32) = (None, 0.0);
    for rule in rules {
        let match_ = rule.match_of_plays(seen) * rule.match_of_hour(hour);
        match best {
            Some((_, most)) if match_ <= most => second = second.max(match_),
            _ => {
                second = best.map_or(0.0, |(_, most)| most);
                best = Some((rule, match_));
            }
        }
    }
    let (rule, most) = best.filter(|(_, most)| *most >= IntentRule::LEAST_MATCH)?;
    let confidence = (most - second).clamp(0.0, 1.0);
    Some(Intent { label: Arc::clone(&rule.label), confidence, mixture: Vec::new() })
}

/// Names the session's intent: by where its wanted plays lie among the bundle's prototypes or, where there are no such plays
/// or no prototypes, by the bundle's rules. Then turns the request's dials by it.
pub struct IntentSource {
    rules: Arc<[IntentRule]>,
    prototypes: Option<Arc<IntentPrototypes>>,
    vectors: Arc<ItemVectors>,
    turns: Vec<IntentConfig>,
    point: SessionPoint,
    shares: Vec<f32>,
}

impl IntentSource {
    /// Takes the bundle's rules, among which ties are decided by their order, its prototypes and the vectors that these are
    /// of, and what intents turn.
    pub fn new(
        rules: Arc<[IntentRule]>,
        prototypes: Option<Arc<IntentPrototypes>>,
        vectors: Arc<ItemVectors>,
        turns: Vec<IntentConfig>,
    ) -> Self {
        Self { rules, prototypes, vectors, turns, point: SessionPoint::default(), shares: Vec::new() }
    }

    /// The mixture over the prototypes' labels; leaves it in `shares`. Ties by the order of the prototypes.
    fn mixture(&mut self, session: &SessionState) -> Option<Intent> {
        let prototypes = self.prototypes.as_deref()?;
        if !self.point.read(wanted(&session.window), &self.vectors) {
            return None;
        }
        self.point.shares(prototypes, &mut self.shares);
        let (labels, shares) = (prototypes.labels(), &self.shares);
        let best = (0..shares.len()).reduce(|best, next| if shares[next] > shares[best] { next } else { best })?;
        let parts = labels.iter().zip(shares);
        let mut mixture: Vec<IntentShare> =
            parts.map(|((label, _), share)| IntentShare { label: Arc::clone(label), share: *share }).collect();
        mixture.sort_by(|a, b| by_score(a.share, b.share));
        let confidence = prototypes.confidence(best, shares[best]);
        Some(Intent { label: Arc::clone(&labels[best].0), confidence, mixture })
    }

    /// How sure it is that the session is for `label`, 0..1; over all labels at most 1.
    fn weight(&self, intent: &Intent, label: &str) -> f32 {
        match &self.prototypes {
            Some(prototypes) if !intent.mixture.is_empty() => {
                let at = prototypes.labels().iter().position(|(other, _)| **other == *label);
                at.map_or(0.0, |at| prototypes.confidence(at, self.shares[at]))
            }
            _ if *intent.label == *label => intent.confidence,
            _ => 0.0,
        }
    }

    /// The dials, each moved towards what the intents that are configured want, by how sure these are.
    fn turned(&self, context: &RequestContext, intent: Option<&Intent>) -> Dials {
        let (request, base) = (&context.request, context.dials);
        let mut dials = base;
        let Some(intent) = intent else { return dials };
        for turn in &self.turns {
            let weight = self.weight(intent, &turn.label);
            let towards = |dial: &mut f32, base: f32, wanted: f32| *dial += weight * (wanted - base);
            if let Some(blend) = &turn.blend {
                towards(&mut dials.blend.complete, base.blend.complete, blend.complete);
                towards(&mut dials.blend.skip, base.blend.skip, blend.skip);
                towards(&mut dials.blend.like, base.blend.like, blend.like);
            }
            // What a client gave is what it wants, and a dial at 0 is off.
            if let Some(wanted) = turn.discovery.filter(|_| !request.given.discovery && base.discovery > 0.0) {
                towards(&mut dials.discovery, base.discovery, wanted);
            }
            if let Some(wanted) = turn.diversity.filter(|_| !request.given.diversity && base.diversity > 0.0) {
                towards(&mut dials.diversity, base.diversity, wanted);
            }
        }
        // Rounding may leave the range by a little.
        dials.discovery = dials.discovery.clamp(0.0, 1.0);
        dials.diversity = dials.diversity.clamp(0.0, 1.0);
        dials
    }
}

impl ContextSource for IntentSource {
    fn name(&self) -> &'static str {
        "intent"
    }

    /// `O((plays + prototypes) * dim + rules)`; allocates the mixture that the answer carries. No intent where nothing wanted
    /// was played and no rule matches well.
    fn load(&mut self, context: &RequestContext, _deadline: &Deadline) -> Result<ContextPatch, StageError> {
        let (request, session) = (&context.request, &context.session);
        let intent = self.mixture(session).or_else(|| {
            let utc_hour = request.now_ms.rem_euclid(86_400_000) as f32 / 3_600_000.0;
            let hour = request.local_hour.map_or(utc_hour, f32::from);
            recognise(&self.rules, &profile(session), hour)
        });
        let dials = self.turned(context, intent.as_ref());
        Ok(ContextPatch::Intent { intent, dials })
    }
}

#[cfg(test)]
#[path = "intent_tests.rs"]
mod tests;
