//! The index as a whole, against the exact scan.

use std::fs;

use super::super::testing::{query, random};
use super::super::{ExactIndex, dot};
use super::kernels::BLOCK_ROWS;
use super::*;
use crate::domain::{Retrieved, TrackIx, UnitVector};
use crate::pipeline::Deadline;
use proptest::prelude::*;

fn config(cell_rows: usize) -> FlatConfig {
    FlatConfig { cell_rows, seed: 7, threads: 2 }
}

fn build(vectors: &ItemVectors, cell_rows: usize) -> FlatIndex {
    FlatIndex::build(&mut &*vectors, &config(cell_rows), &mut |_| {}).unwrap()
}

fn find(index: &mut dyn VectorIndex, query: &UnitVector, k: usize) -> Vec<Retrieved> {
    let mut out = Vec::new();
    index.search(query, k, &Deadline::never(), &mut out).unwrap();
    out
}

/// Every row scored by its long code, in the plainest way.
fn naive(index: &FlatIndex, query: &UnitVector, k: usize) -> Vec<Retrieved> {
    let flat = &index.flat;
    let width = flat.shape.width();
    let turned: Vec<f32> = flat.axes.chunks_exact(flat.shape.dim).map(|axis| dot(axis, query.as_slice())).collect();
    let mut probe = codec::Probe::default();
    probe.query = turned;
    probe.prepare(&flat.codec, kernels::fastest());
    let mut all = Vec::new();
    for cell in 0..flat.shape.cells {
        let mean = dot(&flat.means()[cell * width..(cell + 1) * width], &probe.query);
        for slot in (flat.firsts()[cell] as usize * BLOCK_ROWS..).take(flat.counts()[cell] as usize) {
            let codes = flat.long()[slot * width..(slot + 1) * width].iter().zip(&probe.long);
            let sum: i32 = codes.map(|(code, query)| i32::from(*code) * i32::from(*query)).sum();
            let score = mean + sum as f32 * (probe.long_step * flat.sizes()[cell]);
            all.push(Retrieved { track: TrackIx(flat.ids()[slot]), score });
        }
    }
    all.sort_by(super::super::top_k::best_first);
    all.truncate(k);
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn with_nothing_missed_it_is_the_scan_of_the_long_codes(
        rows in 1usize..900, dim in 1usize..40, clusters in 1usize..30, k in 0usize..300, spread in 0.0f32..1.0, seed: u64,
    ) {
        let index = build(&random(rows, dim, clusters, spread, seed), 40);
        let query = query(dim, seed ^ 1);
        let (got, wanted) = (find(&mut *index.searcher(0.0), &query, k), naive(&index, &query, k));
        prop_assert_eq!(got.len(), wanted.len());
        // The short codes' margin may overlook some at the bar; every score is that of its row.
        let same = got.iter().filter(|hit| wanted.contains(hit)).count();
        prop_assert!(same * 100 >= wanted.len() * 95, "{} of {}", same, wanted.len());
        prop_assert!(got.is_sorted_by(|a, b| super::super::top_k::best_first(a, b).is_lt()));
    }
}

#[test]
fn finds_nearly_what_the_scan_finds() {
    for (clusters, spread) in [(40, 0.4), (1, 1.0), (6_000, 0.0)] {
        let vectors = Arc::new(random(6_000, 32, clusters, spread, 5));
        let mut exact = ExactIndex::new(Arc::clone(&vectors));
        let index = build(&vectors, 64);
        let mut lists = index.searcher(0.03);
        let (mut found, mut wanted) = (0, 0);
        for seed in 0..20 {
            let (truth, got) = (find(&mut exact, &query(32, seed), 200), find(&mut *lists, &query(32, seed), 200));
            for hit in &got {
                let score = dot(vectors.row(hit.track.at()), query(32, seed).as_slice());
                assert!((hit.score - score).abs() < 0.02, "{} for {score}", hit.score);
            }
            found += got.iter().filter(|hit| truth.iter().any(|t| t.track == hit.track)).count();
            wanted += truth.len();
        }
        assert!(found * 100 >= wanted * 96, "{clusters} clusters, {spread} wide: {found} of {wanted}");
    }
}

