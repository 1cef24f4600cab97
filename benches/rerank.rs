//! What the re-rankers cost: diversity by determinantal point process and by maximal marginal relevance, exploration,
//! separation, transitions.
//!
//! `cargo bench --bench rerank -- [BUNDLE]` (default: the demo bundle). One thread; CPU time of that thread, medians.
//! Candidates are drawn from the bundle, with scores that fall as those of a ranker do. Beside them stands the choice as
//! it was first built: maximal marginal relevance over the vectors alone, every candidate compared with every chosen one.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Result;
use cpu_time::ThreadTime;
use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;
use segue::bundle::Bundle;
use segue::config::{Config, SignalConfig, StateConfig};
use segue::domain::{CandidateSet, Knobs, Request, RequestContext, Retrieved, Source, TrackIx, UserId};
use segue::features::StateStore;
use segue::inference::Runtime;
use segue::pipeline::{Reranker, StageError};
use segue::stages::exposure::Exposure;
use segue::stages::rerank::{
    Diversity, Explore, ExploreRules, Likeness, Rule, Separation, TransitionRules, Transitions, Windows,
};

/// Pools of each size.
const POOLS: usize = 20;
const ROUNDS: usize = 15;

fn main() -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let given = std::env::args().skip(1).find(|a| !a.starts_with("--")).map(PathBuf::from);
    let config = Config::default();
    let runtime = Runtime::open(&config.inference)?;
    let bundle = Bundle::load(&given.unwrap_or_else(|| root.join("models/demo")), &config, &runtime)?;
    println!("{}\n", support::hardware());
    println!(
        "| candidates | list | diversity | stage | us | distance of the list | mean relevance |\n|---|---|---|---|---|---|---|"
    );
    for (pool, limit) in [(300, 20), (1_000, 50), (1_000, 100)] {
        for diversity in [0.25, 0.5, 0.75, 1.0] {
            measure(&bundle, &config, pool, limit, diversity)?;
        }
    }
    println!("\n| cold candidates | list | places | explore, us |\n|---|---|---|---|");
    for (cold, limit) in [(50, 20), (50, 100), (200, 100)] {
        explore(&bundle, &config, cold, limit)?;
    }
    println!("\n| list | beam | us | mean transition before | after |\n|---|---|---|---|---|");
    for limit in [20, 50, 100] {
        widths(&bundle, &config, limit)?;
    }
    Ok(())
}

/// What places that explore cost, of 1,000 candidates that end with some of the exploration source. Nothing is known of a
/// track, so every one of them is cold and the posteriors are at their widest.
fn explore(bundle: &Bundle, config: &Config, cold: usize, limit: usize) -> Result<()> {
    let request = Request { limit, discovery: 0.3, ..Request::new(UserId::new("u")?, 0) };
    let state = Arc::new(StateStore::new(&StateConfig::default(), &SignalConfig::default()));
    let rules = ExploreRules {
        positions: config.exploration.positions.clone(),
        more_positions: Vec::new(),
        floor: 0.0,
        ceiling: 1.0,
        rank_order_surfaces: Vec::new(),
    };
    let places = rules.positions.iter().filter(|place| **place <= limit).count();
    let exposure = Arc::new(Exposure::new(1));
    let mut stage = Explore::new(Arc::clone(&bundle.catalogue), state, exposure, rules);
    let mut scores: Vec<f32> = (0..1_000).map(|row| (-(row as f32) / 150.0).exp()).collect();
    let mut micros = Vec::new();
    for seed in 0..POOLS as u64 {
        let mut candidates = candidates(bundle, scores.len(), seed);
        let from = candidates.sources.len() - cold;
        candidates.sources[from..].fill(Source::Exploration);
        let context = RequestContext::new(Arc::new(Request { seed, ..request.clone() }), Knobs::default());
        for _ in 0..ROUNDS {
            let (mut order, mut propensity) = ((0..scores.len() as u32).collect(), vec![None; scores.len()]);
            let start = ThreadTime::now();
            stage.rerank(&context, &candidates, &mut scores, &mut propensity, &mut order, limit)?;
            micros.push(start.elapsed().as_secs_f64() * 1e6);
            anyhow::ensure!(propensity.iter().flatten().count() == places, "not every place explored");
        }
    }
    println!("| {cold} | {limit} | {places} | {:.0} |", support::quantile(&mut micros, 0.5));
    Ok(())
}

