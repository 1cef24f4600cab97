//! The import as a whole.

use std::path::{Path, PathBuf};

use super::emit;
use super::inputs::{Input, expand};
use super::intake::Intake;
use super::mapping::Mapping;
use super::report::{Reason, Report};
use super::settle::{Rules, settle};
use super::store::Store;
use super::{Format, ImportError, REPORT_FILE, fields, lastfm, listenbrainz, spotify, thirty_music};
use crate::tables::{EventWriter, write_tracks};

const MINUTE_MS: i64 = 60_000;

/// What to import, and how.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Format of the inputs.
    pub format: Format,
    /// Files, or directories of files.
    pub inputs: Vec<PathBuf>,
    /// Mapping for [`Format::Csv`] and [`Format::Parquet`].
    pub mapping: Option<PathBuf>,
    /// Directory for the tables and the report.
    pub out: PathBuf,
    /// The listener of rows that name none.
    pub user: Option<String>,
    /// Silence that ends a session where the source has none, minutes.
    pub session_gap_min: u32,
    /// Share of bad rows from which on the import fails, 0..1.
    pub max_bad_share: f64,
    /// Now, Unix ms: later plays are refused.
    pub now_ms: i64,
}

/// What an import is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Reading; counted in bytes.
    Read,
    /// Writing; counted in events.
    Write,
}

/// Imports into `plan.out`: `tracks.parquet`, `events.parquet` and the report. Memory: about 100 bytes a play, 80 a
/// session and what is known of each track. `progress(phase, done, total)` is called now and then.
///
/// # Errors
/// An input, mapping or table that cannot be used, too many bad rows, or no play at all; of the last two the report is
/// written and tells more.
pub fn run(plan: &Plan, progress: &dyn Fn(Phase, u64, u64)) -> Result<Report, ImportError> {
    refuse_to_overwrite(&plan.out)?;
    let mapping = mapping(plan)?;
    let inputs = expand(plan.format, &plan.inputs, plan.user.as_deref())?;
    std::fs::create_dir_all(&plan.out).map_err(|e| ImportError::file(&plan.out, e))?;
    let (mut store, mut report) = read(plan, mapping.as_ref(), &inputs, progress)?;
    let rules = rules(plan, mapping.as_ref());
    let sessions = settle(&mut store, &mut report, rules)?;
    report.plays = store.rows.len() as u64;
    report.sessions = sessions.len() as u64;
    report.users = store.users.all().len() as u64;
    report.first_ms = store.rows.iter().map(|row| row.start_ms).min().unwrap_or(0);
    report.last_ms = store.rows.iter().map(|row| row.start_ms).max().unwrap_or(0);
    accept(plan, &report)?;
    report.tracks = write_catalogue(&mut store, &plan.out.join("tracks.parquet"))?;
    let mut writer = EventWriter::create(&plan.out.join("events.parquet"))?;
    let told = |done, total| progress(Phase::Write, done, total);
    emit::events(&store, &sessions, &told, &mut |event| Ok(writer.write(event)?))?;
    report.events = writer.finish()?;
    report.write(&plan.out.join(REPORT_FILE))?;
    Ok(report)
}

fn refuse_to_overwrite(out: &Path) -> Result<(), ImportError> {
    match ["tracks.parquet", "events.parquet"].iter().map(|name| out.join(name)).find(|path| path.exists()) {
        Some(path) => Err(ImportError::Exists(path.display().to_string())),
        None => Ok(()),
    }
}

fn mapping(plan: &Plan) -> Result<Option<Mapping>, ImportError> {
    match (&plan.mapping, plan.format.is_mapped()) {
        (Some(path), true) => Mapping::load(path).map(Some),
        (None, true) => Err(ImportError::Mapping(format!(
            "--format {} needs --mapping FILE, which says what its columns hold; docs/import.md has an example",
            plan.format.as_str()
        ))),
        (Some(_), false) => {
            Err(ImportError::Mapping(format!("--format {} has its own; leave --mapping out", plan.format.as_str())))
        }
        (None, false) => Ok(None),
    }
}

