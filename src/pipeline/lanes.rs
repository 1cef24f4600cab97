//! Lanes: OS threads that each own a pipeline and run a request from context to list without another hop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};

use super::{Deadline, Pipeline, Width};

type Job = Box<dyn FnOnce(&mut Pipeline) + Send>;

/// Why work was not taken, or not finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The queue is full, or what stands in it would take longer than the deadline allows.
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

/// The queue's figures, shared with the lanes.
#[derive(Debug, Default)]
struct Load {
    queued: AtomicUsize,
    busy: AtomicUsize,
    service_us: AtomicU64,
}

/// A fixed set of lanes behind one bounded queue.
pub struct Lanes {
    jobs: Option<Sender<Job>>,
    threads: Vec<JoinHandle<()>>,
    load: Arc<Load>,
    capacity: usize,
}

impl Lanes {
    /// Starts one thread a pipeline. `queue_capacity` bounds the waiting jobs.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(pipelines: Vec<Pipeline>, queue_capacity: usize) -> std::io::Result<Self> {
        let (jobs, work) = bounded(queue_capacity.max(1));
        let load = Arc::new(Load::default());
        let threads = pipelines
            .into_iter()
            .enumerate()
            .map(|(lane, pipeline)| {
                let (work, load) = (work.clone(), Arc::clone(&load));
                std::thread::Builder::new().name(format!("lane-{lane}")).spawn(move || serve(pipeline, &work, &load))
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { jobs: Some(jobs), threads, load, capacity: queue_capacity.max(1) })
    }

    /// Number of lanes.
    pub fn count(&self) -> usize {
        self.threads.len()
    }

    /// Jobs waiting.
    pub fn queued(&self) -> usize {
        self.load.queued.load(Ordering::Relaxed)
    }

    /// Lanes at work.
    pub fn busy(&self) -> usize {
        self.load.busy.load(Ordering::Relaxed)
    }

    /// How wide the funnel should be for a request that arrives now: it narrows as the wait eats into what the deadline
    /// leaves, or the queue fills, before anything is refused.
    pub fn width(&self, deadline: &Deadline) -> Width {
        let waited = self.expected_wait().as_secs_f64() / deadline.remaining().as_secs_f64().max(1e-6);
        let filled = self.queued() as f64 / self.capacity as f64;
        match waited.max(filled) {
            load if load < 0.125 => Width::Full,
            load if load < 0.375 => Width::Half,
            _ => Width::Quarter,
        }
    }

    /// Expected wait of a job that arrives now: queue length x smoothed service time / lanes.
    pub fn expected_wait(&self) -> Duration {
        let service = self.load.service_us.load(Ordering::Relaxed);
        Duration::from_micros(service * self.queued() as u64 / self.count().max(1) as u64)
    }

    /// Runs `work` on the next free lane and waits for its result.
    ///
    /// # Errors
    /// [`Refused::Overloaded`] at once when the queue is full or the expected wait exceeds what the deadline leaves;
    /// [`Refused::Closed`] while shutting down; [`Refused::Lost`] if the work panicked. Work whose caller has gone away
    /// is not begun.
    pub async fn run<T: Send + 'static>(
        &self,
        deadline: &Deadline,
        work: impl FnOnce(&mut Pipeline) -> T + Send + 'static,
    ) -> Result<T, Refused> {
        let jobs = self.jobs.as_ref().ok_or(Refused::Closed)?;
        let wait = self.expected_wait();
        let overloaded = Refused::Overloaded { retry_after_ms: (wait.as_millis() as u64).clamp(1, 10_000) };
        if wait > deadline.remaining() {
            return Err(overloaded);
        }
        let (reply, answer) = tokio::sync::oneshot::channel();
        self.load.queued.fetch_add(1, Ordering::Relaxed);
        let job: Job = Box::new(move |pipeline| {
            if !reply.is_closed() {
                // A caller that goes away now needs no answer.
                let _ = reply.send(work(pipeline));
            }
        });
        jobs.try_send(job).map_err(|error| {
            self.load.queued.fetch_sub(1, Ordering::Relaxed);
            match error {
                TrySendError::Full(_) => overloaded,
                TrySendError::Disconnected(_) => Refused::Closed,
            }
        })?;
        answer.await.map_err(|_| Refused::Lost)
    }
}

impl Drop for Lanes {
    /// Lets the lanes finish what is queued and waits for them.
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            // A lane that panicked has nothing left to finish.
            let _ = thread.join();
        }
    }
}

fn serve(mut pipeline: Pipeline, work: &Receiver<Job>, load: &Load) {
    while let Ok(job) = work.recv() {
        load.queued.fetch_sub(1, Ordering::Relaxed);
        load.busy.fetch_add(1, Ordering::Relaxed);
        let start = Instant::now();
        // Stages contain their own panics; this keeps the lane alive if the glue around them breaks.
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| job(&mut pipeline))).is_err() {
            tracing::error!("a lane's work panicked outside its stages: one request is lost");
        }
        let took = start.elapsed().as_micros() as u64;
        let smoothed = load.service_us.load(Ordering::Relaxed);
        load.service_us.store(if smoothed == 0 { took } else { (smoothed * 7 + took) / 8 }, Ordering::Relaxed);
        load.busy.fetch_sub(1, Ordering::Relaxed);
    }
}
