//! Recall beside time of the index engines, on synthetic vectors of dimension 64 with user-like queries.
//!
//! `cargo bench --bench index -- [ROWS]...` (default 20,000). Times are of one thread; `cpu` is that thread's CPU time,
//! which a busy machine does not inflate as it does the percentiles. Builds use all cores.

mod support;

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use cpu_time::{ProcessTime, ThreadTime};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::StandardNormal;
use segue::config::{Engine, IndexConfig};
use segue::domain::{ItemVectors, Retrieved, TrackIx, UnitVector};
use segue::index::{IndexHandle, VectorIndex, open};
use segue::pipeline::Deadline;

const DIM: usize = 64;
const QUERIES: usize = 200;

fn main() -> Result<()> {
    let sizes: Vec<usize> = std::env::args().skip(1).filter_map(|arg| arg.replace(',', "").parse().ok()).collect();
    println!("{}", support::hardware());
    println!("| set | rows | engine | k | ef | recall | p50 ms | p99 ms | cpu ms | build cpu s | bytes/track |");
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    for rows in if sizes.is_empty() { vec![20_000] } else { sizes } {
        for (name, intrinsic, clusters) in [("clustered", DIM, rows / 200), ("smooth", 24, 0)] {
            measure(name, &Set::new(rows, intrinsic, clusters)?)?;
        }
    }
    Ok(())
}

/// Vectors and queries of one kind.
struct Set {
    vectors: Arc<ItemVectors>,
    queries: Vec<UnitVector>,
}

impl Set {
    /// `clusters` > 0: rows around centres. Else a smooth cloud of `intrinsic` dimensions turned into the space. A query
    /// is the mean of three rows with some noise: what the vector of a listener of those looks like.
    fn new(rows: usize, intrinsic: usize, clusters: usize) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(rows as u64);
        let mut normal = |n: usize| (0..n).map(|_| rng.sample::<f32, _>(StandardNormal)).collect::<Vec<f32>>();
        let axes: Vec<Vec<f32>> = (0..intrinsic).map(|_| normal(DIM)).collect();
        let centres: Vec<Vec<f32>> = (0..clusters).map(|_| normal(DIM)).collect();
        let mut data = Vec::with_capacity(rows * DIM);
        for row in 0..rows {
            let vector = if clusters > 0 {
                let centre = &centres[row.wrapping_mul(7919) % clusters];
                centre.iter().zip(normal(DIM)).map(|(c, n)| c + 0.7 * n).collect()
            } else {
                let mut sum = vec![0.0; DIM];
                for (axis, weight) in axes.iter().zip(normal(intrinsic)) {
                    sum.iter_mut().zip(axis).for_each(|(s, a)| *s += weight * a);
                }
                sum
            };
            data.extend_from_slice(UnitVector::new(vector, DIM)?.as_slice());
        }
        let vectors = Arc::new(ItemVectors::from_raw(data, DIM)?);
        let mut queries = Vec::with_capacity(QUERIES);
        for _ in 0..QUERIES {
            let mut sum: Vec<f32> = normal(DIM).iter().map(|n| 0.02 * n).collect();
            for _ in 0..3 {
                let near = vectors.row((normal(1)[0].abs() * 1e6) as usize % rows);
                sum.iter_mut().zip(near).for_each(|(s, v)| *s += v);
            }
            queries.push(UnitVector::new(sum, DIM)?);
        }
        Ok(Self { vectors, queries })
    }
}

fn measure(name: &str, set: &Set) -> Result<()> {
    let base = IndexConfig::default();
    let exact = open(Engine::Exact, &base, Arc::clone(&set.vectors), None)?;
    let before = ProcessTime::now();
    let built = open(Engine::Hnsw, &base, Arc::clone(&set.vectors), None)?;
    let build_s = before.elapsed().as_secs_f64();
    let dir = tempfile::tempdir()?;
    let bytes = built.save(dir.path())?.iter().map(|file| fs::metadata(dir.path().join(file)).map(|m| m.len()));
    let bytes = bytes.sum::<std::io::Result<u64>>()?;
    for k in [100, 1_000] {
        let truth = run(&exact, set, k)?;
        print_row(name, set, &exact, (k, 0), &truth, &truth, (0.0, 0));
        for ef_factor in [1.0, 1.2, 1.5, 2.0, 3.0] {
            let config = IndexConfig { ef_factor, ..base.clone() };
            let index = open(Engine::Hnsw, &config, Arc::clone(&set.vectors), Some(dir.path()))?;
            let found = run(&index, set, k)?;
            let ef = (k as f32 * ef_factor) as usize;
            print_row(name, set, &index, (k, ef), &found, &truth, (build_s, bytes));
        }
    }
    Ok(())
}

/// What all queries gave and took.
struct Run {
    hits: Vec<HashSet<TrackIx>>,
    millis: Vec<f64>,
    cpu_ms: f64,
}

fn run(handle: &IndexHandle, set: &Set, k: usize) -> Result<Run> {
    let mut index = handle.searcher();
    let mut out: Vec<Retrieved> = Vec::new();
    search(&mut *index, &set.queries[0], k, &mut out)?;
    let mut run = Run { hits: Vec::new(), millis: Vec::new(), cpu_ms: 0.0 };
    for query in &set.queries {
        let (start, cpu) = (Instant::now(), ThreadTime::now());
        search(&mut *index, query, k, &mut out)?;
        run.millis.push(start.elapsed().as_secs_f64() * 1e3);
        run.cpu_ms += cpu.elapsed().as_secs_f64() * 1e3;
        run.hits.push(out.iter().map(|hit| hit.track).collect());
    }
    run.cpu_ms /= set.queries.len() as f64;
    Ok(run)
}

fn search(index: &mut dyn VectorIndex, query: &UnitVector, k: usize, out: &mut Vec<Retrieved>) -> Result<()> {
    out.clear();
    Ok(index.search(query, k, &Deadline::never(), out)?)
}

fn print_row(
    name: &str,
    set: &Set,
    handle: &IndexHandle,
    (k, ef): (usize, usize),
    run: &Run,
    truth: &Run,
    (build_s, bytes): (f64, u64),
) {
    let (mut found, mut wanted) = (0, 0);
    for (got, want) in run.hits.iter().zip(&truth.hits) {
        found += got.intersection(want).count();
        wanted += want.len();
    }
    let at = |share: f64| support::quantile(&mut run.millis.clone(), share);
    println!(
        "| {name} | {} | {} | {k} | {ef} | {:.4} | {:.2} | {:.2} | {:.2} | {build_s:.1} | {:.0} |",
        set.vectors.len(),
        handle.engine(),
        found as f64 / wanted as f64,
        at(0.5),
        at(0.99),
        run.cpu_ms,
        bytes as f64 / set.vectors.len() as f64,
    );
}
