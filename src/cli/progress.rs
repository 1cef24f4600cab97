//! Progress of long work: a bar on a terminal, a log line every few seconds elsewhere.

use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

const LOG_EVERY: Duration = Duration::from_secs(5);

/// Shows how far one piece of work has come.
pub(super) struct Progress {
    what: &'static str,
    bar: ProgressBar,
    logged: Option<Mutex<Instant>>,
}

impl Progress {
    /// Starts showing.
    pub(super) fn new(what: &'static str) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{msg:16} {bar:32} {pos}/{len} {per_sec} eta {eta}") {
            bar.set_style(style);
        }
        bar.set_message(what);
        Self { what, bar, logged: (!terminal).then(|| Mutex::new(Instant::now())) }
    }

    /// Sets how much is done of how much.
    pub(super) fn set(&self, done: u64, total: u64) {
        self.bar.set_length(total);
        self.bar.set_position(done);
        let Some(logged) = &self.logged else { return };
        let Ok(mut last) = logged.lock() else { return };
        if last.elapsed() >= LOG_EVERY {
            *last = Instant::now();
            eprintln!("{}: {done} of {total}", self.what);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
