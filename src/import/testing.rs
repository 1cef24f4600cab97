//! Helpers of the importers' tests.

use std::path::{Path, PathBuf};

use super::inputs::expand;
use super::intake::Intake;
use super::play::RawPlay;
use super::store::known;
use super::{Format, ImportError, Phase, Plan, Report, lastfm, listenbrainz, run, spotify};

/// 2026-01-01T00:00:00Z.
pub(super) const NOW_MS: i64 = 1_767_225_600_000;

/// A plan with the command line's defaults.
pub(super) fn plan(format: Format, input: &Path, out: &Path) -> Plan {
    Plan {
        format,
        inputs: vec![input.to_owned()],
        mapping: None,
        out: out.to_owned(),
        user: None,
        session_gap_min: 30,
        max_bad_share: 0.5,
        now_ms: NOW_MS,
    }
}

/// Imports and hears no progress.
pub(super) fn import(plan: &Plan) -> Result<Report, ImportError> {
    run(plan, &|_: Phase, done, total| assert!(done <= total, "{done} of {total}"))
}

/// Writes a file of the test.
pub(super) fn file(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// What a reader makes of a file, in its order, checked and cleaned.
pub(super) fn plays(format: Format, name: &str, text: &str) -> (Vec<RawPlay>, Report) {
    let dir = tempfile::tempdir().unwrap();
    let inputs = expand(format, &[file(dir.path(), name, text)], None).unwrap();
    let report = Report { files: vec![name.into()], ..Report::default() };
    let mut intake = Intake::new(report, NOW_MS, &|_| {});
    match format {
        Format::LastFm => lastfm::read(&inputs[0], &mut intake).unwrap(),
        Format::Spotify => spotify::read(&inputs[0], &mut intake).unwrap(),
        Format::ListenBrainz => listenbrainz::read(&inputs[0], &mut intake).unwrap(),
        Format::ThirtyMusic | Format::Csv | Format::Parquet => panic!("has no reader of text without a mapping"),
    }
    let store = &intake.store;
    let plays = store.rows.iter().map(|row| RawPlay {
        user: store.users.all()[row.user as usize].to_string(),
        track: store.tracks.all()[row.track as usize].to_string(),
        start_ms: row.start_ms,
        session: store.sessions.all().get(row.session as usize).map(|name| name.to_string()),
        played_ms: known(row.played_ms).map(i64::from),
        hint: row.hint,
        reason_start: row.reason_start,
        liked: row.liked,
        market: store.markets.all().get(row.market as usize).map(|code| code.to_string()),
        device: row.device,
        local_hour: Some(row.local_hour).filter(|hour| *hour < 24),
        about: store.about[row.track as usize].clone(),
        notes: Vec::new(),
    });
    (plays.collect(), intake.report)
}

/// Why a file cannot be imported.
pub(super) fn fault(format: Format, name: &str, text: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let input = file(dir.path(), name, text);
    import(&plan(format, &input, &dir.path().join("out"))).unwrap_err().to_string()
}