/// What orders cost and gain by the width of the beam, over lists of determinantal point processes.
fn widths(bundle: &Bundle, config: &Config, limit: usize) -> Result<()> {
    let request = Request { limit, diversity: 0.5, ..Request::new(UserId::new("u")?, 0) };
    let context = RequestContext::new(Arc::new(request), Knobs::default());
    for width in [1, 4, 8, 16, 32, 64] {
        let mut config = config.clone();
        config.rerank.beam_width = width;
        let [_, _, mut dpp, mut separation, mut transitions] = stages(bundle, &config);
        let (mut micros, mut before, mut after) = (Vec::new(), 0.0, 0.0);
        let mut scores: Vec<f32> = (0..1_000).map(|row| (-(row as f32) / 150.0).exp()).collect();
        let mut propensity = vec![None; scores.len()];
        for seed in 0..POOLS {
            let candidates = candidates(bundle, scores.len(), seed as u64);
            let mut order: Vec<u32> = (0..scores.len() as u32).collect();
            for stage in [&mut dpp, &mut separation] {
                stage.rerank(&context, &candidates, &mut scores, &mut propensity, &mut order, limit)?;
            }
            for _ in 0..ROUNDS {
                let mut order = order.clone();
                let start = ThreadTime::now();
                transitions.rerank(&context, &candidates, &mut scores, &mut propensity, &mut order, limit)?;
                micros.push(start.elapsed().as_secs_f64() * 1e6);
            }
            let mean = |at: usize| transitions.notes().get(at).map_or(f32::NAN, |note| note.value);
            before += mean(0) / POOLS as f32;
            after += mean(1) / POOLS as f32;
        }
        let median = support::quantile(&mut micros, 0.5);
        println!("| {limit} | {width} | {median:.0} | {before:.3} | {after:.3} |");
    }
    Ok(())
}

fn stages(bundle: &Bundle, config: &Config) -> [Box<dyn Reranker>; 5] {
    let (catalogue, vectors) = (|| Arc::clone(&bundle.catalogue), || Arc::clone(&bundle.vectors));
    let rules = &config.rerank;
    let windows = Windows {
        artist: Rule { most: rules.artist_most, window: config.knobs.artist_window },
        album: Rule { most: rules.album_most, window: rules.album_window },
        recording: Rule { most: 1, window: rules.recording_window },
    };
    let order = TransitionRules {
        windows,
        beam_width: rules.beam_width,
        hold: rules.transition_hold,
        rank_order_surfaces: Vec::new(),
    };
    [
        Box::new(Eager { bundle: (catalogue(), vectors()), nearest: Vec::new() }),
        Box::new(Diversity::mmr(catalogue(), vectors(), rules.audio_share)),
        Box::new(Diversity::dpp(catalogue(), vectors(), rules.audio_share)),
        Box::new(Separation::new(catalogue(), windows)),
        Box::new(Transitions::new(catalogue(), order)),
    ]
}