/// Lets one row in `one_in` through.
fn sieve(one_in: u32) -> impl FnMut(&[TrackIx], &mut [bool]) {
    move |tracks, removed| {
        for (track, removed) in tracks.iter().zip(removed) {
            *removed = track.0.wrapping_mul(2_654_435_761) % one_in != 0;
        }
    }
}

#[test]
fn what_a_filter_lets_through_fills_the_list() {
    let vectors = Arc::new(random(12_000, 16, 300, 0.6, 5));
    let index = build(&vectors, 64);
    let (mut exact, mut lists) = (ExactIndex::new(Arc::clone(&vectors)), index.searcher(0.02));
    for one_in in [2, 10, 100, 1_000] {
        let (mut found, mut wanted) = (0, 0);
        for seed in 0..20 {
            let find = |index: &mut dyn VectorIndex| {
                let mut out = Vec::new();
                let search =
                    index.search_where(&query(16, seed), 100, Some(&mut sieve(one_in)), &Deadline::never(), &mut out);
                search.unwrap();
                out.iter().map(|hit| hit.track.0).collect::<Vec<_>>()
            };
            let (truth, got) = (find(&mut exact), find(&mut *lists));
            let mut removed = vec![false; got.len()];
            let tracks: Vec<TrackIx> = got.iter().map(|row| TrackIx(*row)).collect();
            sieve(one_in)(&tracks, &mut removed);
            assert!(!removed.contains(&true) && got.len() == truth.len());
            found += got.iter().filter(|row| truth.contains(row)).count();
            wanted += truth.len();
        }
        assert!(found * 100 >= wanted * 97, "one in {one_in}: {found} of {wanted}");
    }
}

#[test]
fn one_artist_and_equal_rows_are_no_fault() {
    // Nine tenths of the rows around one centre, and rows that are all equal.
    let mut data = random(4_500, 16, 1, 0.3, 1).as_slice().to_vec();
    data.extend_from_slice(random(500, 16, 40, 0.5, 2).as_slice());
    let one_artist = ItemVectors::from_raw(data, 16).unwrap();
    let equal = ItemVectors::from_raw([0.6, 0.8, 0.0, 0.0].repeat(3_000), 4).unwrap();
    for vectors in [one_artist, equal] {
        let index = build(&vectors, 50);
        let mut counts = index.flat.counts().to_vec();
        counts.sort_unstable();
        assert!(counts[counts.len() - 1] < 10 * counts[counts.len() / 2], "{counts:?}");
        let (query, mut exact) = (query(vectors.dim(), 3), ExactIndex::new(Arc::new(vectors.clone())));
        let (got, truth) = (find(&mut *index.searcher(0.03), &query, 500), find(&mut exact, &query, 500));
        assert_eq!(got.len(), 500);
        let least = truth[499].score - 0.01;
        let good = got.iter().filter(|hit| dot(vectors.row(hit.track.at()), query.as_slice()) >= least).count();
        assert!(good >= 480, "{good}");
    }
}

#[test]
fn threads_change_nothing() {
    let vectors = random(3_000, 12, 20, 0.5, 9);
    let dir = tempfile::tempdir().unwrap();
    let bytes = |threads: usize| {
        let config = FlatConfig { threads, ..config(64) };
        let path = dir.path().join(threads.to_string());
        FlatIndex::build(&mut &vectors, &config, &mut |_| {}).unwrap().save(&path).unwrap();
        fs::read(path).unwrap()
    };
    assert!(bytes(1) == bytes(3));
}

#[test]
fn small_and_empty_ones_work() {
    for rows in [0, 1, 2, 33] {
        let vectors = Arc::new(random(rows, 5, 3, 0.5, 1));
        let index = build(&vectors, 64);
        let mut exact = ExactIndex::new(Arc::clone(&vectors));
        let tracks =
            |hits: Vec<Retrieved>| hits.iter().map(|hit| hit.track.0).collect::<std::collections::BTreeSet<_>>();
        let (got, wanted) = (find(&mut *index.searcher(0.03), &query(5, 2), 100), find(&mut exact, &query(5, 2), 100));
        assert_eq!(tracks(got), tracks(wanted));
        let refused = index.searcher(0.03).search(&query(6, 1), 3, &Deadline::never(), &mut Vec::new());
        assert_eq!(refused, Err(IndexError::Dimension { got: 6, expected: 5 }));
    }
}

