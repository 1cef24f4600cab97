//! How requests differ from what the bundle's ranker was trained on, over the last hours.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::config::DriftConfig;
use crate::features::{Block, RankedTap, Reference, Spread};
use crate::metrics::DriftMetrics;
use crate::stages::observe::{DriftObserver, LaneSpread};

/// Parts of the window, of which the oldest goes when it is over.
const PARTS: i64 = 24;
/// Answers below which nothing is told: with as few, ten even bins differ by 0.05 by chance alone.
const LEAST_ANSWERS: u64 = 200;

/// What the lanes of one bundle count, and the window that it goes to.
pub struct Drift {
    reference: Arc<Reference>,
    candidates: usize,
    /// Those that still run; a bundle that is served again has others.
    lanes: Mutex<Vec<Weak<Mutex<Spread>>>>,
    window: Mutex<Window>,
}

impl Drift {
    /// `None` where it is off or the bundle has no reference.
    pub(super) fn new(config: &DriftConfig, reference: Option<&Arc<Reference>>) -> Option<Self> {
        let reference = Arc::clone(reference.filter(|_| config.candidates > 0)?);
        let window_ms = i64::try_from(config.window_min).unwrap_or(i64::MAX / 60_000).saturating_mul(60_000);
        let window = Mutex::new(Window::new(&reference, window_ms));
        Some(Self { reference, candidates: config.candidates, lanes: Mutex::default(), window })
    }

    /// The observer of one more lane.
    pub(super) fn observer(&self, tap: RankedTap) -> DriftObserver {
        let spread: LaneSpread = Arc::new(Mutex::new(Spread::new(&self.reference)));
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&spread));
        DriftObserver::new(tap, spread, self.candidates)
    }

    /// Takes over what the lanes have counted and tells the figures of the window. Called at each scrape, so that a count is
    /// at most a scrape late in its window; some 0.1 ms.
    pub(super) fn tell(&self, now_ms: i64, metrics: &DriftMetrics) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        let part = window.part(now_ms);
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.retain(|lane| lane.strong_count() > 0);
        for lane in lanes.iter().filter_map(Weak::upgrade) {
            let mut counted = lane.lock().unwrap_or_else(PoisonError::into_inner);
            part.add(&counted);
            counted.clear();
        }
        let all = window.sum();
        metrics.answers.set(i64::try_from(all.answers).unwrap_or(i64::MAX));
        let (heads, features) = ([&metrics.head_psi, &metrics.head_kl, &metrics.head_mean], [&metrics.feature_psi]);
        if all.answers < LEAST_ANSWERS {
            heads.into_iter().chain(features).chain([&metrics.head_trained_mean, &metrics.feature_kl]).for_each(
                |gauge| {
                    gauge.reset();
                },
            );
            return;
        }
        for of in all.against(&self.reference) {
            let (psi, kl) = match of.block {
                Block::Head => (&metrics.head_psi, &metrics.head_kl),
                Block::User | Block::Item | Block::Cross => (&metrics.feature_psi, &metrics.feature_kl),
            };
            psi.with_label_values(&[of.name]).set(of.divergence.psi);
            kl.with_label_values(&[of.name]).set(of.divergence.kl);
            if of.block == Block::Head {
                metrics.head_mean.with_label_values(&[of.name]).set(of.mean);
                metrics.head_trained_mean.with_label_values(&[of.name]).set(of.expected_mean);
            }
        }
    }
}

/// Counts of the last so many ms, to within a part of it.
struct Window {
    window_ms: i64,
    none: Spread,
    /// When each part began, oldest first.
    parts: VecDeque<(i64, Spread)>,
}

impl Window {
    fn new(reference: &Reference, window_ms: i64) -> Self {
        Self { window_ms, none: Spread::new(reference), parts: VecDeque::new() }
    }

