//! `segue index`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;

use super::progress::Steps;
use crate::config::{Engine, IndexConfig};
use crate::domain::{ItemVectors, TrackIx, UnitVector};
use crate::index::{BuildProgress, FlatConfig, FlatIndex, IndexHandle, instruction_set};
use crate::index_bench::{Built, Plan, Set, SetKind, VectorFile, chart, hardware, measure, table, write_npy};

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
    /// Writes a synthetic set of vectors and queries as .npy, for other libraries
    #[command(after_help = "Example:\n  segue index set --kind smooth --rows 1000000 --out sets/smooth")]
    Set(SetArgs),
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
    #[arg(long)]
    kind: SetKind,
    /// Rows
    #[arg(long)]
    rows: usize,
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

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Build(args) => build(&args),
        Command::Bench(args) => bench(*args),
        Command::Set(args) => set(&args),
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
    let set = Set::new(args.kind, args.rows, args.dim, args.seed)?;
    std::fs::create_dir_all(&args.out)?;
    let rows = set.vectors.as_slice().chunks_exact(args.dim);
    write_npy(&args.out.join("vectors.npy"), args.rows, args.dim, rows)?;
    let queries = set.queries.iter().map(UnitVector::as_slice);
    write_npy(&args.out.join("queries.npy"), set.queries.len(), args.dim, queries)?;
    println!("{}: {} vectors and {} queries (seed {})", args.out.display(), args.rows, set.queries.len(), args.seed);
    Ok(())
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