fn measure(bundle: &Bundle, config: &Config, pool: usize, limit: usize, diversity: f32) -> Result<()> {
    let request = Request { limit, diversity, ..Request::new(UserId::new("u")?, 0) };
    let context = RequestContext::new(Arc::new(request), Knobs::default());
    let mut likeness =
        Likeness::new(Arc::clone(&bundle.catalogue), Arc::clone(&bundle.vectors), config.rerank.audio_share);
    let mut stages = stages(bundle, config);
    let mut micros = vec![Vec::new(); stages.len()];
    let mut sums = vec![[0.0; 2]; stages.len()];
    let mut scores: Vec<f32> = (0..pool).map(|row| (-(row as f32) / 150.0).exp()).collect();
    let mut propensity = vec![None; pool];
    for round in 0..=ROUNDS {
        for seed in 0..POOLS {
            let candidates = candidates(bundle, pool, seed as u64);
            let ranked: Vec<u32> = (0..pool as u32).collect();
            let mut chosen = ranked.clone();
            for (at, stage) in stages.iter_mut().enumerate() {
                // The last two work on the list of the one before them, the others on the ranking.
                let mut order = if at < 3 { ranked.clone() } else { chosen.clone() };
                let start = ThreadTime::now();
                stage.rerank(&context, &candidates, &mut scores, &mut propensity, &mut order, limit)?;
                let spent = start.elapsed().as_secs_f64() * 1e6;
                if round > 0 {
                    micros[at].push(spent);
                } else {
                    let list = order.iter().take(limit);
                    let distance = likeness.distance(list.clone().map(|row| candidates.tracks[*row as usize]));
                    sums[at][0] += distance.unwrap_or(0.0);
                    sums[at][1] += list.map(|row| scores[*row as usize]).sum::<f32>() / limit as f32;
                }
                chosen = order;
            }
        }
    }
    for ((stage, micros), [distance, relevance]) in stages.iter().zip(&mut micros).zip(sums) {
        println!(
            "| {pool} | {limit} | {diversity} | {} | {:.0} | {:.3} | {:.3} |",
            stage.name(),
            support::quantile(micros, 0.5),
            distance / POOLS as f32,
            relevance / POOLS as f32
        );
    }
    Ok(())
}

/// Tracks near one drawn at random, as retrieval would find them: the nearest first, then drawn ones.
fn candidates(bundle: &Bundle, pool: usize, seed: u64) -> CandidateSet {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let vectors = &bundle.vectors;
    let drawn: Vec<usize> = sample(&mut rng, vectors.len(), (pool * 3).min(vectors.len())).into_vec();
    let centre = vectors.row(drawn[0]);
    let near = |row: usize| vectors.row(row).iter().zip(centre).map(|(a, b)| a * b).sum::<f32>();
    let mut rows: Vec<(f32, usize)> = drawn.iter().map(|row| (near(*row), *row)).collect();
    rows.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
    let mut set = CandidateSet::default();
    let hits = rows.iter().take(pool).map(|(score, row)| Retrieved { track: TrackIx(*row as u32), score: *score });
    hits.for_each(|hit| set.push(hit, Source::TwoTower));
    set
}

/// Maximal marginal relevance without laziness and without audio: the first version of the stage.
struct Eager {
    bundle: (Arc<segue::domain::Catalogue>, Arc<segue::domain::ItemVectors>),
    nearest: Vec<f32>,
}

impl Reranker for Eager {
    fn name(&self) -> &'static str {
        "mmr, eager, vectors alone"
    }

    fn rerank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        list_scores: &mut [f32],
        _: &mut [Option<f32>],
        order: &mut Vec<u32>,
        limit: usize,
    ) -> Result<(), StageError> {
        let (diversity, vectors) = (context.request.diversity, &self.bundle.1);
        let mut left: Vec<u32> = order[..order.len().min((limit * 5).max(100))].to_vec();
        let scores = || left.iter().map(|row| list_scores[*row as usize]);
        let (least, most) = scores().fold((f32::MAX, f32::MIN), |(lo, hi), s| (lo.min(s), hi.max(s)));
        self.nearest.clear();
        self.nearest.resize(left.len(), 0.0);
        let row = |row: u32| vectors.row(candidates.tracks[row as usize].at());
        let filled = (limit * 2).min(left.len());
        for (at, place) in order[..filled].iter_mut().enumerate() {
            let value = |at: usize| {
                let relevance = (list_scores[left[at] as usize] - least) / (most - least);
                (1.0 - diversity) * relevance - diversity * self.nearest[at]
            };
            let best = (0..left.len()).rev().max_by(|a, b| value(*a).total_cmp(&value(*b)));
            let Some(best) = best else { break };
            *place = left.remove(best);
            self.nearest.remove(best);
            let chosen = row(*place);
            for (nearest, other) in self.nearest.iter_mut().zip(&left) {
                let cosine = dot(chosen, row(*other));
                *nearest = if at == 0 { cosine } else { nearest.max(cosine) };
            }
        }
        Ok(())
    }
}

/// In eight sums, so that the compiler can use SIMD.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 8];
    for (a, b) in a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0) {
        (0..8).for_each(|lane| sums[lane] += a[lane] * b[lane]);
    }
    sums.iter().sum()
}
