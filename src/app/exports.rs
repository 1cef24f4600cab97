//! The thread that exports events to an archive: when it starts, every so often, and when it stops.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};

use super::AppError;
use crate::archive::{Exported, export};
use crate::config::ExportConfig;
use crate::events::{EmbeddedLog, EventLogError};
use crate::metrics::ArchiveMetrics;
use crate::store::{self, Store};

/// Entries of one step: some tens of ms in which the log cannot be closed over, some MB of memory.
const STEP: usize = 20_000;
/// How often the figure of what is not exported is brought up to date.
const TICK: Duration = Duration::from_secs(1);
/// What the last export may take beside the step that it is at.
const LAST: Duration = Duration::from_secs(5);

/// Exports until it is dropped, and then once more.
pub(super) struct Exports {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Exports {
    /// Begins where an archive is configured. One that is away costs no start.
    ///
    /// # Errors
    /// A log that is not on disk, a bucket that is misnamed or that this build cannot reach, or no thread to be had.
    pub(super) fn start(
        config: &ExportConfig,
        log: Option<Arc<EmbeddedLog>>,
        metrics: ArchiveMetrics,
    ) -> Result<Option<Self>, AppError> {
        let Some(dir) = &config.dir else { return Ok(None) };
        let log = log.ok_or_else(|| EventLogError("events.export.dir needs events.store = \"disk\"".into()))?;
        let mut exporter = Exporter { archive: store::open(dir)?, log, metrics, next: 0 };
        exporter.tell();
        let every = Duration::from_secs(config.every_s);
        let (stop, stopped) = bounded::<()>(0);
        let run = move || {
            let is_stopped = || stopped.try_recv() != Err(crossbeam_channel::TryRecvError::Empty);
            exporter.export(&|| !is_stopped());
            let mut last = Instant::now();
            while stopped.recv_timeout(TICK.min(every)) == Err(RecvTimeoutError::Timeout) {
                if last.elapsed() >= every {
                    exporter.export(&|| !is_stopped());
                    last = Instant::now();
                }
                exporter.tell();
            }
            let begun = Instant::now();
            exporter.export(&|| begun.elapsed() < LAST);
        };
        let thread = std::thread::Builder::new().name("export".into()).spawn(run).map_err(AppError::Exports)?;
        Ok(Some(Self { stop: Some(stop), thread: Some(thread) }))
    }
}

impl Drop for Exports {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // A panic of that thread was reported when it happened.
            let _ = thread.join();
        }
    }
}

struct Exporter {
    archive: Arc<dyn Store>,
    log: Arc<EmbeddedLog>,
    metrics: ArchiveMetrics,
    /// Everything below it is exported.
    next: u64,
}

impl Exporter {
    /// Exports what is new, step by step as long as `go_on` says so.
    fn export(&mut self, go_on: &dyn Fn() -> bool) {
        let now_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        let (log, archive) = (Arc::clone(&self.log), Arc::clone(&self.archive));
        let mut before = Exported::default();
        let done = export(log.dir(), &archive, STEP, now_ms, &mut |done| {
            self.count(&before, done);
            before = done.clone();
            go_on()
        });
        match done {
            Ok(done) => {
                self.count(&before, &done);
                for damage in done.damage {
                    tracing::error!(damage, "what lies behind was not exported");
                }
            }
            Err(error) => {
                self.metrics.failures.inc();
                tracing::error!(%error, unexported = log.end().saturating_sub(self.next), "events were not exported");
            }
        }
        self.tell();
    }

    /// Notes how far an export is now, and what it did since it was at `before`.
    fn count(&mut self, before: &Exported, now: &Exported) {
        self.metrics.events.inc_by(now.events - before.events);
        self.metrics.files.inc_by(now.files - before.files);
        self.metrics.missing.inc_by(now.missing - before.missing);
        self.next = now.next;
        self.log.exported(now.next);
    }

    fn tell(&self) {
        let unexported = self.log.end().saturating_sub(self.next);
        self.metrics.unexported.set(i64::try_from(unexported).unwrap_or(i64::MAX));
    }
}
