//! Rows for the ranker: a group a moment, of what was played and what retrieval offered beside it.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use rand::SeedableRng;
use rand::seq::index::sample;
use rand_chacha::ChaCha8Rng;

use super::data::Data;
use super::error::file_fault;
use super::open::Open;
use super::rows::{RANKER, RankerRow, create, split, write_schema};
use super::settling::Settling;
use super::{BackfillError, MomentSampler, Progress, UserPart, stable_hash};
use crate::app::{Repeats, Wiring};
use crate::bundle::{Bundle, Manifest, RowsSchema, digest};
use crate::config::Config;
use crate::domain::{Event, EventType, Knobs, Request, TrackIx};
use crate::features::schema::{RowsInfo, TASKS};
use crate::features::{CROSS_LEN, EndedPlay, ITEM_LEN, StateStore};
use crate::inference::Runtime;
use crate::pipeline::{Deadline, Pipeline};
use crate::tables::RowWriter;

/// The catalogue's file, in a data directory and in a bundle.
const TRACKS: &str = "tracks.parquet";
/// Last part of the ranker's window that is `valid`.
const VALID_PART: f64 = 0.1;

/// What to write rows from.
#[derive(Debug, Clone)]
pub struct RankerPlan {
    /// Canonical tables.
    pub data: PathBuf,
    /// A bundle of the towers, as of the beginning of the ranker's window.
    pub bundle: PathBuf,
    /// The towers' rows: their `schema.json` says where time was cut.
    pub rows: PathBuf,
    /// The rows directory; made if absent.
    pub out: PathBuf,
    /// Tracks a moment that retrieval offered and that were not played.
    pub negatives: usize,
    /// Most moments, drawn by seeded hash.
    pub max_groups: usize,
    /// Seed of all sampling.
    pub seed: u64,
    /// Whose moments: the draw is over everyone's, so that the parts together are the whole.
    pub part: UserPart,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RankerSummary {
    /// Moments.
    pub groups: u64,
    /// Rows in `ranker.parquet`.
    pub rows: u64,
    /// Moments whose play never ended, or of which the user tower made no vector: no rows.
    pub unended: u64,
    /// Moments whose played track was among the candidates.
    pub retrieved: u64,
}

/// Writes `schema.json` and `ranker.parquet`. Every moment runs the bundle's own retrieval and filters.
///
/// # Errors
/// A table or the bundle, rows that were not written for this catalogue, or a bundle of another catalogue or of a later
/// moment than the one where the ranker's rows begin.
pub fn ranker(
    plan: &RankerPlan,
    config: &Config,
    runtime: &Runtime,
    progress: &mut dyn FnMut(Progress),
) -> Result<RankerSummary, BackfillError> {
    std::fs::create_dir_all(&plan.out).map_err(|e| file_fault(&plan.out, e))?;
    let mut data = Data::open(&plan.data)?;
    data.span(progress)?;
    let bundle = Arc::new(Bundle::load(&plan.bundle, config, runtime)?);
    let schema = RowsSchema::read(&plan.rows, bundle.manifest.catalogue)?;
    let window = (schema.rank_from_ms, schema.test_from_ms);
    check_bundle(plan, &bundle.manifest, window.0)?;
    let moments = draw(plan, &data, window, progress)?;
    let mut replay = Replay::new(plan, config, bundle, window)?;
    let mut writer = create(&plan.out.join("ranker.parquet"), plan.part, RANKER)?;
    let (mut ordinal, mut drawn) = (0u64, 0u64);
    data.each("rows for the ranker", progress, |event| {
        if event.ts_ms >= window.1 {
            return Ok(false);
        }
        while let Some(group) = replay.settling.settled(event.ts_ms) {
            replay.write(group, &mut writer)?;
        }
        if plan.part.has(&event.user_id) {
            let sampled = moments.contains(&ordinal);
            drawn += u64::from(sampled);
            replay.event(&data, event, sampled);
        }
        ordinal += 1;
        Ok(true)
    })?;
    while let Some(group) = replay.settling.next() {
        replay.write(group, &mut writer)?;
    }
    let mut summary = replay.summary;
    summary.rows = writer.finish()?;
    summary.unended = drawn - summary.groups;
    if summary.groups == 0 && plan.part == UserPart::ALL {
        return Err(BackfillError::History("no play ends inside the ranker's window".into()));
    }
    let (artists, genres) = (data.catalogue.artist_count(), data.catalogue.genres().len());
    let (dim, tracks) = (Some(replay.bundle.vectors.dim()), data.catalogue.len());
    let (rank_from_ms, test_from_ms) = window;
    if plan.part.is_first() {
        write_schema(&plan.out, &RowsInfo { dim, tracks, artists, genres, rank_from_ms, test_from_ms })?;
    }
    Ok(summary)
}

/// Refuses a bundle that knows what the rows are to be asked about, or whose row numbers are those of other tracks.
fn check_bundle(plan: &RankerPlan, manifest: &Manifest, rank_from_ms: i64) -> Result<(), BackfillError> {
    if manifest.as_of_ms > rank_from_ms {
        return Err(BackfillError::Unfit(format!(
            "{} knows the plays up to {} ms, the ranker's rows begin at {rank_from_ms} ms: it has seen their answers; \
             build it with --as-of rank",
            manifest.version, manifest.as_of_ms
        )));
    }
    let tracks = plan.data.join(TRACKS);
    let (_, sha256) = digest::of_file(&tracks).map_err(|e| file_fault(&tracks, e))?;
    if manifest.file(TRACKS).is_none_or(|entry| entry.sha256 != sha256) {
        return Err(BackfillError::Unfit(format!(
            "{} was built from another {TRACKS} than {}: its row numbers may mean other tracks; build it from this data",
            manifest.version,
            tracks.display()
        )));
    }
    Ok(())
}

/// The ordinals of the events that begin a sampled play.
pub(super) fn draw(
    plan: &RankerPlan,
    data: &Data,
    (from_ms, until_ms): (i64, i64),
    progress: &mut dyn FnMut(Progress),
) -> Result<HashSet<u64>, BackfillError> {
    let mut sampler = MomentSampler::new(plan.seed, plan.max_groups);
    let mut ordinal = 0u64;
    data.each("moments", progress, |event| {
        if event.ts_ms >= until_ms {
            return Ok(false);
        }
        let begins = event.kind == EventType::PlayStart && event.ts_ms >= from_ms;
        if begins && data.track(event).is_some() {
            sampler.offer(event.event_id.as_str(), ordinal);
        }
        ordinal += 1;
        Ok(true)
    })?;
    Ok(sampler.finish())
}

/// The bundle's funnel over live state in replay, and the groups of what plays now.
struct Replay<'a> {
    plan: &'a RankerPlan,
    bundle: Arc<Bundle>,
    state: Arc<StateStore>,
    wiring: Wiring,
    pipeline: Pipeline,
    open: Open<Vec<RankerRow>>,
    settling: Settling<Vec<RankerRow>>,
    window: (i64, i64),
    items: Vec<f32>,
    cross: Vec<f32>,
    summary: RankerSummary,
}