#[test]
fn a_passed_deadline_gives_the_best_so_far() {
    let vectors = random(8_000, 16, 400, 0.5, 3);
    let index = build(&vectors, 40);
    let count = |deadline: &Deadline| {
        let mut out = Vec::new();
        index.searcher(0.0).search(&query(16, 1), 4_000, deadline, &mut out).unwrap();
        assert!(out.is_sorted_by_key(|hit| -hit.score));
        out.len()
    };
    let early = count(&Deadline::after_checks(0));
    assert!(early > 0 && early < 2_000, "{early}");
    assert_eq!(count(&Deadline::never()), 4_000);
}

/// Rows that are not unit vectors, as a file may hold them.
struct Raw(Vec<f32>, usize);

impl VectorSource for Raw {
    fn rows(&self) -> usize {
        self.0.len() / self.1
    }

    fn dim(&self) -> usize {
        self.1
    }

    fn read(&mut self, visit: super::super::Visit<'_>) -> Result<(), IndexError> {
        visit(0, &self.0)
    }
}

#[test]
fn refuses_what_is_no_unit_vector_with_its_row() {
    for bad in [f32::NAN, f32::INFINITY, 0.0, 2.0] {
        let mut rows = [1.0, 0.0].repeat(20);
        rows[14] = bad;
        let refused = FlatIndex::build(&mut Raw(rows, 2), &config(64), &mut |_| {}).unwrap_err();
        assert!(refused.to_string().starts_with("row 7 has length"), "{refused}");
    }
    let refused = FlatIndex::build(&mut Raw(vec![0.0; 2_000], 2_000), &config(64), &mut |_| {}).unwrap_err();
    assert!(refused.to_string().contains("1..1024"), "{refused}");
}

