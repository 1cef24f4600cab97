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

/// Work of several steps: shows the one at hand.
#[derive(Default)]
pub(super) struct Steps(Option<Progress>);

impl Steps {
    /// Sets how much of a step is done of how much; another step than before begins anew.
    pub(super) fn set(&mut self, step: &'static str, done: u64, total: u64) {
        if self.0.as_ref().is_none_or(|shown| shown.what != step) {
            self.0 = Some(Progress::new(step));
        }
        if let Some(shown) = &self.0 {
            shown.set(done, total);
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
