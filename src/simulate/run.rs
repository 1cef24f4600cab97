//! One run: a crowd, a policy, day after day.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::day::{Day, Lists};
use crate::app::{AppError, Wiring};
use crate::bundle::Bundle;
use crate::config::{Config, TraceConfig};
use crate::domain::{Answer, IdError, Request, Rung, TrackIx};
use crate::features::{ApplyError, StateStore};
use crate::metrics::Metrics;
use crate::pipeline::{Deadline, Pipeline, Width};
use crate::stages::observe::TraceStore;
use crate::world::{Asking, Crowd, Heard, WorldConfig, WorldError};

/// Tracks of an answer, as clients ask for.
const LIMIT: usize = 20;
/// Skips in a row after which a client asks again instead of playing the rest of its list.
const IMPATIENT: u32 = 3;
/// The random stream of what is no listener's.
const STREAM: u64 = 9;

/// A way to serve.
pub struct Policy {
    /// Its name in the report.
    pub name: String,
    /// The configuration that serves.
    pub config: Config,
    /// The bundle, loaded under that configuration.
    pub bundle: Arc<Bundle>,
    /// `discovery` of its requests, 0..1.
    pub discovery: f32,
    /// `diversity` of its requests, 0..1.
    pub diversity: f32,
}

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Plan {
    /// The world that the bundle is of.
    pub world: WorldConfig,
    /// Listeners of each run.
    pub listeners: u32,
    /// Days before the policies begin, in which listeners choose for themselves, so that they are known.
    pub warm_days: u32,
    /// Days served.
    pub days: u32,
    /// Plays of an answer after which a client asks again, 1..=20.
    pub refresh: usize,
    /// Share of plays that listeners choose for themselves while they are served, 0..1.
    pub own_choice: f64,
    /// First seed; each of the following seeds is another crowd.
    pub seed: u32,
    /// Crowds.
    pub seeds: u32,
    /// Runs at a time.
    pub threads: usize,
}

/// What came of one run.
type Days = Result<Vec<Day>, SimulateError>;

