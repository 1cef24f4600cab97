//! Another bundle in the place of the one that is served, while it is: loaded beside, tested, judged, warmed, put in place
//! by one pointer; the one before it is kept for a rollback (`docs/swap.md`).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::guardrail::{Verdict, judge};
use super::live_tracks::{Changes, LiveTracks};
use super::self_test::{Golden, SelfTest};
use super::serving::{Loaded, Serving};
use super::{AppError, Engine, Wiring, recovery};
use crate::bundle::{Bundle, Manifest};
use crate::events::{Beside, EventLogError};
use crate::features::StateStore;
use crate::stages::observe::TraceStore;

/// How long requests of the bundle before may take to end before it is given up as one to roll back to.
const LONGEST_REQUEST: Duration = Duration::from_secs(120);
/// How often it is asked whether they have.
const TICK: Duration = Duration::from_millis(2);

/// A bundle that is not served, whole in memory.
pub(super) struct Kept {
    directory: PathBuf,
    loaded: Loaded,
    /// Its state, where that is not the one that is served from.
    beside: Option<Arc<Beside>>,
}

/// Why another bundle is served, or not.
#[derive(Debug, thiserror::Error)]
pub enum SwapError {
    /// One swap at a time.
    #[error("another swap is running: try again when it is done")]
    Busy,
    /// There is no such bundle.
    #[error("there is no bundle {0:?} in bundles.dir")]
    Unknown(String),
    /// Not as things are; the text says why.
    #[error("{0}")]
    NotPossible(String),
    /// It does not load, or cannot take the changes of the catalogue; the text says why.
    #[error("the bundle cannot be served: {0}")]
    Damaged(AppError),
    /// It loads, and should not be served; the report says why.
    #[error("the bundle was refused: {}", .0.refusal())]
    Refused(Box<SwapReport>),
    /// The server's own disk or threads; all is as it was.
    #[error("nothing was swapped: {0}")]
    Failed(#[from] AppError),
}

impl From<EventLogError> for SwapError {
    fn from(error: EventLogError) -> Self {
        Self::Failed(error.into())
    }
}

/// A bundle by its directory's name and its version.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct BundleName {
    /// Name of its directory: what it is activated by.
    pub name: String,
    /// Its version: what answers name.
    pub version: String,
}

/// What a swap did, or would have done.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct SwapReport {
    /// The bundle that was served.
    pub from: BundleName,
    /// The bundle that is to be.
    pub to: BundleName,
    /// Whether it is served now.
    pub swapped: bool,
    /// Whether tracks and vectors are the same, so that the live state goes on; otherwise it was built from the event log.
    pub same_state: bool,
    /// Events that were read from the log for that.
    pub events: u64,
    /// What came of the self-test.
    pub self_test: SelfTest,
    /// What the guardrail says; absent for a rollback, and where the self-test failed.
    pub guardrail: Option<Verdict>,
    /// Why the guardrail was overridden.
    pub override_reason: Option<String>,
    /// How long all of it took, ms.
    pub took_ms: u64,
}

impl SwapReport {
    /// Why it was refused, in words.
    fn refusal(&self) -> String {
        let breaches = self.guardrail.iter().flat_map(|verdict| &verdict.breaches);
        let all: Vec<&str> = self.self_test.faults.iter().chain(breaches).map(String::as_str).collect();
        all.join("; ")
    }
}

/// Bundles that there are.
#[derive(Debug, Clone, PartialEq, serde::Serialize, utoipa::ToSchema)]
pub struct Bundles {
    /// The one that is served.
    pub serves: BundleName,
    /// Name of the one that a rollback goes back to.
    pub previous: Option<String>,
    /// Whether that is in memory, so that a rollback does not load it.
    pub previous_is_loaded: bool,
    /// Whether a swap is running.
    pub swapping: bool,
    /// Those of `bundles.dir`, by name.
    pub available: Vec<Available>,
}

/// A bundle of `bundles.dir`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, utoipa::ToSchema)]
pub struct Available {
    /// Name of its directory.
    pub name: String,
    /// Its version; absent where its manifest is not sound.
    pub version: Option<String>,
    /// What is wrong with its manifest.
    pub fault: Option<String>,
}

