//! How many requests may be in flight: waiting for a lane or on one.

use std::time::Duration;

/// Finished requests between two looks at the limit.
const WINDOW: u32 = 16;
/// Part of the way that the limit goes towards where it should be.
const STEP: f64 = 0.5;

/// A limit that follows latency, between a floor and a ceiling: the gradient of Netflix's *concurrency-limits*
/// (`Gradient2Limit`), whose limit is multiplied by *latency wanted over latency seen* and gets its square root as room to
/// grow. There, what is wanted follows a long average of latency, which drifts up under an overload that lasts. Here the
/// time on a lane is known apart from the wait, so that is wanted is the time on a lane plus a wait given by configuration.
///
/// With `c` lanes busy all the time and `s` seconds a request it settles at `L = c (s + wait) / s + sqrt(L)`.
#[derive(Debug)]
pub(super) struct Limit {
    now: f64,
    floor: f64,
    ceiling: f64,
    wait: f64,
    finished: u32,
    latency: f64,
    service: f64,
    most: usize,
}

impl Limit {
    /// For so many lanes and a queue of so many places; `wait` is what a request may wait for a lane when all are busy.
    pub(super) fn new(lanes: usize, places: usize, wait: Duration) -> Self {
        let (floor, ceiling) = ((lanes + 1) as f64, (lanes + places) as f64);
        Self {
            now: (lanes as f64 * 16.0).clamp(floor, ceiling),
            floor,
            ceiling,
            wait: wait.as_secs_f64(),
            finished: 0,
            latency: 0.0,
            service: 0.0,
            most: 0,
        }
    }

    /// The limit: requests in flight.
    pub(super) fn now(&self) -> f64 {
        self.now
    }

