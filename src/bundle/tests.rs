//! A bundle is taken whole or refused with the file that is wrong.

use std::path::Path;

use proptest::prelude::*;

use super::{
    AsOf, Bundle, BundleError, Change, ChangeLog, Manifest, build, embed_new, fixture, model_card, parts, verify,
};
use crate::config::{Config, Engine};
use crate::domain::{Track, TrackId, TrackIx, UnitVector};
use crate::inference::{ModelKind, OrtRanker, OrtUserTower, RankerModel, UserTower, parity, test_runtime};
use crate::pipeline::Deadline;

fn load(directory: &Path) -> Result<Bundle, BundleError> {
    Bundle::load(directory, &Config::default(), &test_runtime())
}

fn refusal(directory: &Path) -> String {
    load(directory).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn what_is_built_loads_and_serves() {
    let root = tempfile::tempdir().unwrap();
    let (directory, manifest) = fixture::bundle(root.path());
    let bundle = load(&directory).unwrap();
    assert_eq!(bundle.manifest, manifest);
    assert_eq!((bundle.catalogue.len(), bundle.vectors.len(), bundle.vectors.dim()), (40, 40, 8));
    assert_eq!(bundle.popularity.global_top.len(), 40);
    assert!(bundle.popularity.market("SE").is_some());
    assert!(bundle.prototypes.is_none() && !bundle.intents.is_empty(), "28 sessions are too few for two");
    assert_eq!(manifest.plays, 14 * 24 * 3 / 4);
    assert!(manifest.version.starts_with("2026-01-14."), "{}", manifest.version);

    let (mut vector, mut scores, mut hits) = (Vec::new(), Vec::new(), Vec::new());
    let mut tower = OrtUserTower::new(&bundle.user_tower).unwrap();
    tower.embed(&[0.1; 50 * 8], &[0.1; 50 * 6], &[0.1; 26], &mut vector).unwrap();
    let query = UnitVector::new(vector, 8).unwrap();
    bundle.index.searcher().search(&query, 5, &Deadline::never(), &mut hits).unwrap();
    assert_eq!(hits.len(), 5);
    let mut ranker = OrtRanker::new(bundle.ranker.as_ref().unwrap()).unwrap();
    ranker.score(&[0.1; 34], &[0.1; 5 * 21], &[0.1; 5 * 24], 5, &mut scores).unwrap();
    assert_eq!(scores.len(), 15);
}

#[test]
fn a_model_that_is_exchanged_after_the_check_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (directory, manifest) = fixture::bundle(root.path());
    let model = || parts::model(&directory, &manifest, &test_runtime(), ModelKind::Ranker);
    assert!(model().unwrap().is_some());
    // A sound model of its kind, but for its name.
    let path = directory.join(ModelKind::Ranker.file());
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.iter_mut().rfind(|byte| byte.is_ascii_alphabetic()).unwrap() ^= 0x20;
    std::fs::write(&path, bytes).unwrap();
    assert!(model().unwrap_err().to_string().contains("its digest is not that of the manifest"));
}

#[test]
fn the_model_card_goes_along_and_is_shown_unless_altered() {
    let root = tempfile::tempdir().unwrap();
    let (directory, manifest) = fixture::bundle(root.path());
    assert_eq!(model_card(&directory, &manifest).unwrap(), None);
    assert_eq!(manifest.models["ranker"].opset, Some(17));

    let mut config = fixture::config(root.path());
    let models = root.path().join("models");
    std::fs::create_dir(&models).unwrap();
    for kind in [ModelKind::UserTower, ModelKind::ItemTower, ModelKind::Ranker] {
        std::fs::copy(config.models.join(kind.file()), models.join(kind.file())).unwrap();
    }
    // Has the tensors of one.
    std::fs::copy(models.join("ranker.onnx"), models.join("first_phase.onnx")).unwrap();
    std::fs::write(models.join("model_card.md"), "# Model card\n").unwrap();
    (config.models, config.out) = (models, root.path().join("carded"));
    let manifest = build(&config, &test_runtime(), &mut |_| {}).unwrap().0;
    let loaded = load(&config.out).unwrap();
    assert_eq!((&loaded.manifest, loaded.first_phase.is_some()), (&manifest, true));
    assert_eq!(manifest.models["first_phase"].opset, Some(17));
    assert_eq!(model_card(&config.out, &manifest).unwrap().as_deref(), Some("# Model card\n"));
    std::fs::write(config.out.join("model_card.md"), "# Model cart\n").unwrap();
    assert!(model_card(&config.out, &manifest).unwrap_err().to_string().starts_with("model_card.md: altered"));
}

