//! What came of requests: counts, and latencies in HDR histograms, counted from when each request was *due*.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

/// Latencies are told apart to three digits from 1 us to this; longer ones count as this, us.
const MOST_US: u64 = 120_000_000;

/// What was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A recommendation for a listener with a past.
    Warm,
    /// A recommendation for somebody new.
    Cold,
    /// What a listener did with an answer.
    Events,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Ok,
    /// Turned away: 429 or 503.
    Refused,
    /// Any other status, a body that is none, a broken connection.
    Failed,
    /// No answer while the client waited.
    TimedOut,
}

/// One request, all times from the run's start.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// What it was.
    pub kind: Kind,
    /// When it should have been sent.
    pub due: Duration,
    /// When it was.
    pub sent: Duration,
    /// When its fate was known.
    pub done: Duration,
    /// Its fate.
    pub outcome: Outcome,
    /// The rung of an answer, where the server said.
    pub rung: Option<String>,
}

/// A part of a phase by when requests were due.
#[derive(Debug, Clone, Default)]
pub struct Slice {
    /// Recommendations due.
    pub asked: u64,
    /// Answered.
    pub ok: u64,
    /// Answered within the objective.
    pub good: u64,
    /// Latencies of all recommendations, by due time.
    pub latency: Latencies,
}

/// Latencies of one kind.
#[derive(Debug, Clone)]
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        // The bounds are constants within the crate's own.
        let histogram = Histogram::new_with_bounds(1, MOST_US, 3);
        Self(histogram.unwrap_or_else(|_| unreachable!("1 us to 2 min at three digits is a valid histogram")))
    }
}

impl Latencies {
    fn add(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(MOST_US).max(1));
    }

    /// How many.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The smallest latency that a share of them does not exceed, ms; NaN where there are none.
    pub fn quantile_ms(&self, share: f64) -> f64 {
        if self.is_empty() { f64::NAN } else { self.0.value_at_quantile(share) as f64 / 1_000.0 }
    }

    /// The longest, ms; NaN where there are none.
    pub fn max_ms(&self) -> f64 {
        if self.is_empty() { f64::NAN } else { self.0.max() as f64 / 1_000.0 }
    }

    /// Takes others in.
    pub fn merge(&mut self, other: &Self) {
        // Both have the same bounds.
        let _ = self.0.add(&other.0);
    }
}

/// One phase.
#[derive(Debug, Clone)]
pub struct Record {
    began: Duration,
    slice: Duration,
    objective: Duration,
    /// All recommendations, from when they were due to when their fate was known.
    pub asks: Latencies,
    /// The same from when they were sent: what a closed loop would have measured.
    pub service: Latencies,
    /// Those that were answered, from due.
    pub admitted: Latencies,
    /// Those that were refused, from due.
    pub refused: Latencies,
    /// Answers to listeners with a past, from due.
    pub warm: Latencies,
    /// Answers to new listeners, from due.
    pub cold: Latencies,
    /// Events, from due.
    pub events: Latencies,
    /// How late the generator sent recommendations.
    pub lag: Latencies,
    /// Recommendations that failed.
    pub failed: u64,
    /// Recommendations that were given up.
    pub timed_out: u64,
    /// Recommendations answered within the objective.
    pub good: u64,
    /// Batches of events that were not taken.
    pub events_lost: u64,
    /// Answers by rung.
    pub rungs: BTreeMap<String, u64>,
    /// Parts of equal length.
    pub slices: Vec<Slice>,
}

impl Record {
    /// Of a phase that begins there and lasts `seconds`, in slices of `slice`; answers within `objective` are good.
    pub fn new(began: Duration, seconds: f64, slice: Duration, objective: Duration) -> Self {
        let slices = (seconds / slice.as_secs_f64().max(1e-3)).ceil().max(1.0) as usize;
        let none = Latencies::default;
        Self {
            began,
            slice,
            objective,
            asks: none(),
            service: none(),
            admitted: none(),
            refused: none(),
            warm: none(),
            cold: none(),
            events: none(),
            lag: none(),
            failed: 0,
            timed_out: 0,
            good: 0,
            events_lost: 0,
            rungs: BTreeMap::new(),
            slices: vec![Slice::default(); slices],
        }
    }

