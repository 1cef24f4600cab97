//! Recall beside time, one thread.

use std::collections::HashSet;
use std::fmt::Write;
use std::time::Instant;

use cpu_time::{ProcessTime, ThreadTime};

use super::{Set, bandwidth};
use crate::config::{Engine, IndexConfig};
use crate::domain::{Retrieved, TrackIx, UnitVector, is_few};
use crate::index::{BuildProgress, IndexError, IndexHandle, RowFilter, VectorIndex, build};
use crate::pipeline::Deadline;

/// Searches before those that count.
const WARM_UP: usize = 20;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Name of the set in the results.
    pub set: String,
    /// Engines.
    pub engines: Vec<Engine>,
    /// Numbers of hits.
    pub k: Vec<usize>,
    /// Values of `index.miss` for lists.
    pub misses: Vec<f32>,
    /// Values of `index.ef_factor` for hnsw.
    pub ef_factors: Vec<f32>,
    /// Share of the rows that a filter lets through; 1 = no filter.
    pub keep: f64,
    /// The rest of the configuration.
    pub config: IndexConfig,
}

/// One engine with one setting.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[expect(missing_docs, reason = "the names say it; times are of one thread, milliseconds a query unless named")]
pub struct Measured {
    pub set: String,
    pub rows: usize,
    pub dim: usize,
    pub kind: &'static str,
    pub params: String,
    pub k: usize,
    pub recall_at_100: Option<f64>,
    pub recall_at_1000: Option<f64>,
    pub ms_p50: f64,
    pub ms_p99: f64,
    pub cpu_ms: f64,
    pub qps_per_core: f64,
    pub build_cpu_s: f64,
    pub bytes_per_track: f64,
    /// Speed of the scan of short codes and of reading memory, GB/s; of lists.
    pub scan_gb_s: Option<f64>,
    pub memory_gb_s: Option<f64>,
}

/// An index with what its build took.
#[derive(Debug, Clone)]
pub struct Built {
    /// The index.
    pub index: IndexHandle,
    /// CPU time of the build, seconds.
    pub cpu_s: f64,
}

/// Measures every engine with every setting on `set`. `open` may give a built index of an engine.
///
/// # Errors
/// An index cannot be built or searched.
pub fn measure(
    set: &Set,
    plan: &Plan,
    open: &mut dyn FnMut(Engine) -> Option<Built>,
    progress: &mut dyn FnMut(BuildProgress),
) -> Result<Vec<Measured>, IndexError> {
    let vectors = std::sync::Arc::new(set.vectors.clone());
    let exact = build(Engine::Exact, &plan.config, vectors.clone(), progress)?;
    let most = plan.k.iter().copied().max().unwrap_or(0);
    let truth = run(&mut *exact.searcher(), &set.queries, (most, plan.keep), progress)?.hits;
    let mut all = Vec::new();
    for engine in &plan.engines {
        let built = match open(*engine) {
            Some(built) => built,
            None => {
                let before = ProcessTime::now();
                let index = build(*engine, &plan.config, vectors.clone(), progress)?;
                Built { index, cpu_s: before.elapsed().as_secs_f64() }
            }
        };
        let speed = set.queries.first().and_then(|query| bandwidth(&built.index, query));
        for (params, index) in settings(&built.index, plan) {
            for k in &plan.k {
                let run = run(&mut *index.searcher(), &set.queries, (*k, plan.keep), progress)?;
                all.push(Measured {
                    scan_gb_s: speed.map(|speed| speed.scan),
                    memory_gb_s: speed.map(|speed| speed.memory),
                    ..measured(set, plan, &built, (params.clone(), *k), run, &truth)
                });
            }
        }
    }
    Ok(all)
}

fn settings(index: &IndexHandle, plan: &Plan) -> Vec<(String, IndexHandle)> {
    let with = |name: &str, values: &[f32], set: &dyn Fn(&mut IndexConfig, f32)| {
        let one = |value: &f32| {
            let mut config = plan.config.clone();
            set(&mut config, *value);
            (format!("{name}={value}"), index.with_effort(&config))
        };
        values.iter().map(one).collect()
    };
    match index.engine() {
        Engine::Lists => with("miss", &plan.misses, &|config, value| config.miss = value),
        Engine::Hnsw => with("ef_factor", &plan.ef_factors, &|config, value| config.ef_factor = value),
        Engine::Exact | Engine::Auto => vec![(String::new(), index.clone())],
    }
}

/// Lets a share of the rows through, drawn by a hash of their number; where these are few it names them, as a market does.
struct Share {
    kept: u32,
    few: Option<Vec<TrackIx>>,
}

impl Share {
    fn new(keep: f64, rows: usize) -> Self {
        let kept = (keep * f64::from(u32::MAX)) as u32;
        let all = (0..rows as u32).map(TrackIx).filter(|row| Self::keeps(kept, *row));
        let few: Vec<TrackIx> = all.take(rows / 2).collect();
        Self { kept, few: is_few(few.len(), rows).then_some(few) }
    }

    fn keeps(kept: u32, row: TrackIx) -> bool {
        row.0.wrapping_add(1).wrapping_mul(2_654_435_761) <= kept
    }
}

impl RowFilter for Share {
    fn mark(&mut self, tracks: &[TrackIx], removed: &mut [bool]) {
        for (track, removed) in tracks.iter().zip(removed) {
            *removed = !Self::keeps(self.kept, *track);
        }
    }

    fn only(&self) -> Option<&[TrackIx]> {
        self.few.as_deref()
    }
}

/// What all queries gave and took.
struct Run {
    hits: Vec<Vec<TrackIx>>,
    millis: Vec<f64>,
    cpu_ms: f64,
}