impl<'a> Replay<'a> {
    fn new(
        plan: &'a RankerPlan,
        config: &Config,
        bundle: Arc<Bundle>,
        window: (i64, i64),
    ) -> Result<Self, BackfillError> {
        let state = Arc::new(StateStore::new(&config.state, &config.signals));
        let wiring = Wiring::new(config, Arc::clone(&bundle), Arc::clone(&state));
        let pipeline = wiring.offline(Repeats::Allowed)?.build();
        let (items, cross, summary) = (Vec::new(), Vec::new(), RankerSummary::default());
        let (open, settling) = (Open::new(), Settling::new());
        Ok(Self { plan, bundle, state, wiring, pipeline, open, settling, window, items, cross, summary })
    }

    /// Applies an event, and before it assembles the group of a sampled play. The group of a play that it ended settles.
    fn event(&mut self, data: &Data, event: &Event, sampled: bool) {
        if event.kind == EventType::PlayStart {
            self.open.drop_row(&event.session_id);
        }
        let track = data.track(event);
        if let Some(track) = track.filter(|_| sampled)
            && let Some(group) = self.group(event, track)
        {
            self.open.begin(event, track, group);
        }
        let Ok(applied) = self.state.apply(event, &self.bundle.catalogue, &self.bundle.vectors) else {
            self.open.drop_row(&event.session_id);
            return;
        };
        if let Some(track) = track {
            self.settling.hear(event, track);
        }
        if let Some(ended) = applied.ended
            && let Some(mut group) = self.open.end(event, &ended)
        {
            label(&mut group, &ended);
            self.settling.hold(event, ended.play.track, group);
        }
    }

    /// Numbers and writes a group.
    fn write(&mut self, group: Vec<RankerRow>, writer: &mut RowWriter<RankerRow>) -> Result<(), BackfillError> {
        for row in group {
            writer.write(RankerRow { group: self.plan.part.group(self.summary.groups), ..row })?;
        }
        self.summary.groups += 1;
        Ok(())
    }

    /// The played track first, then what retrieval offered beside it; `None` where the user tower gave no vector.
    fn group(&mut self, event: &Event, played: TrackIx) -> Option<Vec<RankerRow>> {
        let seed = stable_hash(self.plan.seed, event.event_id.as_str());
        let request = Arc::new(Request { seed, ..Request::before(event, &self.bundle.catalogue) });
        let (context, candidates) = self.pipeline.candidates(request, Knobs::default(), &Deadline::never());
        let pool: Vec<TrackIx> = candidates.tracks.iter().copied().filter(|track| *track != played).collect();
        self.summary.retrieved += u64::from(pool.len() < candidates.len());
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let drawn = sample(&mut rng, pool.len(), self.plan.negatives.min(pool.len()));
        let tracks: Vec<TrackIx> = [played].into_iter().chain(drawn.iter().map(|at| pool[at])).collect();
        let vector = context.user_vector.as_ref()?.as_slice();
        let (items, cross) = (&mut self.items, &mut self.cross);
        self.wiring.assembler().candidates(&context, &tracks, vector, items, cross);
        let mut user = context.user_features.clone();
        user.extend_from_slice(vector);
        let width = ITEM_LEN + self.wiring.assembler().dim();
        let row = |(at, track): (usize, &TrackIx)| RankerRow {
            group: 0,
            user_id: event.user_id.to_string(),
            ts_ms: event.ts_ms,
            split: split(event.ts_ms, self.window, VALID_PART).into(),
            track_ix: track.0 as i32,
            played: at == 0,
            user: user.clone(),
            item: items[at * width..(at + 1) * width].to_vec(),
            cross: cross[at * CROSS_LEN..(at + 1) * CROSS_LEN].to_vec(),
            label: vec![0.0; TASKS.len()],
            mask: vec![1.0, 0.0, 0.0],
        };
        Some(tracks.iter().enumerate().map(row).collect())
    }
}

/// Writes what the end of the play says into the played row; of the others only `complete` = 0 is known.
fn label(group: &mut [RankerRow], ended: &EndedPlay) {
    if let Some(played) = group.first_mut() {
        let labels = ended.labels();
        played.label = labels.iter().map(|label| f32::from(label.unwrap_or(false))).collect();
        played.mask = labels.iter().map(|label| f32::from(label.is_some())).collect();
    }
}
