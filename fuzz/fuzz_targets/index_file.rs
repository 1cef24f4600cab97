//! The index file: a sound one, changed at any bytes and cut anywhere, opens or is refused; what opens answers.
#![no_main]

use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use segue::config::{Engine, IndexConfig};
use segue::domain::{ItemVectors, UnitVector};
use segue::index::{FLAT_FILE, build, load};
use segue::pipeline::Deadline;

const DIM: usize = 8;

static VECTORS: LazyLock<Arc<ItemVectors>> = LazyLock::new(|| {
    let rows = (0..300).flat_map(|row| {
        let raw: Vec<f32> = (0..DIM).map(|at| ((row * 7 + at * 13) as f32).sin()).collect();
        let norm = raw.iter().map(|v| v * v).sum::<f32>().sqrt();
        raw.into_iter().map(move |v| v / norm)
    });
    Arc::new(ItemVectors::from_raw(rows.collect(), DIM).unwrap())
});

static SOUND: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let dir = tempfile::tempdir().unwrap();
    let config = IndexConfig { cell_rows: 32, ..IndexConfig::default() };
    build(Engine::Lists, &config, Arc::clone(&VECTORS), &mut |_| {}).unwrap().save(dir.path()).unwrap();
    std::fs::read(dir.path().join(FLAT_FILE)).unwrap()
});

fuzz_target!(|input: (u32, Vec<(u32, u8)>)| {
    let (cut, changes) = input;
    let mut bytes = SOUND.clone();
    for (at, to) in changes {
        let at = at as usize % bytes.len();
        bytes[at] = to;
    }
    bytes.truncate(bytes.len() - cut as usize % (bytes.len() + 1));
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(FLAT_FILE), bytes).unwrap();
    if let Ok(index) = load(Engine::Lists, &IndexConfig::default(), Arc::clone(&VECTORS), dir.path()) {
        let (query, mut hits) = (UnitVector::new(VECTORS.row(3).to_vec(), DIM).unwrap(), Vec::new());
        index.searcher().search(&query, 10, &Deadline::never(), &mut hits).unwrap();
        assert!(hits.len() <= 10 && hits.iter().all(|hit| hit.track.at() < 300 && hit.score.is_finite()));
    }
});
