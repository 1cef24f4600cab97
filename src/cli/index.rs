//! `segue index`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};

use super::progress::Steps;
use crate::bundle::{Manifest, VECTORS, vectors_file};
use crate::config::{Engine, IndexConfig};
use crate::domain::{ItemVectors, TrackIx, UnitVector};
use crate::index::{BuildProgress, FlatConfig, FlatIndex, IndexHandle, instruction_set};
use crate::index_bench::{Built, Plan, Point, Set, SetKind, VectorFile, chart, hardware, measure, table, write_npy};
use crate::tables::read_rows;

/// Builds and measures the vector index
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Builds the flat file of the lists engine from a file of vectors
    #[command(after_help = "Example:\n  segue index build --vectors vectors.npy --out index.flat")]
    Build(BuildArgs),
    /// Measures recall, time and memory of the engines
    #[command(after_help = "Examples:\n  segue index bench --set clustered --rows 200000\n  \
            segue index bench --set smooth --rows 200000 --live 0.1\n  \
            segue index bench --vectors v.npy --queries q.npy --k 100,1000 --json out.json --svg out.svg")]
    Bench(Box<BenchArgs>),
    /// Writes a set of vectors and queries as .npy, for other libraries
    #[command(after_help = "Examples:\n  segue index set --kind smooth --rows 1000000 --out sets/smooth\n  \
            segue index set --bundle bundles/today --ranker-rows rows/ranker.parquet --out sets/towers")]
    Set(SetArgs),
    /// Draws recall against speed from results of `segue index bench` or `scripts/bench/ann_peers`
    #[command(after_help = "Example:\n  segue index chart --json peers.json --k 1000 --out peers.svg")]
    Chart(ChartArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct BuildArgs {
    /// .npy (float32), .fvecs or .parquet (column `vector`); rows of length 1
    #[arg(long, value_name = "FILE")]
    vectors: PathBuf,
    /// Where the index goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Rows of a cell, on average
    #[arg(long, default_value_t = IndexConfig::default().cell_rows)]
    cell_rows: usize,
    /// Seed; the same one gives the same file
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    /// A synthetic set: clustered, smooth, uniform, anisotropic, one_artist or duplicates
    #[arg(long, default_value = "clustered", conflicts_with = "vectors")]
    set: SetKind,
    /// Rows of the synthetic set
    #[arg(long, default_value_t = 20_000)]
    rows: usize,
    /// Dimension of the synthetic set
    #[arg(long, default_value_t = 64)]
    dim: usize,
    /// Vectors to measure on instead
    #[arg(long, value_name = "FILE", requires = "queries")]
    vectors: Option<PathBuf>,
    /// Queries for them
    #[arg(long, value_name = "FILE")]
    queries: Option<PathBuf>,
    /// Name of these vectors in the results
    #[arg(long, default_value = "given")]
    name: String,
    /// Engines: exact, lists, hnsw
    #[arg(long, value_delimiter = ',', default_value = "exact,lists")]
    engines: Vec<String>,
    /// Numbers of hits
    #[arg(long, value_delimiter = ',', default_value = "100,1000")]
    k: Vec<usize>,
    /// Values of index.miss to try
    #[arg(long, value_delimiter = ',', default_value = "0.5,0.2,0.1,0.05,0.02,0.01")]
    miss: Vec<f32>,
    /// Values of index.ef_factor to try
    #[arg(long, value_delimiter = ',', default_value = "1,1.2,1.5,2,3")]
    ef_factor: Vec<f32>,
    /// Share of the rows that a filter lets through
    #[arg(long, default_value_t = 1.0)]
    keep: f64,
    /// Rows of a cell, on average
    #[arg(long, default_value_t = IndexConfig::default().cell_rows)]
    cell_rows: usize,
    /// Share of the rows that lists get one by one after the build, as a running server does
    #[arg(long, default_value_t = 0.0, conflicts_with = "index")]
    live: f64,
    /// A flat file that was built from these vectors, instead of a build
    #[arg(long, value_name = "FILE")]
    index: Option<PathBuf>,
    /// Use the first queries only
    #[arg(long, default_value_t = 1_000)]
    max_queries: usize,
    /// Also write the results as a JSON array
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Also draw recall against speed, one file a k: `.K.svg` is appended
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct SetArgs {
    /// clustered, smooth, uniform, anisotropic, one_artist or duplicates
    #[arg(long, requires = "rows", required_unless_present = "bundle")]
    kind: Option<SetKind>,
    /// Rows of a synthetic set
    #[arg(long)]
    rows: Option<usize>,
    /// A bundle whose item vectors to write instead
    #[arg(long, value_name = "DIR", conflicts_with = "kind", requires = "ranker_rows")]
    bundle: Option<PathBuf>,
    /// Rows that `segue backfill ranker` made with it: their listeners' vectors are the queries
    #[arg(long, value_name = "FILE")]
    ranker_rows: Option<PathBuf>,
    /// Dimension
    #[arg(long, default_value_t = 64)]
    dim: usize,
    /// Seed; the same one gives the same files
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Directory for vectors.npy and queries.npy
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Debug, clap::Args)]
pub(super) struct ChartArgs {
    /// Results; several files are drawn into one chart
    #[arg(long, value_name = "FILE", required = true, value_delimiter = ',')]
    json: Vec<PathBuf>,
    /// Number of hits to draw
    #[arg(long, default_value_t = 1_000)]
    k: usize,
    /// Where the SVG goes
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Build(args) => build(&args),
        Command::Bench(args) => bench(*args),
        Command::Set(args) => set(&args),
        Command::Chart(args) => draw(&args),
    }
}