fn run(
    index: &mut dyn VectorIndex,
    queries: &[UnitVector],
    (k, keep): (usize, f64),
    progress: &mut dyn FnMut(BuildProgress),
) -> Result<Run, IndexError> {
    let mut out: Vec<Retrieved> = Vec::new();
    let mut filter = Share::new(keep, index.len());
    let mut search = |query| {
        out.clear();
        let filter: Option<&mut dyn RowFilter> = if keep < 1.0 { Some(&mut filter) } else { None };
        index.search_where(query, k, filter, &Deadline::never(), &mut out)?;
        Ok::<_, IndexError>(out.iter().map(|hit| hit.track).collect())
    };
    queries.iter().take(WARM_UP).try_for_each(|query| search(query).map(|_: Vec<_>| ()))?;
    let mut run = Run { hits: Vec::with_capacity(queries.len()), millis: Vec::new(), cpu_ms: 0.0 };
    for (done, query) in (1u64..).zip(queries) {
        let (start, cpu) = (Instant::now(), ThreadTime::now());
        let hits = search(query)?;
        run.millis.push(start.elapsed().as_secs_f64() * 1e3);
        run.cpu_ms += cpu.elapsed().as_secs_f64() * 1e3 / queries.len() as f64;
        run.hits.push(hits);
        progress(BuildProgress { step: "queries", done, total: queries.len() as u64 });
    }
    Ok(run)
}

fn measured(
    set: &Set,
    plan: &Plan,
    built: &Built,
    (params, k): (String, usize),
    mut run: Run,
    truth: &[Vec<TrackIx>],
) -> Measured {
    let recall = |depth: usize| {
        let (mut found, mut wanted) = (0, 0);
        for (got, truth) in run.hits.iter().zip(truth) {
            let truth: HashSet<_> = truth.iter().take(depth).collect();
            found += got.iter().take(depth).filter(|track| truth.contains(track)).count();
            wanted += truth.len();
        }
        (k >= depth).then(|| found as f64 / wanted.max(1) as f64)
    };
    let (recall_at_100, recall_at_1000) = (recall(100), recall(1_000));
    run.millis.sort_by(f64::total_cmp);
    let at = |share: f64| {
        run.millis.get((run.millis.len().saturating_sub(1) as f64 * share) as usize).copied().unwrap_or(f64::NAN)
    };
    Measured {
        set: plan.set.clone(),
        rows: set.vectors.len(),
        dim: set.vectors.dim(),
        kind: built.index.engine().name(),
        params,
        k,
        recall_at_100,
        recall_at_1000,
        ms_p50: at(0.5),
        ms_p99: at(0.99),
        cpu_ms: run.cpu_ms,
        qps_per_core: 1e3 / run.cpu_ms,
        build_cpu_s: built.cpu_s,
        bytes_per_track: built.index.resident_bytes() as f64 / set.vectors.len().max(1) as f64,
        scan_gb_s: None,
        memory_gb_s: None,
    }
}

/// The line that results stand under.
pub fn hardware() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("CPU {}, {cores} cores", model.trim_start_matches([' ', '\t', ':']))
}

/// The results as a Markdown table.
pub fn table(all: &[Measured]) -> String {
    let mut text = String::from(
        "| set | rows | engine | | k | recall@100 | recall@1000 | p50 ms | p99 ms | cpu ms | q/s a core | build cpu s | bytes/track |\n\
         |---|---|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    let share = |recall: Option<f64>| recall.map_or(String::new(), |r| format!("{r:.4}"));
    for m in all {
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {:.3} | {:.3} | {:.3} | {:.0} | {:.1} | {:.0} |",
            m.set,
            m.rows,
            m.kind,
            m.params,
            m.k,
            share(m.recall_at_100),
            share(m.recall_at_1000),
            m.ms_p50,
            m.ms_p99,
            m.cpu_ms,
            m.qps_per_core,
            m.build_cpu_s,
            m.bytes_per_track
        );
    }
    if let Some((scan, memory)) = all.iter().find_map(|m| m.scan_gb_s.zip(m.memory_gb_s)) {
        let _ = writeln!(text, "Short codes are scanned at {scan:.1} GB/s, memory is read at {memory:.1} GB/s.");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::super::SetKind;
    use super::*;

    #[test]
    fn measures_every_engine_and_setting() {
        let set = Set::new(SetKind::Clustered, 2_000, 16, 1).unwrap();
        let plan = Plan {
            set: "clustered".into(),
            engines: vec![Engine::Exact, Engine::Lists, Engine::Hnsw],
            k: vec![100],
            misses: vec![0.5, 0.01],
            ef_factors: vec![1.0],
            keep: 1.0,
            config: IndexConfig { cell_rows: 64, ..IndexConfig::default() },
        };
        let all = measure(&set, &plan, &mut |_| None, &mut |_| {}).unwrap();
        let told: Vec<_> = all.iter().map(|m| (m.kind, m.params.as_str())).collect();
        assert_eq!(told, [("exact", ""), ("lists", "miss=0.5"), ("lists", "miss=0.01"), ("hnsw", "ef_factor=1")]);
        let recall: Vec<f64> = all.iter().map(|m| m.recall_at_100.unwrap()).collect();
        assert!(recall[0] == 1.0 && recall[1] < recall[2] && recall[2] > 0.95, "{recall:?}");
        assert!(all.iter().all(|m| m.recall_at_1000.is_none() && m.cpu_ms > 0.0 && m.bytes_per_track > 10.0));
        assert_eq!(table(&all).lines().count(), 7);
        let few = Plan { engines: vec![Engine::Lists], misses: vec![0.01], keep: 0.02, ..plan };
        let few = measure(&set, &few, &mut |_| None, &mut |_| {}).unwrap();
        assert!(few[0].recall_at_100.unwrap() > 0.97, "{few:?}");
    }
}