/// Why a swap is made.
#[derive(Clone, Copy)]
enum Cause<'a> {
    /// Somebody wants this bundle, if need be in spite of the guardrail, for a reason.
    Activate(Option<&'a str>),
    /// Somebody wants the one before.
    RollBack,
}

impl Engine {
    /// Serves a bundle of `bundles.dir` from the next request on, if it passes its self-test and the guardrail; `despite`: the
    /// reason why what the guardrail says does not count. Whatever goes wrong, all is as it was. Takes as long as the bundle
    /// takes to load, and where its tracks or vectors are others, as long as the event log takes to be read.
    ///
    /// # Errors
    /// [`SwapError`].
    pub fn activate(&self, name: &str, despite: Option<&str>) -> Result<SwapReport, SwapError> {
        let mut kept = self.begin()?;
        let directory = self.find(name)?;
        if directory == self.active().serves() {
            return Err(SwapError::NotPossible(format!("{name} is the bundle that is served")));
        }
        let done = self.swap(&mut kept, &directory, Cause::Activate(despite));
        self.take_note(done, "activated")
    }

    /// Serves the bundle again that was served before this one. It passes its self-test, but the guardrail has no say.
    ///
    /// # Errors
    /// [`SwapError`].
    pub fn roll_back(&self) -> Result<SwapReport, SwapError> {
        let mut kept = self.begin()?;
        let previous = self.active().previous().map(Path::to_owned);
        let none = || SwapError::NotPossible("no bundle was served before this one".into());
        let done = self.swap(&mut kept, &previous.ok_or_else(none)?, Cause::RollBack);
        self.take_note(done, "rolled_back")
    }

    /// The bundles that there are. Reads the manifests of `bundles.dir`.
    pub fn bundles(&self) -> Bundles {
        // Nothing is held while the disk is read: a swap must not wait for it.
        let (previous_is_loaded, swapping) = match self.kept.try_lock() {
            Ok(kept) => (kept.is_some(), false),
            Err(error) => (false, matches!(error, TryLockError::WouldBlock)),
        };
        let (name, previous) = {
            let active = self.active();
            (name_of(active.serves()), active.previous().map(name_of))
        };
        let version = self.current().bundle().version.to_string();
        let serves = BundleName { name, version };
        Bundles { serves, previous, previous_is_loaded, swapping, available: self.available() }
    }

