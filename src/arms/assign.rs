//! Arms for requests.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::place::{Salted, Share};
use crate::config::{ArmConfig, Config, ExperimentConfig, Setting, experiment_parts};
use crate::domain::{ArmName, Assigned, Knobs, Request};

/// One experiment, ready to be asked.
#[derive(Debug, Clone)]
struct Running {
    part: Share,
    differs: BTreeSet<Setting>,
    split: Salted,
    arms: Vec<(Share, ArmName, ArmConfig)>,
}

/// Experiments of one layer, and what places listeners in it.
#[derive(Debug, Clone)]
struct Layer {
    name: String,
    hash: Salted,
    running: Vec<Running>,
}

/// The experiments of a configuration. A listener's arms follow from the configuration and the id alone: they are the same on
/// every node, today and tomorrow. A layer is one hash of the id, parted among its experiments; arms are parted by another hash, with
/// the experiment's salt. So layers, and splits of one layer that follow each other, are independent (Tang, Agarwal, O'Brien and
/// Meyer 2010, "Overlapping experiment infrastructure").
#[derive(Debug, Clone)]
pub struct Arms {
    held_back: Layer,
    layers: Vec<Layer>,
    rank_order_surfaces: Vec<String>,
}

impl Arms {
    /// Takes `[[experiments]]`, which have been checked.
    pub fn new(config: &Config) -> Self {
        let mut held_back = Layer::new("holdback", "holdback");
        let mut layers: Vec<Layer> = Vec::new();
        for (experiment, (from, until)) in config.experiments.iter().zip(experiment_parts(&config.experiments)) {
            let running = Running::new(experiment, Share::new(from, until));
            let named = layers.iter_mut().find(|layer| layer.name == experiment.layer);
            match (experiment.holdback, named) {
                (true, _) => held_back.running.push(running),
                (false, Some(layer)) => layer.running.push(running),
                (false, None) => {
                    let mut layer = Layer::new(&experiment.layer, &format!("layer {}", experiment.layer));
                    layer.running.push(running);
                    layers.push(layer);
                }
            }
        }
        Self { held_back, layers, rank_order_surfaces: config.rerank.rank_order_surfaces.clone() }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.held_back.running.is_empty() && self.layers.is_empty()
    }

    /// The arms of a listener, with what they set: at most one a layer, and of one who is held back that one alone.
    fn of(&self, listener: &str) -> Vec<(&Running, &ArmName, &ArmConfig)> {
        match self.held_back.of(listener) {
            Some(held) => vec![held],
            None => self.layers.iter().filter_map(|layer| layer.of(listener)).collect(),
        }
    }

    /// The names of a listener's arms. One hash a layer and one an arm, about a microsecond.
    pub fn names(&self, listener: &str) -> Vec<ArmName> {
        self.of(listener).into_iter().map(|(_, name, _)| name.clone()).collect()
    }

    /// The request and the weights with what the listener's arms set in them, and the arms noted in the request.
    pub fn apply(&self, request: Arc<Request>, knobs: Knobs) -> (Arc<Request>, Knobs) {
        if self.is_empty() {
            return (request, knobs);
        }
        let assigned = self.of(request.user_id.as_str());
        if assigned.is_empty() {
            return (request, knobs);
        }
        let (mut request, mut knobs) = (Arc::unwrap_or_clone(request), knobs);
        for (_, _, arm) in &assigned {
            knobs = arm.apply(knobs);
            request.discovery = arm.discovery.filter(|_| !request.given.discovery).unwrap_or(request.discovery);
            request.diversity = arm.diversity.filter(|_| !request.given.diversity).unwrap_or(request.diversity);
        }
        let noted = assigned.iter().map(|(running, name, _)| self.noted(running, name, &request));
        request.arms = noted.collect();
        (Arc::new(request), knobs)
    }

    /// Where the arms of an experiment part on the way of a request.
    fn noted(&self, running: &Running, name: &ArmName, request: &Request) -> Assigned {
        let (own, dialled) = (request.candidates.is_some(), request.discovery > 0.0);
        let in_rank_order = request.surface.as_ref().is_some_and(|surface| self.rank_order_surfaces.contains(surface));
        // Where only the dial of this experiment closes the way, another arm of it opens it, and the dial itself counts.
        let arranges = |setting: &Setting| match setting {
            Setting::Blend => false,
            Setting::PopularityPenalty => !own && dialled,
            Setting::SkipPenalty | Setting::ArtistWindow => !own,
            Setting::Explore => !own && dialled && !in_rank_order,
            Setting::Discovery => !own && !request.given.discovery,
            Setting::Diversity => !own && !request.given.diversity,
        };
        // Of equal arms everybody counts whom the funnel answers.
        let alike = running.differs.is_empty();
        Assigned {
            of: name.clone(),
            ranks: alike || running.differs.contains(&Setting::Blend),
            arranges: alike || running.differs.iter().any(arranges),
        }
    }
}

impl Layer {
    fn new(name: &str, salt: &str) -> Self {
        Self { name: name.to_owned(), hash: Salted::new(salt), running: Vec::new() }
    }

    fn of(&self, listener: &str) -> Option<(&Running, &ArmName, &ArmConfig)> {
        if self.running.is_empty() {
            return None;
        }
        let place = self.hash.place(listener);
        let running = self.running.iter().find(|running| running.part.holds(place))?;
        let split = running.split.place(listener);
        let (_, name, arm) = running.arms.iter().find(|(part, ..)| part.holds(split))?;
        Some((running, name, arm))
    }
}

impl Running {
    fn new(experiment: &ExperimentConfig, part: Share) -> Self {
        let total: u32 = experiment.arms.iter().map(|arm| arm.weight).sum();
        let mut before = 0;
        let arm = |arm: &ArmConfig| {
            let from = f64::from(before) / f64::from(total);
            before += arm.weight;
            let share = Share::new(from, f64::from(before) / f64::from(total));
            (share, ArmName { name: experiment.name.as_str().into(), arm: arm.name.as_str().into() }, arm.clone())
        };
        let salt = experiment.salt.as_ref().unwrap_or(&experiment.name);
        Self {
            part,
            differs: experiment.differs(),
            split: Salted::new(&format!("arm {salt}")),
            arms: experiment.arms.iter().map(arm).collect(),
        }
    }
}