    /// Takes note of a finished request: the time since it was let in, the part of it on a lane, and how many were in
    /// flight with it. Where fewer than half the limit are in flight, latency says nothing about the limit and it stays.
    pub(super) fn finished(&mut self, latency: Duration, service: Duration, in_flight: usize) {
        self.finished += 1;
        self.latency += latency.as_secs_f64();
        self.service += service.as_secs_f64();
        self.most = self.most.max(in_flight);
        if self.finished < WINDOW {
            return;
        }
        if self.most as f64 >= self.now / 2.0 {
            let wanted = self.service + self.wait * f64::from(self.finished);
            let gradient = (wanted / self.latency.max(f64::MIN_POSITIVE)).clamp(0.5, 1.0);
            let target = self.now * gradient + self.now.sqrt();
            self.now = (self.now + STEP * (target - self.now)).clamp(self.floor, self.ceiling);
        }
        (self.finished, self.latency, self.service, self.most) = (0, 0.0, 0.0, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rand::{RngExt, SeedableRng};

    use super::*;
    use crate::pipeline::lanes::queue::{Criticality, Queue};

    const LANES: usize = 2;
    const PLACES: usize = 256;
    const SERVICE: f64 = 0.004;
    const WAIT: Duration = Duration::from_millis(25);

    /// What became of the requests of one second.
    #[derive(Debug, Default, Clone)]
    struct Second {
        answered: usize,
        refused: usize,
        given_up: usize,
        latencies: Vec<f64>,
    }

    impl Second {
        fn p99(&self) -> f64 {
            let mut sorted = self.latencies.clone();
            sorted.sort_by(f64::total_cmp);
            sorted[sorted.len() * 99 / 100]
        }
    }

    /// A clock without a machine: Poisson arrivals at `rates`, one a second of the run, against lanes that take `SERVICE`
    /// times `slow`, behind the real limit and the real queue.
    fn run(rates: &[f64], slow: impl Fn(usize) -> f64) -> (Vec<Second>, f64) {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(7);
        let origin = Instant::now();
        let at = |seconds: f64| origin + Duration::from_secs_f64(seconds);
        let (mut limit, mut queue) = (Limit::new(LANES, PLACES, WAIT), Queue::new(WAIT * 2));
        let mut seconds = vec![Second::default(); rates.len() + 1];
        // When each lane will be free, and when what is on it came.
        let mut lanes: Vec<Option<(f64, f64, f64)>> = vec![None; LANES];
        let (mut now, mut in_flight, mut service) = (0.0_f64, 0_usize, SERVICE);
        let mut arrival = 0.0;
        while now < rates.len() as f64 {
            let free = lanes.iter().flatten().map(|lane| lane.0).fold(f64::INFINITY, f64::min);
            now = free.min(arrival);
            let second = (now as usize).min(rates.len());
            if arrival <= free {
                if (in_flight as f64) < limit.now() * Criticality::Default.share() {
                    in_flight += 1;
                    queue.push(at(now), Criticality::Default, now);
                } else {
                    seconds[second].refused += 1;
                }
                let rate = rates[second.min(rates.len() - 1)];
                arrival += -(1.0 - random.random::<f64>()).ln() / rate;
            } else if let Some(lane) = lanes.iter_mut().find(|lane| lane.is_some_and(|lane| lane.0 <= now)) {
                let Some((_, came, took)) = lane.take() else { continue };
                limit.finished(Duration::from_secs_f64(now - came), Duration::from_secs_f64(took), in_flight);
                service = (service * 7.0 + took) / 8.0;
                in_flight -= 1;
                seconds[second].answered += 1;
                seconds[second].latencies.push(now - came);
            }
            queue.stands(at(now), Duration::from_secs_f64(service * queue.len() as f64 / LANES as f64));
            while queue.give_up(at(now)).is_some() {
                in_flight -= 1;
                seconds[second].given_up += 1;
            }
            for lane in lanes.iter_mut().filter(|lane| lane.is_none()) {
                if let Some(came) = queue.take() {
                    let took = SERVICE * slow(second);
                    *lane = Some((now + took, came, took));
                }
            }
        }
        (seconds, limit.now())
    }

    const CAPACITY: f64 = LANES as f64 / SERVICE;

    #[test]
    fn settles_where_its_formula_says() {
        let (_, limit) = run(&[4.0 * CAPACITY; 8], |_| 1.0);
        let expected = LANES as f64 * (SERVICE + WAIT.as_secs_f64()) / SERVICE + limit.sqrt();
        // Requests that are let in after a window began have not seen all of it.
        assert!((limit - expected).abs() < 0.2 * expected, "{limit} against {expected}");
    }

    #[test]
    fn lanes_stay_busy_and_what_is_let_in_is_answered_soon() {
        for times in [1.5, 2.0, 4.0, 10.0] {
            let (seconds, _) = run(&[times * CAPACITY; 6], |_| 1.0);
            for second in &seconds[..6] {
                assert!(second.answered as f64 >= 0.97 * CAPACITY, "{times} x: {} answered", second.answered);
                assert!(second.p99() < 0.1, "{times} x: {} s", second.p99());
                assert_eq!(second.given_up, 0, "{times} x");
            }
        }
    }

    #[test]
    fn ordinary_bursts_are_not_refused() {
        let (seconds, _) = run(&[0.7 * CAPACITY; 30], |_| 1.0);
        let refused: usize = seconds.iter().map(|second| second.refused).sum();
        let answered: usize = seconds.iter().map(|second| second.answered).sum();
        assert_eq!(refused, 0, "of {answered}");
    }

    #[test]
    fn a_lane_that_turns_slow_gives_up_the_old_and_recovers() {
        // Half the capacity, lanes that are twenty times slower for two seconds, and then as before.
        let (seconds, _) = run(&[0.5 * CAPACITY; 10], |second| if (3..5).contains(&second) { 20.0 } else { 1.0 });
        assert!(seconds[3].given_up > 0, "{:?}", seconds[3]);
        assert!(seconds[4].p99() < 0.3, "{}", seconds[4].p99());
        for second in &seconds[6..10] {
            assert_eq!((second.refused, second.given_up), (0, 0));
            assert!(second.p99() < 0.05, "{}", second.p99());
        }
    }
}