fn build(args: &BuildArgs) -> anyhow::Result<()> {
    let mut source = VectorFile::open(&args.vectors)?;
    let config = FlatConfig { seed: args.seed, ..FlatConfig::new(args.cell_rows) };
    let mut steps = Steps::default();
    let before = cpu_time::ProcessTime::now();
    let index = FlatIndex::build(&mut source, &config, &mut |at: BuildProgress| steps.set(at.step, at.done, at.total))?;
    let cpu_s = before.elapsed().as_secs_f64();
    index.save(&args.out)?;
    let bytes = index.resident_bytes();
    let per_row = bytes as f64 / index.rows().max(1) as f64;
    println!(
        "{}: {} rows in {} cells, {bytes} bytes ({per_row:.0} a row), {cpu_s:.1} CPU s (seed {})",
        args.out.display(),
        index.rows(),
        index.cells(),
        args.seed
    );
    Ok(())
}

fn set(args: &SetArgs) -> anyhow::Result<()> {
    let set = match (args.kind, args.rows, &args.bundle, &args.ranker_rows) {
        (Some(kind), Some(rows), ..) => Set::new(kind, rows, args.dim, args.seed)?,
        (_, _, Some(bundle), Some(rows)) => of_towers(bundle, rows)?,
        _ => anyhow::bail!("give --kind and --rows, or --bundle and --ranker-rows"),
    };
    let (rows, dim) = (set.vectors.len(), set.vectors.dim());
    std::fs::create_dir_all(&args.out)?;
    write_npy(&args.out.join("vectors.npy"), rows, dim, set.vectors.as_slice().chunks_exact(dim))?;
    let queries = set.queries.iter().map(UnitVector::as_slice);
    write_npy(&args.out.join("queries.npy"), set.queries.len(), dim, queries)?;
    println!("{}: {rows} vectors and {} queries (seed {})", args.out.display(), set.queries.len(), args.seed);
    Ok(())
}

/// Queries of a set that is made from a bundle.
const TOWER_QUERIES: usize = 1_000;

/// A listener of a moment as the ranker sees them: dense columns, then the user tower's vector.
#[derive(serde::Deserialize)]
struct Moment {
    played: bool,
    user: Vec<f32>,
}

/// What a bundle's towers say of its tracks, and of the listeners of a table of ranker rows: every so many of them.
fn of_towers(bundle: &Path, rows: &Path) -> anyhow::Result<Set> {
    let manifest = Manifest::read(bundle)?;
    let (file, dim) = (bundle.join(VECTORS), manifest.dim);
    let vectors =
        vectors_file::read(&file, manifest.catalogue.tracks, dim).map_err(|e| anyhow!("{}: {e}", file.display()))?;
    let mut moments = Vec::new();
    for row in read_rows::<Moment>(rows)? {
        let row = row?;
        if row.played {
            let vector = row.user.get(row.user.len().saturating_sub(dim)..).unwrap_or_default().to_vec();
            moments.push(
                UnitVector::new(vector, dim).with_context(|| format!("{}: a listener's vector", rows.display()))?,
            );
        }
    }
    let step = moments.len().div_ceil(TOWER_QUERIES).max(1);
    Ok(Set { vectors, queries: moments.into_iter().step_by(step).collect() })
}

