//! Listening histories: any bytes of any text format are imported or refused with a report, and two imports are alike.
#![no_main]

use libfuzzer_sys::fuzz_target;
use segue::import::{Format, Plan, run};

const FORMATS: [(Format, &str); 3] =
    [(Format::Spotify, "history.json"), (Format::ListenBrainz, "history.jsonl"), (Format::LastFm, "history.tsv")];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, bytes)) = bytes.split_first() else { return };
    let (format, name) = FORMATS[usize::from(*first) % FORMATS.len()];
    let dir = tempfile::tempdir().unwrap();
    let input = dir.path().join(name);
    std::fs::write(&input, bytes).unwrap();
    let plan = |out: &str| Plan {
        format,
        inputs: vec![input.clone()],
        mapping: None,
        out: dir.path().join(out),
        user: Some("u".into()),
        session_gap_min: 20,
        max_bad_share: 0.5,
        now_ms: 1_767_225_600_000,
    };
    if run(&plan("a"), &|_, _, _| {}).is_ok() {
        run(&plan("b"), &|_, _, _| {}).unwrap();
        let events = |out: &str| std::fs::read(dir.path().join(out).join("events.parquet")).unwrap();
        assert!(events("a") == events("b"));
    }
});