#[test]
fn a_saved_one_answers_as_the_built_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FLAT_FILE);
    let vectors = random(2_000, 16, 10, 0.4, 9);
    let built = build(&vectors, 64);
    built.save(&path).unwrap();
    let opened = FlatIndex::open_for(&path, &vectors).unwrap();
    assert_eq!(opened.rows(), 2_000);
    for seed in 0..5 {
        let search = |index: &FlatIndex| find(&mut *index.searcher(0.03), &query(16, seed), 40);
        assert_eq!(search(&built), search(&opened));
    }
    let other = FlatIndex::open_for(&path, &random(2_000, 16, 10, 0.4, 8)).unwrap_err();
    assert!(other.to_string().contains("other vectors"), "{other}");
    let nowhere = built.save(&dir.path().join("none").join(FLAT_FILE)).unwrap_err();
    assert!(matches!(nowhere, IndexError::File { .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn a_file_cut_or_flipped_anywhere_is_refused(at in 0.0f64..1.0, flip in 1u8.., cut in 0.0f64..1.0) {
        static BYTES: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("index");
        let bytes = BYTES.get_or_init(|| {
            build(&random(300, 8, 5, 0.4, 9), 64).save(&path).unwrap();
            fs::read(&path).unwrap()
        });
        let mut flipped = bytes.clone();
        flipped[(at * bytes.len() as f64) as usize] ^= flip;
        fs::write(&path, flipped).unwrap();
        prop_assert!(FlatIndex::open(&path).is_err(), "flipped at {}", at);
        fs::write(&path, &bytes[..(cut * bytes.len() as f64) as usize]).unwrap();
        prop_assert!(FlatIndex::open(&path).is_err(), "cut at {}", cut);
    }
}

#[test]
fn damage_is_told_with_its_block() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    build(&random(300, 8, 5, 0.4, 9), 64).save(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let end = bytes.len() - 1;
    bytes[end] ^= 1;
    fs::write(&path, bytes).unwrap();
    let refused = FlatIndex::open(&path).unwrap_err().to_string();
    assert!(refused.contains("block 0 (") && refused.contains("is damaged"), "{refused}");
}

/// Builds over the first rows and adds the others.
fn build_and_add(vectors: &ItemVectors, built: usize, cell_rows: usize) -> FlatIndex {
    let dim = vectors.dim();
    let first = ItemVectors::from_raw(vectors.as_slice()[..built * dim].to_vec(), dim).unwrap();
    let index = build(&first, cell_rows);
    for row in built..vectors.len() {
        index.add(TrackIx(row as u32), vectors.row(row)).unwrap();
    }
    index
}

/// Rows with those of another world behind them.
fn followed_by(first: ItemVectors, second: ItemVectors) -> ItemVectors {
    ItemVectors::from_raw([first.as_slice(), second.as_slice()].concat(), first.dim()).unwrap()
}

#[test]
fn added_rows_are_found_like_built_ones() {
    let near = random(6_600, 32, 40, 0.4, 5);
    // Directions that the build never saw: a few of their own, and all.
    let far = followed_by(random(6_000, 32, 40, 0.4, 5), random(600, 32, 3, 0.1, 6));
    let all_far = followed_by(random(40, 32, 1, 0.01, 5), random(3_000, 32, 60, 0.5, 7));
    for (vectors, built) in [(near, 6_000), (far, 6_000), (all_far, 40)] {
        let vectors = Arc::new(vectors);
        let mut exact = ExactIndex::new(Arc::clone(&vectors));
        let index = build_and_add(&vectors, built, 64);
        let mut lists = index.searcher(0.02);
        assert_eq!(lists.len(), vectors.len());
        let (mut found, mut wanted, mut added) = (0, 0, 0);
        for seed in 0..20 {
            let (truth, got) = (find(&mut exact, &query(32, seed), 100), find(&mut *lists, &query(32, seed), 100));
            let rows: std::collections::HashSet<u32> = got.iter().map(|hit| hit.track.0).collect();
            assert_eq!(rows.len(), got.len(), "no row twice");
            found += truth.iter().filter(|hit| rows.contains(&hit.track.0)).count();
            added += truth.iter().filter(|hit| hit.track.at() >= built).count();
            wanted += truth.len();
        }
        assert!(found * 100 >= wanted * 97 && added > 0, "{found} of {wanted}, {added} added");
    }
}

#[test]
fn an_index_of_nothing_takes_rows() {
    let vectors = random(300, 9, 5, 0.4, 5);
    let index = build_and_add(&vectors, 0, 64);
    let mut exact = ExactIndex::new(Arc::new(vectors));
    let rows = |hits: Vec<Retrieved>| hits.iter().map(|hit| hit.track.0).collect::<Vec<_>>();
    let got = rows(find(&mut *index.searcher(0.02), &query(9, 1), 50));
    assert_eq!(got, rows(find(&mut exact, &query(9, 1), 50)));
    assert!(matches!(index.add(TrackIx(300), &[1.0]), Err(IndexError::Dimension { got: 1, expected: 9 })));
}

#[test]
fn filters_and_readers_see_rows_as_they_come() {
    let vectors = random(3_000, 16, 20, 0.4, 5);
    let index = build(&ItemVectors::from_raw(vectors.as_slice()[..1_000 * 16].to_vec(), 16).unwrap(), 64);
    std::thread::scope(|scope| {
        scope.spawn(|| (1_000..3_000).for_each(|row| index.add(TrackIx(row as u32), vectors.row(row)).unwrap()));
        scope.spawn(|| {
            let mut lists = index.searcher(0.02);
            let mut seen = 0;
            while seen < 3_000 {
                seen = lists.len();
                let hits = find(&mut *lists, &query(16, seen as u64), 200);
                assert!(hits.len() == 200 && hits.iter().all(|hit| hit.track.0 < 3_000));
            }
        });
    });
    let mut out = Vec::new();
    let searched =
        index.searcher(0.02).search_where(&query(16, 1), 3_000, Some(&mut sieve(10)), &Deadline::never(), &mut out);
    searched.unwrap();
    let mut removed = vec![false; 3_000];
    sieve(10)(&(0..3_000).map(TrackIx).collect::<Vec<_>>(), &mut removed);
    assert_eq!(out.len(), removed.iter().filter(|removed| !**removed).count());
    assert!(out.iter().all(|hit| !removed[hit.track.at()]));
}