    /// Takes one request's fate in. `O(1)`.
    pub fn add(&mut self, sample: &Sample) {
        let took = sample.done.saturating_sub(sample.due);
        if sample.kind == Kind::Events {
            self.events.add(took);
            self.events_lost += u64::from(sample.outcome != Outcome::Ok);
            return;
        }
        self.asks.add(took);
        self.service.add(sample.done.saturating_sub(sample.sent));
        self.lag.add(sample.sent.saturating_sub(sample.due));
        let at = sample.due.saturating_sub(self.began).as_nanos() / self.slice.as_nanos().max(1);
        let last = self.slices.len() - 1;
        let slice = &mut self.slices[usize::try_from(at).unwrap_or(last).min(last)];
        slice.asked += 1;
        slice.latency.add(took);
        match sample.outcome {
            Outcome::Ok => {
                self.admitted.add(took);
                if sample.kind == Kind::Warm { &mut self.warm } else { &mut self.cold }.add(took);
                let good = u64::from(took <= self.objective);
                self.good += good;
                slice.good += good;
                slice.ok += 1;
                let rung = sample.rung.as_deref().unwrap_or("full");
                match self.rungs.get_mut(rung) {
                    Some(count) => *count += 1,
                    None => drop(self.rungs.insert(rung.to_owned(), 1)),
                }
            }
            Outcome::Refused => self.refused.add(took),
            Outcome::Failed => self.failed += 1,
            Outcome::TimedOut => self.timed_out += 1,
        }
    }

