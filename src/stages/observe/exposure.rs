//! What was served, into the counts that exploration goes by.

use std::sync::Arc;

use prometheus::IntCounter;

use crate::domain::{Answer, Catalogue, RequestContext};
use crate::features::StateStore;
use crate::metrics::Metrics;
use crate::pipeline::Observer;
use crate::stages::exposure::Exposure;

/// Counts served tracks as new or known, those of a caller's own list left out.
pub struct ExposureObserver {
    catalogue: Arc<Catalogue>,
    state: Arc<StateStore>,
    exposure: Arc<Exposure>,
    new_plays: f32,
    new: IntCounter,
    known: IntCounter,
}

impl ExposureObserver {
    /// A track with fewer plays than `new_plays`, the bundle's and those since, is new.
    pub fn new(
        catalogue: Arc<Catalogue>,
        state: Arc<StateStore>,
        exposure: Arc<Exposure>,
        new_plays: u32,
        metrics: &Metrics,
    ) -> Self {
        let counter = |kind| metrics.exploration.impressions.with_label_values(&[kind]);
        Self { catalogue, state, exposure, new_plays: new_plays as f32, new: counter("new"), known: counter("known") }
    }
}

impl Observer for ExposureObserver {
    fn name(&self) -> &'static str {
        "exposure"
    }

    /// Two locks, each for as long as it takes to count.
    fn observe(&mut self, context: &RequestContext, answer: &Answer) {
        if context.request.candidates.is_some() {
            return;
        }
        let mut served = Vec::with_capacity(answer.tracks.len());
        self.state.completions().plays(answer.tracks.iter().map(|served| served.track), |track, plays| {
            served.push((track, self.catalogue.artist_of(track), plays < self.new_plays));
        });
        let new = served.iter().filter(|(_, _, is_new)| *is_new).count();
        self.new.inc_by(new as u64);
        self.known.inc_by((served.len() - new) as u64);
        self.exposure.note(served.into_iter());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{SignalConfig, StateConfig};
    use crate::domain::{Popularity, Request, TrackIx};
    use crate::stages::{fixtures, testing};

    #[test]
    fn tells_new_tracks_from_known_ones_and_leaves_rankings_out() {
        let catalogue = fixtures::catalogue(9, |_, _| {});
        let state = Arc::new(StateStore::new(&StateConfig::default(), &SignalConfig::default()));
        let plays: Vec<f32> = (0..9).map(|row| row as f32 * 10.0).collect();
        state.completions().know(Arc::new(Popularity::new(&catalogue, &plays, Vec::new())));
        let (exposure, metrics) = (Arc::new(Exposure::new(4)), Metrics::new().unwrap());
        let shared = (Arc::clone(&catalogue), Arc::clone(&state), Arc::clone(&exposure));
        let mut observer = ExposureObserver::new(shared.0, shared.1, shared.2, 20, &metrics);
        let mut observe = |candidates| {
            let request = Request { candidates, ..fixtures::request() };
            observer.observe(&fixtures::context(request, Default::default(), Default::default()), &testing::answer(8));
        };
        observe(Some(vec![TrackIx(0)]));
        assert_eq!((exposure.distinct(), exposure.new_share()), (0, None));
        observe(None);
        assert_eq!((exposure.distinct(), exposure.new_share()), (8, Some(0.0)), "the last four are known");
        let count = |kind| metrics.exploration.impressions.with_label_values(&[kind]).get();
        assert_eq!((count("new"), count("known")), (2, 6));
    }
}