#[test]
fn a_bundle_without_rules_has_none() {
    let root = tempfile::tempdir().unwrap();
    let (directory, mut manifest) = fixture::bundle(root.path());
    assert!(!load(&directory).unwrap().rules.rules().is_empty());
    manifest.files.retain(|file| file.name != "sequential_rules.bin");
    std::fs::remove_file(directory.join("sequential_rules.bin")).unwrap();
    std::fs::write(directory.join("manifest.toml"), manifest.to_text().unwrap()).unwrap();
    assert_eq!(load(&directory).unwrap().rules.tracks(), 0);
}

#[test]
fn the_same_inputs_give_the_same_bytes() {
    let root = tempfile::tempdir().unwrap();
    let (first, manifest) = fixture::bundle(root.path());
    let mut config = fixture::config(root.path());
    assert!(build(&config, &test_runtime(), &mut |_| {}).unwrap_err().to_string().contains("never overwritten"));
    config.out = root.path().join("again");
    assert_eq!(build(&config, &test_runtime(), &mut |_| {}).unwrap().0, manifest);
    let read = |directory: &Path| std::fs::read(directory.join("manifest.toml")).unwrap();
    assert_eq!(read(&first), read(&config.out));
}

#[test]
fn nothing_after_the_moment_goes_in() {
    let root = tempfile::tempdir().unwrap();
    fixture::write_sources(root.path());
    let mut config = fixture::config(root.path());
    config.as_of = AsOf::RankFrom;
    let manifest = build(&config, &test_runtime(), &mut |_| {}).unwrap().0;
    assert_eq!(manifest.plays, 8 * 24 * 3 / 4);
    assert_eq!(manifest.as_of_ms, fixture::START_MS + 8 * 24 * 3_600_000);
}

#[test]
fn an_index_is_built_in_and_read_back() {
    for (engine, file) in [(Engine::Hnsw, "index.hnsw.graph"), (Engine::Lists, "index.flat")] {
        let root = tempfile::tempdir().unwrap();
        fixture::write_sources(root.path());
        let mut config = fixture::config(root.path());
        config.index.engine = engine;
        build(&config, &test_runtime(), &mut |_| {}).unwrap();
        let bundle = load(&config.out).unwrap();
        assert_eq!(bundle.index.engine(), engine);
        assert!(verify(&config.out, &Config::default(), &test_runtime()).is_sound());
        std::fs::remove_file(config.out.join(file)).unwrap();
        assert!(refusal(&config.out).starts_with(&format!("{file}: missing")));
    }
}

#[test]
fn a_bundle_without_a_ranker_is_a_bundle() {
    let root = tempfile::tempdir().unwrap();
    fixture::write_sources(root.path());
    let mut config = fixture::config(root.path());
    let models = root.path().join("models");
    std::fs::create_dir(&models).unwrap();
    for kind in [ModelKind::UserTower, ModelKind::ItemTower] {
        std::fs::copy(config.models.join(kind.file()), models.join(kind.file())).unwrap();
    }
    config.models = models;
    build(&config, &test_runtime(), &mut |_| {}).unwrap();
    assert!(load(&config.out).unwrap().ranker.is_none());
}