    /// Takes in what another worker met in the same phase.
    pub fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.asks, &other.asks),
            (&mut self.service, &other.service),
            (&mut self.admitted, &other.admitted),
            (&mut self.refused, &other.refused),
            (&mut self.warm, &other.warm),
            (&mut self.cold, &other.cold),
            (&mut self.events, &other.events),
            (&mut self.lag, &other.lag),
        ] {
            mine.merge(theirs);
        }
        self.failed += other.failed;
        self.timed_out += other.timed_out;
        self.good += other.good;
        self.events_lost += other.events_lost;
        for (rung, count) in &other.rungs {
            *self.rungs.entry(rung.clone()).or_default() += count;
        }
        for (mine, theirs) in self.slices.iter_mut().zip(&other.slices) {
            mine.asked += theirs.asked;
            mine.ok += theirs.ok;
            mine.good += theirs.good;
            mine.latency.merge(&theirs.latency);
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::load) fn sample(due_ms: u64, sent_ms: u64, done_ms: u64, outcome: Outcome) -> Sample {
        let [due, sent, done] = [due_ms, sent_ms, done_ms].map(Duration::from_millis);
        Sample { kind: Kind::Warm, due, sent, done, outcome, rung: None }
    }

    pub(in crate::load) fn record(seconds: f64) -> Record {
        Record::new(Duration::ZERO, seconds, Duration::from_secs(1), Duration::from_millis(200))
    }

    /// A server that takes 2 ms a request, one at a time, and stands still from 1 s to 3 s; requests are due each 10 ms. The
    /// client has one connection, so a request is sent when the one before is answered.
    fn stalled() -> Vec<(u64, u64, u64)> {
        let mut free = 0;
        let due = (0..1_000).map(|n| 10 * n);
        let of = |due: u64| {
            let sent = due.max(free);
            let starts = if (1_000..3_000).contains(&sent) { 3_000 } else { sent };
            free = starts + 2;
            (due, sent, free)
        };
        due.map(of).collect()
    }

    #[test]
    fn a_stall_is_charged_to_every_request_that_was_due() {
        let mut record = record(10.0);
        let all = stalled();
        for (due, sent, done) in &all {
            record.add(&sample(*due, *sent, *done, Outcome::Ok));
        }
        // The twin that keeps every latency.
        let mut exact: Vec<f64> = all.iter().map(|(due, _, done)| (done - due) as f64).collect();
        exact.sort_by(f64::total_cmp);
        for share in [0.5, 0.9, 0.99, 0.999] {
            let at = (share * exact.len() as f64).ceil() as usize - 1;
            let told = record.asks.quantile_ms(share);
            assert!((told - exact[at]).abs() <= exact[at] / 1_000.0 + 0.001, "{share}: {told} {}", exact[at]);
        }
        assert!(record.asks.quantile_ms(0.8) > 300.0, "a fifth of the requests were due in the stall");
        assert!(record.service.quantile_ms(0.99) < 3.0, "counted from sending, one request saw it");
        assert_eq!(record.slices.iter().map(|slice| slice.asked).collect::<Vec<_>>(), [100; 10]);
        assert!(record.slices[0].latency.max_ms() < 3.0 && record.slices[1].latency.max_ms() > 1_900.0);
    }

    #[test]
    fn fates_are_told_apart() {
        let mut record = record(1.0);
        record.add(&sample(0, 0, 100, Outcome::Ok));
        record.add(&Sample { kind: Kind::Cold, rung: Some("reduced".into()), ..sample(1, 1, 301, Outcome::Ok) });
        record.add(&sample(2, 2, 4, Outcome::Refused));
        record.add(&sample(3, 3, 5, Outcome::Failed));
        record.add(&sample(4, 4, 1_004, Outcome::TimedOut));
        record.add(&Sample { kind: Kind::Events, ..sample(5, 5, 6, Outcome::Refused) });
        assert_eq!((record.asks.len(), record.admitted.len(), record.good), (5, 2, 1));
        assert_eq!((record.refused.len(), record.failed, record.timed_out), (1, 1, 1));
        assert_eq!((record.warm.len(), record.cold.len()), (1, 1));
        assert_eq!((record.events.len(), record.events_lost), (1, 1));
        assert_eq!(
            record.rungs.iter().map(|(rung, n)| (rung.as_str(), *n)).collect::<Vec<_>>(),
            [("full", 1), ("reduced", 1)]
        );
        assert!(Latencies::default().quantile_ms(0.5).is_nan() && Latencies::default().max_ms().is_nan());
    }

    proptest! {
        // Histograms are some hundred KB each.
        #![proptest_config(ProptestConfig::with_cases(12))]
        #[test]
        fn workers_together_are_one(times in prop::collection::vec((0..5_000_u64, 0..300_000_u64, 0..4_u8), 0..60)) {
            let mut whole = record(3.0);
            let mut parts = [record(3.0), record(3.0)];
            for (at, (due, took, fate)) in times.into_iter().enumerate() {
                let outcome = [Outcome::Ok, Outcome::Refused, Outcome::Failed, Outcome::TimedOut][usize::from(fate)];
                let one = sample(due, due, due + took, outcome);
                whole.add(&one);
                parts[at % 2].add(&one);
            }
            let [mut first, second] = parts;
            first.merge(&second);
            let told = |record: &Record| {
                let all = [&record.asks, &record.service, &record.admitted, &record.refused, &record.warm, &record.lag];
                let quantiles = all.map(|one| [0.0, 0.5, 0.99, 1.0].map(|share| one.quantile_ms(share).to_bits()));
                let slices: Vec<_> = record.slices.iter().map(|one| (one.asked, one.ok, one.good)).collect();
                (quantiles, slices, record.rungs.clone(), record.failed, record.timed_out, record.good)
            };
            prop_assert_eq!(told(&whole), told(&first));
        }
    }
}