fn draw(args: &ChartArgs) -> anyhow::Result<()> {
    let mut all: Vec<Point> = Vec::new();
    for path in &args.json {
        let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let points: Vec<Point> = serde_json::from_str(&text).with_context(|| path.display().to_string())?;
        all.extend(points);
    }
    anyhow::ensure!(all.iter().any(|point| point.k == args.k), "no result is of k = {}", args.k);
    write(&args.out, &chart(&all, args.k))
}

fn bench(args: BenchArgs) -> anyhow::Result<()> {
    let (name, mut set) = match (&args.vectors, &args.queries) {
        (Some(vectors), Some(queries)) => {
            let (vectors, queries) = (VectorFile::open(vectors)?.vectors()?, VectorFile::open(queries)?.queries()?);
            (args.name, Set { vectors, queries })
        }
        _ => (args.set.name().to_owned(), Set::new(args.set, args.rows, args.dim, 1)?),
    };
    set.queries.truncate(args.max_queries);
    let engine = |name: &String| match name.as_str() {
        "exact" => Ok(Engine::Exact),
        "lists" => Ok(Engine::Lists),
        "hnsw" => Ok(Engine::Hnsw),
        _ => anyhow::bail!("engine {name:?} is none of exact, lists, hnsw"),
    };
    let plan = Plan {
        set: name,
        engines: args.engines.iter().map(engine).collect::<anyhow::Result<_>>()?,
        k: args.k.clone(),
        misses: args.miss,
        ef_factors: args.ef_factor,
        keep: args.keep,
        config: IndexConfig { cell_rows: args.cell_rows, ..IndexConfig::default() },
    };
    let given = args.index.as_deref().map(|path| FlatIndex::open_for(path, &set.vectors)).transpose()?;
    let given = given.map(|index| (index, f64::NAN));
    let grown = (args.live > 0.0).then(|| grown(&set.vectors, args.live, args.cell_rows)).transpose()?;
    let given = given.or(grown);
    let vectors = Arc::new(set.vectors.clone());
    let mut open = |engine| {
        let (index, cpu_s) = given.clone().filter(|_| engine == Engine::Lists)?;
        Some(Built { index: IndexHandle::lists(index, Arc::clone(&vectors)), cpu_s })
    };
    let mut steps = Steps::default();
    println!("{}, {} kernels", hardware(), instruction_set());
    let all = measure(&set, &plan, &mut open, &mut |at: BuildProgress| steps.set(at.step, at.done, at.total))?;
    print!("{}", table(&all));
    if let Some(path) = &args.json {
        write(path, &serde_json::to_string_pretty(&all)?)?;
    }
    if let Some(path) = &args.svg {
        let all: Vec<Point> = all.iter().map(Point::from).collect();
        for k in &args.k {
            write(&path.with_extension(format!("{k}.svg")), &chart(&all, *k))?;
        }
    }
    Ok(())
}

/// Lists of the first rows, which then get the share `live` of all one by one; with the CPU seconds of both.
fn grown(vectors: &ItemVectors, live: f64, cell_rows: usize) -> anyhow::Result<(FlatIndex, f64)> {
    anyhow::ensure!((0.0..1.0).contains(&live), "--live is {live}, must be from 0 to below 1");
    let (dim, rows) = (vectors.dim(), vectors.len());
    let built = rows - (rows as f64 * live) as usize;
    let before = cpu_time::ProcessTime::now();
    let first = ItemVectors::from_raw(vectors.as_slice()[..built * dim].to_vec(), dim)?;
    let mut steps = Steps::default();
    let mut show = |at: BuildProgress| steps.set(at.step, at.done, at.total);
    let index = FlatIndex::build(&mut &first, &FlatConfig::new(cell_rows), &mut show)?;
    for row in built..rows {
        index.add(TrackIx(row as u32), vectors.row(row))?;
        if row % 4_096 == 0 || row + 1 == rows {
            show(BuildProgress { step: "add", done: (row + 1 - built) as u64, total: (rows - built) as u64 });
        }
    }
    Ok((index, before.elapsed().as_secs_f64()))
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