#[test]
fn verify_lists_every_fault() {
    let root = tempfile::tempdir().unwrap();
    let (directory, _) = fixture::bundle(root.path());
    let sound = verify(&directory, &Config::default(), &test_runtime());
    assert!(sound.is_sound(), "{:?}", sound.faults);
    assert_eq!(sound.parity.len(), 3);
    assert!(sound.parity.iter().all(|(_, difference)| *difference <= parity::TOLERANCE));

    std::fs::write(directory.join("notes.txt"), "x").unwrap();
    std::fs::remove_file(directory.join("intents.json")).unwrap();
    std::fs::write(directory.join("ranker.onnx"), "x").unwrap();
    let faults = verify(&directory, &Config::default(), &test_runtime()).faults;
    let texts: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 3, "{texts:?}");
    assert!(texts[0].starts_with("notes.txt: extra"));
    assert!(texts[1].starts_with("intents.json: missing"));
    assert!(texts[2].starts_with("ranker.onnx: truncated"));
}

/// Changes a part and makes the manifest agree with it, as a faulty builder would.
fn replace(directory: &Path, name: &str, bytes: &[u8]) {
    std::fs::write(directory.join(name), bytes).unwrap();
    let mut manifest = Manifest::read(directory).unwrap();
    for entry in manifest.files.iter_mut().filter(|entry| entry.name == name) {
        (entry.bytes, entry.sha256) = (bytes.len() as u64, super::digest::of_bytes(bytes));
    }
    std::fs::write(directory.join("manifest.toml"), manifest.to_text().unwrap()).unwrap();
}

#[test]
fn parts_that_do_not_fit_are_refused_although_their_digests_agree() {
    let root = tempfile::tempdir().unwrap();
    let (directory, _) = fixture::bundle(root.path());
    let check = |name: &str, bytes: &[u8], expected: &str| {
        let before = std::fs::read(directory.join(name)).unwrap();
        replace(&directory, name, bytes);
        let message = refusal(&directory);
        assert!(message.starts_with(&format!("{name}: ")) && message.contains(expected), "{message}");
        replace(&directory, name, &before);
    };
    let mut vectors = std::fs::read(directory.join("item_vectors.bin")).unwrap();
    vectors[24..28].copy_from_slice(&f32::NAN.to_le_bytes());
    check("item_vectors.bin", &vectors, "not finite");
    check("item_vectors.bin", &vectors[..vectors.len() - 32], "bytes, expected");
    check("global_top.json", b"[\"t1\"]", "1 tracks, expected 40");
    check("ranker.onnx", &std::fs::read(directory.join("user_tower.onnx")).unwrap(), "expected user f32");
    check("tracks.parquet", b"PAR1....PAR1", "");
    check("popularity.parquet", &std::fs::read(directory.join("tracks.parquet")).unwrap(), "");
    check("intents.json", b"[{\"label\":\"x\"}]", "no band");
    assert!(load(&directory).is_ok());
}

#[test]
fn duplicate_tracks_are_refused() {
    let root = tempfile::tempdir().unwrap();
    fixture::write_sources(root.path());
    let mut tracks = fixture::tracks();
    tracks[7].track_id = tracks[3].track_id.clone();
    let path = root.path().join("tracks.parquet");
    std::fs::remove_file(&path).unwrap();
    crate::tables::write_tracks(&path, tracks).unwrap();
    let message = build(&fixture::config(root.path()), &test_runtime(), &mut |_| {}).unwrap_err().to_string();
    assert!(message.contains("tracks.parquet") && message.contains("rows 3 and 7"), "{message}");
    assert!(!fixture::config(root.path()).out.exists());
}

#[test]
fn a_path_in_the_manifest_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let (directory, mut manifest) = fixture::bundle(root.path());
    manifest.files[0].name = "../tracks.parquet".into();
    std::fs::write(directory.join("manifest.toml"), manifest.to_text().unwrap()).unwrap();
    assert!(refusal(&directory).contains("../tracks.parquet"));
}

