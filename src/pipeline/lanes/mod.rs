//! Lanes: OS threads that each own a pipeline and run a request from context to list without another hop. Here requests are
//! let in or refused, and wait.

mod limit;
mod queue;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use limit::Limit;
pub use queue::Criticality;
use queue::Queue;

use super::{Deadline, Pipeline, Width};

/// Why work was not taken, or not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// More is in flight than can be answered in time, for this criticality; or it waited so long that it was given up.
    #[error("overloaded: try again in {retry_after_ms} ms")]
    Overloaded {
        /// When the queue should have drained.
        retry_after_ms: u64,
    },
    /// The lanes are shutting down.
    #[error("shutting down")]
    Closed,
    /// The work panicked: a bug, and the log has it.
    #[error("the work was lost to a panic")]
    Lost,
}

/// By when an answer must leave, and how much it matters that it comes.
#[derive(Debug, Clone)]
pub struct Terms {
    /// By when.
    pub deadline: Deadline,
    /// How much it matters.
    pub criticality: Criticality,
}

impl From<Deadline> for Terms {
    fn from(deadline: Deadline) -> Self {
        Self { deadline, criticality: Criticality::Default }
    }
}

/// What a job is called with.
enum Turn<'a> {
    /// It has come.
    Work(&'a mut Pipeline),
    /// It will not come.
    GivenUp(Refused),
}

struct Job {
    work: Box<dyn FnOnce(Turn<'_>) + Send>,
    permit: Permit,
}

struct State {
    queue: Queue<Job>,
    limit: Limit,
    closed: bool,
}

/// The queue and its figures, shared by lanes and callers.
struct Shared {
    state: Mutex<State>,
    ready: Condvar,
    lanes: usize,
    wait: Duration,
    // Copies of what `state` holds, and counts, for those who only look.
    in_flight: AtomicUsize,
    queued: AtomicUsize,
    busy: AtomicUsize,
    service_us: AtomicU64,
    limit: AtomicU64,
    given_up: AtomicU64,
    overloaded: AtomicUsize,
}

/// What lanes are doing, for metrics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LaneFigures {
    /// Lanes.
    pub lanes: usize,
    /// Jobs waiting.
    pub queued: usize,
    /// Lanes at work.
    pub busy: usize,
    /// Requests let in and not yet answered.
    pub in_flight: usize,
    /// How many may be.
    pub limit: f64,
    /// Requests that were let in and given up because they waited too long, since the start.
    pub given_up: u64,
    /// Whether the newest goes first.
    pub newest_first: bool,
}

/// A request that was let in. While it lives it counts as in flight.
pub struct Permit {
    shared: Arc<Shared>,
    terms: Terms,
    since: Instant,
}

impl Permit {
    /// The terms under which it was let in.
    pub fn terms(&self) -> &Terms {
        &self.terms
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A fixed set of lanes behind one bounded queue.
pub struct Lanes {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Lanes {
    /// Starts one thread a pipeline. `places` bounds the waiting jobs; `wait` is how long one may wait when all lanes are
    /// busy: the in-flight limit follows it.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(pipelines: Vec<Pipeline>, places: usize, wait: Duration) -> std::io::Result<Self> {
        let lanes = pipelines.len();
        let limit = Limit::new(lanes, places.max(1), wait);
        let shared = Arc::new(Shared {
            limit: AtomicU64::new(limit.now().to_bits()),
            state: Mutex::new(State { queue: Queue::new(wait * 2), limit, closed: false }),
            ready: Condvar::new(),
            lanes,
            wait,
            in_flight: AtomicUsize::new(0),
            queued: AtomicUsize::new(0),
            busy: AtomicUsize::new(0),
            service_us: AtomicU64::new(0),
            given_up: AtomicU64::new(0),
            overloaded: AtomicUsize::new(0),
        });
        let threads = pipelines
            .into_iter()
            .enumerate()
            .map(|(lane, pipeline)| {
                let shared = Arc::clone(&shared);
                std::thread::Builder::new().name(format!("lane-{lane}")).spawn(move || serve(pipeline, &shared))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { shared, threads })
    }

    /// What they are doing.
    pub fn figures(&self) -> LaneFigures {
        let shared = &*self.shared;
        LaneFigures {
            lanes: shared.lanes,
            queued: shared.queued.load(Ordering::Relaxed),
            busy: shared.busy.load(Ordering::Relaxed),
            in_flight: shared.in_flight.load(Ordering::Relaxed),
            limit: shared.limit(),
            given_up: shared.given_up.load(Ordering::Relaxed),
            newest_first: shared.overloaded.load(Ordering::Relaxed) != 0,
        }
    }

    /// How wide the funnel should be for a request that arrives now: it narrows as the wait comes near what a request may
    /// wait, or eats into what its deadline leaves, before anything is refused.
    pub fn width(&self, deadline: &Deadline) -> Width {
        let drain = self.shared.drain().as_secs_f64();
        let (waited, left) =
            (drain / self.shared.wait.as_secs_f64(), drain / deadline.remaining().as_secs_f64().max(1e-6));
        if waited < 0.5 && left < 0.125 {
            Width::Full
        } else if waited < 1.0 && left < 0.375 {
            Width::Half
        } else {
            Width::Quarter
        }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] when as many are in flight as its criticality allows, or the wait would take more than its
    /// deadline leaves.
    pub fn admit(&self, terms: Terms) -> Result<Permit, Refused> {
        let shared = &self.shared;
        let most = shared.limit() * terms.criticality.share();
        let admitted = shared.drain() <= terms.deadline.remaining()
            && shared
                .in_flight
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |now| ((now as f64) < most).then_some(now + 1))
                .is_ok();
        if !admitted {
            return Err(shared.refusal());
        }
        Ok(Permit { shared: Arc::clone(shared), terms, since: Instant::now() })
    }

    /// Runs `work` on a lane when its turn comes and waits for its result.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] when it waited too long under overload; [`Refused::Closed`] while shutting down;
    /// [`Refused::Lost`] if the work panicked. Work whose caller has gone away is not begun.
    pub async fn run<T: Send + 'static>(
        &self,
        permit: Permit,
        work: impl FnOnce(&mut Pipeline) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let work = Box::new(move |turn: Turn<'_>| {
            if !reply.is_closed() {
                // A caller that goes away now needs no answer.
                let _ = reply.send(match turn {
                    Turn::Work(pipeline) => Ok(work(pipeline)),
                    Turn::GivenUp(refused) => Err(refused),
                });
            }
        });
        self.shared.push(Job { work, permit })?;
        answer.await.map_err(|_| Refused::Lost)?
    }
}