    fn available(&self) -> Vec<Available> {
        let entries = self.config().bundles.dir.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten().flatten();
        let directories = entries.map(|entry| entry.path()).filter(|path| path.is_dir() && is_name(&name_of(path)));
        let mut all: Vec<_> = directories
            .map(|path| {
                let (name, manifest) = (name_of(&path), Manifest::read(&path));
                let fault = manifest.as_ref().err().map(ToString::to_string);
                Available { name, version: manifest.ok().map(|manifest| manifest.version), fault }
            })
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The directory of a name.
    fn find(&self, name: &str) -> Result<PathBuf, SwapError> {
        let no_dir = || SwapError::NotPossible("set bundles.dir to the directory that bundles lie in".into());
        let dir = self.config().bundles.dir.as_deref().ok_or_else(no_dir)?;
        let directory = std::path::absolute(dir.join(name)).map_err(AppError::Active)?;
        if is_name(name) && directory.is_dir() { Ok(directory) } else { Err(SwapError::Unknown(name.to_owned())) }
    }

    fn active(&self) -> MutexGuard<'_, super::active::Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(&self) -> Result<MutexGuard<'_, Option<Kept>>, SwapError> {
        match self.kept.try_lock() {
            Ok(kept) => Ok(kept),
            Err(TryLockError::Poisoned(poisoned)) => Ok(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => Err(SwapError::Busy),
        }
    }

    /// Counts and logs what became of a swap.
    fn take_note(&self, done: Result<SwapReport, SwapError>, well: &str) -> Result<SwapReport, SwapError> {
        let metrics = &self.metrics().bundles;
        let outcome = match &done {
            Ok(report) => {
                let SwapReport { from, to, same_state, took_ms, override_reason, .. } = report;
                tracing::info!(from = from.version, to = to.version, same_state, took_ms, "another bundle is served");
                if let Some(reason) = override_reason {
                    let breaches = report.refusal();
                    tracing::warn!(bundle = to.version, reason, breaches, "the guardrail was overridden");
                }
                let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                metrics.last_swap.set(now.as_secs_f64());
                metrics.fell_back.set(0);
                self.tell_bundle();
                if override_reason.is_some() { "overridden" } else { well }
            }
            Err(SwapError::Refused(report)) => {
                tracing::warn!(bundle = report.to.version, why = report.refusal(), "a bundle was refused");
                "refused"
            }
            Err(error) => {
                tracing::error!(%error, "no swap");
                if matches!(error, SwapError::Failed(_)) { "failed" } else { "refused" }
            }
        };
        metrics.swaps.with_label_values(&[outcome]).inc();
        done
    }

    /// The swap itself, in the order of its steps.
    fn swap(&self, kept: &mut Option<Kept>, to: &Path, cause: Cause<'_>) -> Result<SwapReport, SwapError> {
        let begun = Instant::now();
        let (served, from) = (self.current(), self.active().serves().to_owned());
        // Memory is for two bundles: what was kept goes before another one comes.
        let Kept { directory, loaded, beside } = match kept.take().filter(|kept| kept.is_wanted(to, cause)) {
            Some(kept) => kept,
            None => self.load(to, &served)?,
        };
        take_changes(&loaded, &self.changes(), &served)?;
        let golden = Golden::of(&loaded, self.config());
        let mut pipeline = loaded.wiring.rehearsing().map_err(SwapError::Damaged)?.build();
        let mut report = SwapReport {
            from: BundleName { name: name_of(&from), version: served.bundle().version.to_string() },
            to: BundleName { name: name_of(to), version: loaded.wiring.bundle().version.to_string() },
            swapped: false,
            same_state: beside.is_none(),
            events: 0,
            self_test: golden.test(&mut pipeline, &loaded, self.config()),
            guardrail: None,
            override_reason: None,
            took_ms: 0,
        };
        if !report.self_test.faults.is_empty() {
            return Err(SwapError::Refused(Box::new(report)));
        }
        drop(pipeline);
        if let Some(beside) = &beside {
            report.events = self.ingest.catch_up(beside)?.applied;
            beside.write()?;
        }
        if let Cause::Activate(despite) = cause {
            let verdict = judge(&self.config().guardrail, &served, &loaded)?;
            let is_breached = !verdict.breaches.is_empty();
            report.guardrail = Some(verdict);
            if is_breached && despite.is_none() {
                return Err(SwapError::Refused(Box::new(report)));
            }
            report.override_reason = despite.filter(|_| is_breached).map(str::to_owned);
        }
        let traces = if beside.is_some() { TraceStore::new(&self.config().trace) } else { served.traces().clone() };
        let changes = self.changes().id().to_owned();
        let serving = Serving::start(&self.common, loaded, traces, &changes, |pipeline| golden.warm(pipeline))?;
        let was = self.put_in_place(Arc::new(serving), beside.as_ref(), &directory, &served)?;
        report.swapped = true;
        // Its file goes with it, whatever becomes of it.
        was.iter().for_each(|was| was.live().state.stay(false));
        *kept = retire(served).and_then(|loaded| keep(from, loaded, was));
        report.took_ms = begun.elapsed().as_millis() as u64;
        Ok(report)
    }

    /// Loads a bundle beside the one that is served, with a state of its own where its tracks or vectors are others.
    fn load(&self, directory: &Path, served: &Serving) -> Result<Kept, SwapError> {
        let (config, runtime) = (self.config(), &self.common.runtime);
        let bundle = Bundle::load(directory, config, runtime).map_err(|error| SwapError::Damaged(error.into()))?;
        let ground = recovery::ground_id(&bundle, self.changes().id());
        let is_same = ground == served.loaded().ground;
        let state = if is_same { Arc::clone(served.state()) } else { self.new_state(&bundle, &ground, served)? };
        let wiring = Wiring::new(config, Arc::new(bundle), state);
        let live_tracks = LiveTracks::new(runtime.clone(), config.catalogue.max_added);
        let loaded = Loaded { wiring, live_tracks, ground };
        let beside = (!is_same).then(|| self.ingest.beside(loaded.live_state(), 0));
        Ok(Kept { directory: directory.to_owned(), loaded, beside })
    }

    fn new_state(&self, bundle: &Bundle, ground: &str, served: &Serving) -> Result<Arc<StateStore>, SwapError> {
        let state = StateStore::new(&self.config().state, &self.config().signals);
        state.completions().know(Arc::clone(&bundle.popularity));
        state.attach_beside(served.state(), ground).map_err(EventLogError::from)?;
        Ok(Arc::new(state))
    }

    /// The last steps, while no event and no change of the catalogue is on its way: what came since, the note for the next
    /// start, the pointer. Returns the state that was served from, where that is another one.
    fn put_in_place(
        &self,
        serving: Arc<Serving>,
        beside: Option<&Arc<Beside>>,
        directory: &Path,
        served: &Serving,
    ) -> Result<Option<Arc<Beside>>, SwapError> {
        if let Some(beside) = beside {
            // What is left for the moment in which events wait is what came since.
            self.ingest.catch_up(beside)?;
            beside.write()?;
        }
        let changes = self.changes();
        let loaded = serving.loaded();
        take_changes(loaded, &changes, served)?;
        let (state, popularity) = (Arc::clone(serving.state()), Arc::clone(&serving.bundle().popularity));
        self.ingest.switch(loaded.live_state(), beside.map(|beside| &**beside), || {
            // First what a start goes by: one that comes right after it finds this bundle, its state and all events.
            state.stay(true);
            self.active().set(directory).map_err(AppError::Active).inspect_err(|_| state.stay(beside.is_none()))?;
            state.completions().know_now(popularity);
            self.current.store(Arc::clone(&serving));
            Ok::<_, SwapError>(())
        })
    }
}

impl Kept {
    /// Whether it is what a directory holds. A rollback goes back to what was served, whatever became of its files.
    fn is_wanted(&self, directory: &Path, cause: Cause<'_>) -> bool {
        let is_as_loaded = || Manifest::read(directory).is_ok_and(|now| now == self.loaded.wiring.bundle().manifest);
        self.directory == directory && (matches!(cause, Cause::RollBack) || is_as_loaded())
    }
}

/// Brings a bundle up to the changes of the catalogue and of the business rules.
fn take_changes(loaded: &Loaded, changes: &Changes, served: &Serving) -> Result<(), SwapError> {
    loaded.wiring.rules().follow(served.wiring().rules());
    let done = loaded.live_tracks.catch_up(&loaded.wiring, changes, Some(served.wiring()));
    done.map_err(|error| SwapError::Damaged(AppError::Changes(error)))
}

/// Waits for the last request of a bundle, off the path of any, and ends its lanes.
fn retire(mut served: Arc<Serving>) -> Option<Loaded> {
    let begun = Instant::now();
    loop {
        match Arc::try_unwrap(served) {
            Ok(served) => return Some(served.retire()),
            Err(shared) => served = shared,
        }
        if begun.elapsed() > LONGEST_REQUEST {
            tracing::error!(bundle = %served.bundle().version, "a request holds it; a rollback will load it again");
            return None;
        }
        // Nothing comes: it is a pause.
        let _ = crossbeam_channel::after(TICK).recv();
    }
}

/// Keeps a bundle for a rollback: a node that can swap has memory for two. Its state, where another one is served from now,
/// is left to the disk and follows the log again when it is wanted.
fn keep(directory: PathBuf, loaded: Loaded, beside: Option<Arc<Beside>>) -> Option<Kept> {
    if let Some(beside) = &beside {
        if let Err(error) = beside.write() {
            tracing::error!(%error, "the state of the bundle before was not written: a rollback will build it again");
            return None;
        }
        loaded.wiring.state().rest();
    }
    Some(Kept { directory, loaded, beside })
}

/// Whether a name can be one of a bundle's directory: 1 to 64 of `A-Z a-z 0-9 . _ -`, not hidden.
fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    (1..=64).contains(&name.len()) && name.chars().all(legal) && !name.starts_with('.')
}

fn name_of(directory: &Path) -> String {
    directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_nowhere_else() {
        assert!(is_name("2026-11-20.3") && is_name("b") && is_name(&"x".repeat(64)));
        for wrong in ["", ".", "..", "../b", "a/b", "/etc", ".hidden", "a b", "a\\b", "ü", &"x".repeat(65)] {
            assert!(!is_name(wrong), "{wrong}");
        }
        assert_eq!((name_of(Path::new("/x/b.1")), name_of(Path::new("/"))), ("b.1".into(), String::new()));
    }
}
