//! The thread that writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, at, bounded, never, select};

use super::part::Part;
use super::publisher::{Publisher, shed};
use crate::config::FeatureLogConfig;
use crate::domain::Catalogue;
use crate::features::LoggedAnswer;
use crate::metrics::FeatureLogMetrics;
use crate::store::{self, Store};
use crate::tables::{Hour, TableError};

/// Hours that are written at once; answers of others push the oldest out. More than two are only open in a replay.
const OPEN_HOURS: usize = 4;
/// After a failure nothing is tried for as long.
const PAUSE: Duration = Duration::from_secs(1);

/// What the logged rows were computed from.
#[derive(Debug, Clone)]
pub struct Served {
    /// The bundle's version.
    pub bundle: String,
    /// The id of the file of changes to its catalogue; empty without one.
    pub changes: String,
    /// Names the tracks.
    pub catalogue: Arc<Catalogue>,
}

/// Writes answers until it is dropped, which takes what was sent until then and completes what is open.
pub struct FeatureLog {
    to: Sender<LoggedAnswer>,
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl FeatureLog {
    /// Begins; `None` where no store is configured. Nothing is asked of it before there is something to write, so that a
    /// store that is away costs rows and no start.
    ///
    /// # Errors
    /// A bucket that is misnamed or that this build cannot reach ([`store::open`]), or no thread to be had.
    pub fn start(
        config: &FeatureLogConfig,
        served: Served,
        metrics: &FeatureLogMetrics,
    ) -> std::io::Result<Option<Self>> {
        let Some(dir) = &config.dir else { return Ok(None) };
        let store = store::open(dir).map_err(std::io::Error::other)?;
        let (to, from) = bounded(config.queue);
        let open = Duration::from_secs(config.part_s);
        let mut writer = Writer {
            store,
            served,
            open,
            part_rows: config.part_rows,
            metrics: metrics.clone(),
            parts: BTreeMap::new(),
            publisher: Publisher::start(metrics.clone())?,
            paused: None,
        };
        let (stop, stopped) = bounded(0);
        let run = move || writer.run(&from, &stopped);
        let thread = std::thread::Builder::new().name("feature-log".into()).spawn(run)?;
        Ok(Some(Self { to, stop: Some(stop), thread: Some(thread) }))
    }

    /// Where answers go in. Bounded: a sender must not wait.
    pub fn sender(&self) -> Sender<LoggedAnswer> {
        self.to.clone()
    }
}

impl Drop for FeatureLog {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

/// A part and when it is to be completed.
struct Open {
    part: Part,
    due: Instant,
}

struct Writer {
    store: Arc<dyn Store>,
    served: Served,
    open: Duration,
    part_rows: u64,
    metrics: FeatureLogMetrics,
    parts: BTreeMap<Hour, Open>,
    publisher: Publisher,
    paused: Option<Instant>,
}

impl Writer {
    fn run(&mut self, from: &Receiver<LoggedAnswer>, stopped: &Receiver<()>) {
        loop {
            let due = self.parts.values().map(|open| open.due).min();
            let wake = due.map_or_else(never, at);
            select! {
                recv(from) -> answer => answer.into_iter().for_each(|answer| self.take(answer)),
                recv(wake) -> _ => {}
                recv(stopped) -> _ => break,
            }
            let now = Instant::now();
            if due.is_some_and(|due| due <= now) {
                self.close(|open| open.due <= now);
            }
        }
        from.try_iter().for_each(|answer| self.take(answer));
        self.close(|_| true);
    }

    /// Logs one answer, or sheds it.
    fn take(&mut self, answer: LoggedAnswer) {
        if self.paused.is_some_and(|since| since.elapsed() < PAUSE) {
            self.metrics.shed_store.inc();
            return;
        }
        let hour = Hour::of(answer.ts_ms);
        if !self.parts.contains_key(&hour) && self.parts.len() >= OPEN_HOURS {
            let oldest = self.parts.keys().next().copied();
            self.close_hour(oldest);
        }
        let before = self.parts.get(&hour).map_or(0, |open| open.part.answers());
        if let Err(error) = self.write(hour, &answer) {
            // What a part holds that cannot be completed is gone with it.
            self.parts.remove(&hour);
            self.lose(before + 1, &error);
        } else if self.parts.get(&hour).is_some_and(|open| open.part.candidates() >= self.part_rows) {
            self.close_hour(Some(hour));
        }
    }

    fn write(&mut self, hour: Hour, answer: &LoggedAnswer) -> Result<(), TableError> {
        let open = match self.parts.entry(hour) {
            std::collections::btree_map::Entry::Occupied(open) => open.into_mut(),
            std::collections::btree_map::Entry::Vacant(place) => {
                let part = Part::create(&self.store, hour, &ulid::Ulid::generate().to_string())?;
                place.insert(Open { part, due: Instant::now() + self.open })
            }
        };
        open.part.log(answer, &self.served)
    }

    fn close(&mut self, which: impl Fn(&Open) -> bool) {
        let hours: Vec<Hour> = self.parts.iter().filter(|(_, open)| which(open)).map(|(hour, _)| *hour).collect();
        hours.into_iter().for_each(|hour| self.close_hour(Some(hour)));
    }

    fn close_hour(&mut self, hour: Option<Hour>) {
        let Some(open) = hour.and_then(|hour| self.parts.remove(&hour)) else { return };
        let answers = open.part.answers();
        match open.part.close() {
            Ok(part) => {
                self.paused = None;
                self.publisher.give(part);
            }
            Err(error) => self.lose(answers, &error),
        }
    }

    /// Counts answers that could not be written, and tries nothing for a moment.
    fn lose(&mut self, answers: u64, error: &TableError) {
        self.paused = Some(Instant::now());
        shed(&self.metrics, answers, error);
    }
}