impl Drop for Lanes {
    /// Lets the lanes finish what is queued and waits for them.
    fn drop(&mut self) {
        self.shared.state().closed = true;
        self.shared.ready.notify_all();
        for thread in self.threads.drain(..) {
            // A lane that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Nothing panics while it is held; were it so, the queue is still whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn limit(&self) -> f64 {
        f64::from_bits(self.limit.load(Ordering::Relaxed))
    }

    /// How long the queue takes to drain: its length x the smoothed time on a lane / lanes.
    fn drain(&self) -> Duration {
        let service = self.service_us.load(Ordering::Relaxed);
        Duration::from_micros(service * self.queued.load(Ordering::Relaxed) as u64 / self.lanes.max(1) as u64)
    }

    fn refusal(&self) -> Refused {
        Refused::Overloaded { retry_after_ms: (self.drain().as_millis() as u64).clamp(1, 10_000) }
    }

    /// Lets a job wait.
    fn push(&self, job: Job) -> Result<(), Refused> {
        let mut state = self.state();
        if state.closed {
            return Err(Refused::Closed);
        }
        let now = Instant::now();
        state.queue.push(now, job.permit.terms.criticality, job);
        self.looked(&mut state, now);
        drop(state);
        self.ready.notify_one();
        Ok(())
    }

    /// Tells the queue how long it stands, and the others how long it is.
    fn looked(&self, state: &mut State, now: Instant) {
        self.queued.store(state.queue.len(), Ordering::Relaxed);
        state.queue.stands(now, self.drain());
        self.overloaded.store(usize::from(state.queue.overloaded()), Ordering::Relaxed);
    }

    /// The next job, once there is one; nothing when the lanes are closed and all is done.
    fn next(&self) -> Option<Job> {
        let mut state = self.state();
        loop {
            let now = Instant::now();
            while let Some(late) = state.queue.give_up(now) {
                self.given_up.fetch_add(1, Ordering::Relaxed);
                (late.work)(Turn::GivenUp(self.refusal()));
            }
            let job = state.queue.take();
            self.looked(&mut state, now);
            if job.is_some() || state.closed {
                return job;
            }
            state = self.ready.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Takes note of a job that is done.
    fn finished(&self, permit: &Permit, service: Duration) {
        let took = service.as_micros() as u64;
        let mut state = self.state();
        let smoothed = self.service_us.load(Ordering::Relaxed);
        self.service_us.store(if smoothed == 0 { took } else { (smoothed * 7 + took) / 8 }, Ordering::Relaxed);
        state.limit.finished(permit.since.elapsed(), service, self.in_flight.load(Ordering::Relaxed));
        self.limit.store(state.limit.now().to_bits(), Ordering::Relaxed);
    }
}

fn serve(mut pipeline: Pipeline, shared: &Shared) {
    while let Some(Job { work, permit }) = shared.next() {
        shared.busy.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        // Stages contain their own panics; this keeps the lane alive if the glue around them breaks.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(Turn::Work(&mut pipeline)))).is_err() {
            tracing::error!("a lane's work panicked outside its stages: one request is lost");
        }
        shared.finished(&permit, start.elapsed());
        shared.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