/// Why nothing was simulated.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// The world's numbers.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The pipeline.
    #[error(transparent)]
    App(#[from] AppError),
    /// The bundle is of another world.
    #[error(
        "track {0} of the bundle is no such track of this world: give the numbers that the bundle's world was made with \
         (--tracks, --world-seed, --world-days, --end-day)"
    )]
    OtherWorld(String),
    /// An event that the state refused.
    #[error("an event was refused: {0}")]
    Event(#[from] ApplyError),
    /// An id of the world that is none.
    #[error(transparent)]
    Id(#[from] IdError),
    /// Memory for sessions and profiles ran out, so that listeners were forgotten.
    #[error("{0} sessions or profiles did not fit into memory: raise state.sessions_mib and state.profiles_mib")]
    Forgotten(u64),
}

/// Every policy with every crowd: for each policy, for each seed, the days. `progress(done, of)` counts simulated days.
///
/// Each run has one thread and a state of its own, so its figures depend on its seed and policy alone. Sessions of one day
/// run one after another in the order in which they begin.
///
/// # Errors
/// The first that any run meets.
pub fn run(
    plan: &Plan,
    policies: &[Policy],
    progress: &(dyn Fn(u64, u64) + Sync),
) -> Result<Vec<Vec<Vec<Day>>>, SimulateError> {
    let seeds = plan.seeds as usize;
    let jobs = policies.len() * seeds;
    let of = jobs as u64 * u64::from(plan.days);
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results: Mutex<Vec<Option<Days>>> = Mutex::new((0..jobs).map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..plan.threads.clamp(1, jobs.max(1)) {
            scope.spawn(|| {
                loop {
                    let job = next.fetch_add(1, Ordering::Relaxed);
                    if job >= jobs {
                        return;
                    }
                    let seed = plan.seed.wrapping_add((job % seeds) as u32);
                    let days = one(plan, &policies[job / seeds], seed, &|| {
                        progress(done.fetch_add(1, Ordering::Relaxed) as u64 + 1, of);
                    });
                    if days.is_err() {
                        next.store(jobs, Ordering::Relaxed);
                    }
                    results.lock().unwrap_or_else(PoisonError::into_inner)[job] = Some(days);
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    // Jobs that were not begun are those after an error, which ends the collection.
    let mut runs = results.into_iter().flatten().collect::<Result<Vec<_>, _>>()?.into_iter();
    Ok(policies.iter().map(|_| runs.by_ref().take(seeds).collect()).collect())
}

fn one(plan: &Plan, policy: &Policy, seed: u32, progress: &dyn Fn()) -> Days {
    let mut run = Run::new(plan, policy, seed)?;
    let first = plan.world.end_day;
    for day in 0..plan.warm_days as i32 {
        run.day(first + day, false)?;
    }
    let mut days = Vec::with_capacity(plan.days as usize);
    run.listeners = run.crowd.present() as u64;
    for day in 0..plan.days as i32 {
        days.push(run.day(first + plan.warm_days as i32 + day, true)?);
        progress();
    }
    match run.state.figures().lost {
        0 => Ok(days),
        lost => Err(SimulateError::Forgotten(lost)),
    }
}

struct Run<'a> {
    plan: &'a Plan,
    policy: &'a Policy,
    crowd: Crowd,
    state: Arc<StateStore>,
    pipeline: Pipeline,
    /// Numbers of the bundle's tracks in the world.
    numbers: Vec<u32>,
    served: Vec<bool>,
    distinct: u64,
    /// Who was there when the policy began.
    listeners: u64,
    rng: ChaCha8Rng,
}

impl<'a> Run<'a> {
    fn new(plan: &'a Plan, policy: &'a Policy, seed: u32) -> Result<Self, SimulateError> {
        let (bundle, config) = (&policy.bundle, &policy.config);
        let crowd = Crowd::new(&plan.world, plan.listeners, seed)?;
        if let Some(stranger) = crowd.stranger(&bundle.catalogue) {
            return Err(SimulateError::OtherWorld(stranger));
        }
        // Simulated listeners name no answers; all that they do is true.
        let mut signals = config.signals.clone();
        signals.feedback.secret_file = None;
        let state = Arc::new(StateStore::new(&config.state, &signals));
        let wiring = Wiring::new(config, Arc::clone(bundle), Arc::clone(&state));
        let metrics = Arc::new(Metrics::new().map_err(AppError::Metrics)?);
        let no_traces = TraceStore::new(&TraceConfig { recent_mib: 0, sampled_mib: 0, ..config.trace.clone() });
        let pipeline = wiring.serving(&metrics, &no_traces)?.build();
        let tracks = bundle.catalogue.len();
        let row = |at| bundle.catalogue.track(TrackIx(at)).track_id.as_str();
        let numbers = (0..tracks as u32).filter_map(|at| crowd.number_of(row(at))).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(u64::from(seed));
        rng.set_stream(STREAM);
        let (served, distinct, listeners) = (vec![false; tracks], 0, 0);
        Ok(Self { plan, policy, crowd, state, pipeline, numbers, served, distinct, listeners, rng })
    }

    /// Lets all sessions of a day happen; `serving`: with the pipeline, else with what listeners find themselves.
    fn day(&mut self, day: i32, serving: bool) -> Result<Day, SimulateError> {
        let mut counts = Day { days: 1, listeners: self.listeners, ..Day::default() };
        let mut lists = Lists::default();
        let mut active = std::collections::BTreeSet::new();
        for (start_ms, listener) in self.crowd.begin_day(day) {
            active.insert(listener);
            counts.sessions += 1;
            self.crowd.sit_down(listener, start_ms);
            if serving {
                self.served_session(listener, &mut lists, &mut counts)?;
            } else {
                self.own_session(listener, &mut counts)?;
            }
            self.crowd.stand_up(listener);
        }
        counts.active = active.len() as u64;
        counts.present = self.crowd.present() as u64;
        (counts.tracks, counts.distinct) = (self.served.len() as u64, self.distinct);
        Ok(counts)
    }

    fn own_session(&mut self, listener: u32, counts: &mut Day) -> Result<(), SimulateError> {
        while let Some(track) = self.crowd.own_choice(listener) {
            if self.hear(listener, track, None, counts)?.is_none_or(|heard| heard.leaves) {
                break;
            }
        }
        Ok(())
    }

    fn served_session(&mut self, listener: u32, lists: &mut Lists, counts: &mut Day) -> Result<(), SimulateError> {
        while let Some(asking) = self.crowd.asking(listener) {
            let answer = self.ask(asking, listener, lists, counts);
            if answer.tracks.is_empty() {
                return Ok(());
            }
            let mut skips = 0;
            for served in answer.tracks.iter().take(self.plan.refresh) {
                let own = match self.rng.random_bool(self.plan.own_choice) {
                    true => self.crowd.own_choice(listener),
                    false => None,
                };
                let Some(track) = own.or_else(|| self.numbers.get(served.track.at()).copied()) else { continue };
                let from = own.is_none().then_some(&answer);
                let Some(heard) = self.hear(listener, track, from, counts)? else { return Ok(()) };
                if heard.leaves {
                    return Ok(());
                }
                skips = if heard.skipped { skips + 1 } else { 0 };
                if skips >= IMPATIENT {
                    break;
                }
            }
        }
        Ok(())
    }

    /// What a client's request gives.
    fn ask(&mut self, asking: Asking, listener: u32, lists: &mut Lists, counts: &mut Day) -> Answer {
        let bundle = &self.policy.bundle;
        let request = Request {
            session_id: Some(asking.session_id),
            limit: LIMIT,
            market: Some(asking.market.into()),
            market_ix: bundle.catalogue.find_market(asking.market),
            discovery: self.policy.discovery,
            diversity: self.policy.diversity,
            device: asking.device,
            local_hour: Some(asking.local_hour),
            seed: self.rng.random(),
            ..Request::new(asking.user_id, asking.now_ms)
        };
        let knobs = self.policy.config.knobs;
        let answer = self.pipeline.execute(Arc::new(request), knobs, &Deadline::never(), Width::Full);
        counts.answers += 1;
        counts.below_full += u64::from(answer.rung != Rung::Full);
        lists.note(listener, &answer, &bundle.vectors, counts);
        for served in &answer.tracks {
            let known = self.served.get_mut(served.track.at());
            self.distinct += u64::from(known.is_some_and(|known| !std::mem::replace(known, true)));
        }
        answer
    }

    /// A play, and what the state learns of it.
    fn hear(
        &mut self,
        listener: u32,
        track: u32,
        from: Option<&Answer>,
        counts: &mut Day,
    ) -> Result<Option<Heard>, SimulateError> {
        let Some(mut heard) = self.crowd.hear(listener, track)? else { return Ok(None) };
        let bundle = &self.policy.bundle;
        for event in &mut heard.events {
            event.recommendation_id = from.map(|answer| answer.recommendation_id.clone());
            self.state.apply(event, &bundle.catalogue, &bundle.vectors)?;
        }
        counts.plays += 1;
        counts.played_ms += u64::from(heard.played_ms);
        if from.is_some() {
            counts.served_plays += 1;
            counts.early_skips += u64::from(heard.early_skip);
            counts.completed += u64::from(!heard.skipped);
        }
        Ok(Some(heard))
    }
}