#[test]
fn any_cut_or_flipped_byte_of_any_file_is_refused_by_name() {
    let root = tempfile::tempdir().unwrap();
    let (directory, _) = fixture::bundle(root.path());
    let names: Vec<_> =
        std::fs::read_dir(&directory).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.len(), 11);
    let damage = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..=255);
    let mut runner = prop::test_runner::TestRunner::new(ProptestConfig { cases: 64, ..ProptestConfig::default() });
    let outcome = runner.run(&damage, |(file, at, flip)| {
        let name = &names[file.index(names.len())];
        let whole = std::fs::read(directory.join(name)).unwrap();
        let mut damaged = whole.clone();
        let at = at.index(whole.len());
        if flip == 0 {
            damaged.truncate(at);
        } else {
            damaged[at] ^= flip;
        }
        std::fs::write(directory.join(name), damaged).unwrap();
        let message = refusal(&directory);
        std::fs::write(directory.join(name), whole).unwrap();
        prop_assert!(message.starts_with(&format!("{name}: ")), "{name}: {message}");
        Ok(())
    });
    outcome.unwrap();
    assert!(load(&directory).is_ok());
}

#[test]
fn newer_tracks_than_the_towers_know_are_embedded_as_unknown() {
    let root = tempfile::tempdir().unwrap();
    let (directory, _) = fixture::bundle(root.path());
    let whole = load(&directory).unwrap();
    let schema = std::fs::read_to_string(root.path().join("schema.json")).unwrap();
    std::fs::write(root.path().join("schema.json"), schema.replace("\"tracks\":40", "\"tracks\":30")).unwrap();
    let mut config = fixture::config(root.path());
    config.out = root.path().join("newer");
    let manifest = build(&config, &test_runtime(), &mut |_| {}).unwrap().0;
    assert_eq!((manifest.trained.tracks, manifest.catalogue.tracks), (30, 40));
    let newer = load(&config.out).unwrap();
    let row = |bundle: &Bundle, at: u32| bundle.vectors.row(TrackIx(at).at()).to_vec();
    assert_eq!(row(&whole, 29), row(&newer, 29));
    assert_ne!(row(&whole, 30), row(&newer, 30));
}

#[test]
fn changes_of_the_catalogue_go_into_the_next_bundle() {
    let root = tempfile::tempdir().unwrap();
    let (directory, _) = fixture::bundle(root.path());
    let old = load(&directory).unwrap();
    let path = root.path().join("changes.ndjson");
    let (mut log, _) = ChangeLog::open(&path).unwrap();
    let like = old.catalogue.track(TrackIx(3)).clone();
    let new = Track { track_id: TrackId::new("new").unwrap(), recording_id: None, ..like };
    log.append(&Change::Put(Box::new(new.clone()))).unwrap();
    log.append(&Change::TakeDown(old.catalogue.track(TrackIx(7)).track_id.clone())).unwrap();
    let mut config = fixture::config(root.path());
    (config.out, config.changes) = (root.path().join("next"), Some(path));
    let (manifest, folded) = build(&config, &test_runtime(), &mut |_| {}).unwrap();
    assert_eq!((folded.added, folded.closed, manifest.catalogue.tracks), (1, 1, 41));
    let next = load(&config.out).unwrap();
    let row = next.catalogue.find("new").unwrap();
    assert_eq!(next.catalogue.track(row), &new);
    assert_eq!(next.catalogue.track(TrackIx(7)).available_until_ms, Some(0));
    // The vector that a server gives the new track is the one that the bundle has.
    let columns = parts::columns(&next.catalogue, &next.popularity, next.manifest.as_of_ms);
    let mut tower = old.item_tower(&test_runtime()).unwrap();
    let live = embed_new(&mut tower, &old, &[&new], columns.row(row)).unwrap();
    let apart = live[0].as_slice().iter().zip(next.vectors.row(row.at())).map(|(a, b)| (a - b).abs());
    assert!(apart.fold(0.0, f32::max) < 1e-6);
}
