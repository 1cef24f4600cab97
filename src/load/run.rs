//! One run: workers send the phases' requests, and what the server took is read off before and after.

use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tokio::task::LocalSet;

use super::LoadError;
use super::arrivals::{Arrivals, Phase};
use super::client::{Client, Reply, Target};
use super::crowd::Crowd;
use super::mix::MixPlan;
use super::process::{Usage, usage};
use super::record::Record;
use super::scrape::Scrape;
use super::worker::Worker;
use crate::events::RawEvent;

/// Events of one batch of the past.
const BATCH: usize = 500;
/// Slices of a phase at most, and the shortest.
const SLICES: f64 = 120.0;
const SHORTEST_SLICE: Duration = Duration::from_millis(250);
/// From when workers are made to when the first request may be due.
const LEAD: Duration = Duration::from_millis(50);

/// What is sent.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Rates, one after the other.
    pub phases: Vec<Phase>,
    /// How requests follow each other.
    pub arrivals: Arrivals,
    /// What they are like.
    pub mix: MixPlan,
    /// Fields that every recommendation request has beside its own, e.g. `diversity`.
    pub fields: Map<String, Value>,
    /// Seed of moments and requests.
    pub seed: u64,
    /// Threads that send, at least 1.
    pub threads: usize,
    /// Most connections at once, of all threads.
    pub connections: usize,
    /// How long a client waits for an answer.
    pub patience: Duration,
    /// Answers within this time are good.
    pub objective: Duration,
    /// The server's processes, where they are on this machine; their children count too.
    pub pids: Vec<u32>,
}

impl Plan {
    /// # Errors
    /// The first number that makes no sense.
    pub fn check(&self) -> Result<(), LoadError> {
        let sane = |phase: &&Phase| (1e-3..=1e6).contains(&phase.rate) && (0.0..=1e6).contains(&phase.seconds);
        if let Some(phase) = self.phases.iter().find(|phase| !sane(phase)) {
            let Phase { rate, seconds } = phase;
            return Err(LoadError::Plan(format!("{rate} requests/s for {seconds} s: need 0.001..=1e6 for 0..=1e6 s")));
        }
        if self.threads == 0 || self.connections < self.threads {
            return Err(LoadError::Plan(format!(
                "{} connections for {} threads: need at least one a thread, and a thread",
                self.connections, self.threads
            )));
        }
        self.mix.check()
    }
}

/// What came of a run.
#[derive(Debug, Clone)]
pub struct Observed {
    /// One a phase.
    pub records: Vec<Record>,
    /// What the server's processes took; absent where no process was named.
    pub used: Option<Usage>,
    /// What its stages took; absent where it has no `/metrics` that can be read.
    pub stages: Option<Scrape>,
}

/// Sends a plan's requests and waits for their answers.
///
/// # Errors
/// The plan makes no sense, the server is not there, or the system gives no threads or sockets. Requests that fail are no errors.
pub fn run(plan: &Plan, target: &Target, crowd: &Crowd) -> Result<Observed, LoadError> {
    plan.check()?;
    let before = look(plan, target)?;
    // New to the server whatever ran before: microseconds of the clock.
    let run = format!("{:x}", jiff::Timestamp::now().as_microsecond());
    let start = Instant::now() + LEAD;
    let mut parts = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..plan.threads)
            .map(|index| Worker { plan, crowd, target, index, run: &run, start })
            .map(|worker| scope.spawn(move || worker.work(records(plan))))
            .collect();
        let joined = workers.into_iter().map(|worker| {
            worker.join().unwrap_or_else(|_| Err(std::io::Error::other("a thread of the generator panicked")))
        });
        joined.collect::<std::io::Result<Vec<_>>>()
    })?;
    let mut records = parts.pop().unwrap_or_default();
    for part in &parts {
        records.iter_mut().zip(part).for_each(|(mine, theirs)| mine.merge(theirs));
    }
    let (used, stages) = look(plan, target)?;
    Ok(Observed {
        records,
        used: used.zip(before.0).map(|(after, before)| after.since(&before)),
        stages: stages.zip(before.1).map(|(after, before)| after.since(&before)),
    })
}