    /// The part that counts of this moment go to. A clock that goes back changes the newest part.
    fn part(&mut self, now_ms: i64) -> &mut Spread {
        let length = (self.window_ms / PARTS).max(1);
        let begin = now_ms.div_euclid(length) * length;
        if self.parts.back().is_none_or(|(newest, _)| *newest < begin) {
            self.parts.push_back((begin, self.none.clone()));
        }
        while self.parts.front().is_some_and(|(oldest, _)| oldest.saturating_add(self.window_ms) <= begin) {
            self.parts.pop_front();
        }
        // There is one: the newest was pushed above or before, and is younger than the window.
        match self.parts.back_mut() {
            Some((_, part)) => part,
            None => &mut self.none,
        }
    }

    fn sum(&self) -> Spread {
        let mut all = self.none.clone();
        self.parts.iter().for_each(|(_, part)| all.add(part));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::reference_testing::{Answer, reference};
    use crate::metrics::Metrics;
    use proptest::prelude::*;

    proptest! {
        /// What the window holds is what a list of all counts holds of its last parts.
        #[test]
        fn a_window_forgets_what_is_over(steps in prop::collection::vec((0i64..9_000, 1u64..5), 1..60)) {
            let reference = reference(3);
            let mut window = Window::new(&reference, 48_000);
            let (mut now, mut told) = (7_000_000i64, Vec::new());
            for (step, answers) in steps {
                now += step;
                window.part(now).answers += answers;
                told.push((now / 2_000, answers));
                let naive: u64 = told.iter().filter(|(part, _)| part + PARTS > now / 2_000).map(|(_, count)| count).sum();
                prop_assert_eq!(window.sum().answers, naive);
                prop_assert!(window.parts.len() as i64 <= PARTS);
            }
        }
    }

    #[test]
    fn a_clock_that_goes_back_loses_nothing() {
        let mut window = Window::new(&reference(3), 48_000);
        window.part(100_000).answers += 1;
        window.part(10_000).answers += 2;
        assert_eq!(window.sum().answers, 3);
    }

    #[test]
    fn lanes_are_added_up_and_told_once_there_is_enough() {
        let reference = Arc::new(reference(300));
        let drift = Drift::new(&DriftConfig::default(), Some(&reference)).unwrap();
        let metrics = Metrics::new().unwrap();
        let lanes: Vec<LaneSpread> = (0..2)
            .map(|_| {
                // Its lane ends, what it counts into is held on to.
                let _observer = drift.observer(RankedTap::default());
                drift.lanes.lock().unwrap().last().unwrap().upgrade().unwrap()
            })
            .collect();
        let serve = |from: usize, to: usize, centre: f32| {
            for number in from..to {
                let answer = Answer::new(number, centre);
                let mut spread = lanes[number % 2].lock().unwrap();
                spread.answer(&answer.user);
                answer.seen().iter().for_each(|row| spread.row(row));
            }
        };
        let told = |now_ms| {
            drift.tell(now_ms, &metrics.drift);
            let text = metrics.render().unwrap();
            let line = text.lines().find_map(|line| line.strip_prefix(r#"segue_drift_head_psi{head="complete"} "#));
            line.map(|value| value.parse::<f64>().unwrap())
        };
        serve(0, 100, 0.0);
        assert_eq!(told(0), None, "too few");
        serve(100, 300, 0.0);
        assert!(told(1).unwrap() < 0.01);
        assert_eq!(metrics.drift.answers.get(), 300);
        serve(0, 300, 0.4);
        assert!(told(2).unwrap() > 0.2);
        assert_eq!(told(3 * 86_400_000), None, "all of it is over");
    }

    #[test]
    fn without_a_reference_there_is_nothing() {
        let off = DriftConfig { candidates: 0, ..DriftConfig::default() };
        assert!(Drift::new(&off, Some(&Arc::new(reference(3)))).is_none());
        assert!(Drift::new(&DriftConfig::default(), None).is_none());
    }
}