fn rules(plan: &Plan, mapping: Option<&Mapping>) -> Rules {
    let of_format = match plan.format {
        Format::ThirtyMusic => thirty_music::rules(),
        Format::Spotify => spotify::rules(),
        Format::ListenBrainz | Format::LastFm => Rules { scrobbles: true, ..Rules::default() },
        Format::Csv | Format::Parquet => mapping.map(Mapping::rules).unwrap_or_default(),
    };
    Rules { session_gap_ms: i64::from(plan.session_gap_min) * MINUTE_MS, ..of_format }
}

fn read(
    plan: &Plan,
    mapping: Option<&Mapping>,
    inputs: &[Input],
    progress: &dyn Fn(Phase, u64, u64),
) -> Result<(Store, Report), ImportError> {
    let total: u64 = inputs.iter().map(|input| input.bytes).sum();
    let before = std::cell::Cell::new(0u64);
    let told = |bytes: u64| progress(Phase::Read, before.get() + bytes, total);
    let files = inputs.iter().map(|input| input.path.display().to_string()).collect();
    let report = Report { format: plan.format.as_str().into(), files, ..Report::default() };
    let mut intake = Intake::new(report, plan.now_ms, &told);
    for (number, input) in inputs.iter().enumerate() {
        intake.begin(number as u32);
        match (plan.format, mapping) {
            (Format::ThirtyMusic, _) => thirty_music::read(input, &mut intake)?,
            (Format::Spotify, _) => spotify::read(input, &mut intake)?,
            (Format::ListenBrainz, _) => listenbrainz::read(input, &mut intake)?,
            (Format::LastFm, _) => lastfm::read(input, &mut intake)?,
            (Format::Csv | Format::Parquet, Some(mapping)) => {
                fields::read_plays(input, plan.format, mapping, &mut intake)?
            }
            (Format::Csv | Format::Parquet, None) => {}
        }
        before.set(before.get() + input.bytes);
        intake.at_byte(0);
    }
    if let Some(tracks) = mapping.and_then(|mapping| mapping.tracks.as_ref()) {
        intake.report.files.push(tracks.file.display().to_string());
        intake.begin(inputs.len() as u32);
        fields::read_catalogue(tracks, &mut intake)?;
    }
    Ok((intake.store, intake.report))
}

/// Refuses what is too bad to build on; the report is written then.
fn accept(plan: &Plan, report: &Report) -> Result<(), ImportError> {
    let path = plan.out.join(REPORT_FILE);
    let bad = report.bad_rows();
    let bad_catalogue = report.count(Reason::BadCatalogueRow);
    let over = |bad: u64, rows: u64| bad as f64 > plan.max_bad_share * rows as f64;
    let fail = |bad, rows, kind: fn(Reason) -> bool| {
        let (reason, example) =
            report.foremost(kind).map_or(("", String::new()), |(reason, left)| (reason, left.example()));
        ImportError::TooManyBad { bad, rows, reason, example, report: path.display().to_string() }
    };
    let fault = if over(bad, report.rows) {
        fail(bad, report.rows, Reason::is_bad)
    } else if over(bad_catalogue, report.catalogue_rows) {
        fail(bad_catalogue, report.catalogue_rows, |reason| reason == Reason::BadCatalogueRow)
    } else if report.plays == 0 {
        let why = report.foremost(|_| true);
        ImportError::NoPlays {
            rows: report.rows,
            files: report.files.len(),
            why: why.map_or_else(|| "the files are empty".into(), |(reason, left)| format!("{}: {reason}", left.count)),
            report: path.display().to_string(),
        }
    } else {
        return Ok(());
    };
    report.write(&path)?;
    Err(fault)
}

fn write_catalogue(store: &mut Store, path: &Path) -> Result<u64, ImportError> {
    let mut fault = None;
    let about = std::mem::take(&mut store.about);
    let rows = store.tracks.all().iter().cloned().zip(about);
    let tracks = rows.map_while(|(id, about)| about.into_track(id).map_err(|e| fault = Some(e)).ok());
    let written = write_tracks(path, tracks)?;
    match fault {
        Some(fault) => Err(fault.into()),
        None => Ok(written),
    }
}