/// An empty record for each phase.
fn records(plan: &Plan) -> Vec<Record> {
    let mut began = Duration::ZERO;
    let record = |phase: &Phase| {
        let slice = Duration::from_secs_f64(phase.seconds / SLICES).max(SHORTEST_SLICE);
        let record = Record::new(began, phase.seconds, slice, plan.objective);
        began += Duration::from_secs_f64(phase.seconds);
        record
    };
    plan.phases.iter().map(record).collect()
}

/// What the server has taken so far.
fn look(plan: &Plan, target: &Target) -> Result<(Option<Usage>, Option<Scrape>), LoadError> {
    let used = if plan.pids.is_empty() { None } else { Some(usage(&plan.pids)?) };
    let told = with_client(target, plan.patience, async |client| client.get("/metrics").await)?;
    let told = told.map_err(|error| target.fault(error))?;
    let scrape = (told.status == 200).then(|| Scrape::read(&String::from_utf8_lossy(&told.body)));
    Ok((used, scrape.filter(|scrape| !scrape.stages.is_empty())))
}

/// Posts the crowd's past as if it had just happened, so that its listeners are known.
///
/// # Errors
/// The server is not there, or takes no events.
pub fn recall(target: &Target, crowd: &Crowd, patience: Duration) -> Result<usize, LoadError> {
    let now = jiff::Timestamp::now().as_millisecond();
    let events: Vec<RawEvent> = crowd.history_until(now).map(|event| RawEvent::from(&event)).collect();
    let send = async |client: &Client| {
        for batch in events.chunks(BATCH) {
            let body = serde_json::json!({ "events": batch }).to_string();
            let Reply { status, body, .. } =
                client.post("/v1/events", body).await.map_err(|error| target.fault(error))?;
            if !(200..300).contains(&status) {
                let body: String = String::from_utf8_lossy(&body).chars().take(200).collect();
                return Err(target.fault(format!("POST /v1/events answered {status}: {body}")));
            }
        }
        Ok(events.len())
    };
    with_client(target, patience, send)?
}

fn with_client<T>(target: &Target, patience: Duration, work: impl AsyncFnOnce(&Client) -> T) -> std::io::Result<T> {
    let runtime: Runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let client = Client::new(target, 1, patience);
    Ok(LocalSet::new().block_on(&runtime, work(&client)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(phases: Vec<Phase>) -> Plan {
        Plan {
            phases,
            arrivals: Arrivals::Uniform,
            mix: MixPlan::default(),
            fields: Map::new(),
            seed: 1,
            threads: 2,
            connections: 8,
            patience: Duration::from_secs(1),
            objective: Duration::from_millis(200),
            pids: Vec::new(),
        }
    }

    #[test]
    fn slices_are_as_many_as_a_drawing_needs() {
        let phases = [1.0, 60.0, 1_800.0].map(|seconds| Phase { rate: 1.0, seconds });
        let records = records(&plan(phases.to_vec()));
        assert_eq!(records.iter().map(|record| record.slices.len()).collect::<Vec<_>>(), [4, 120, 120]);
    }

    #[test]
    fn a_plan_that_makes_no_sense_is_refused() {
        let bad = [Phase { rate: 0.0, seconds: 1.0 }, Phase { rate: 1.0, seconds: f64::NAN }];
        for phase in bad {
            assert!(plan(vec![phase]).check().unwrap_err().to_string().contains("requests/s for"));
        }
        assert!(Plan { threads: 0, ..plan(Vec::new()) }.check().is_err());
        assert!(Plan { connections: 1, ..plan(Vec::new()) }.check().unwrap_err().to_string().contains("1 connections"));
        assert!(plan(vec![Phase { rate: 1.0, seconds: 1.0 }]).check().is_ok());
    }
}
