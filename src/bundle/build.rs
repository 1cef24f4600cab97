//! Building: tables and models in, a bundle out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::count::{Counted, count_plays};
use super::embed::embed;
use super::layout::{CARD, GLOBAL_TOP, INTENTS, PARITY, POPULARITY, PROTOTYPES, REFERENCE, RULES, TRACKS, VECTORS};
use super::manifest::{FORMAT, MANIFEST, Manifest, ModelEntry, check_version};
use super::sources::{self, AsOf, RowsSchema};
use super::staging::Staging;
use super::{
    BundleError, FileEntry, Folded, changes, digest, intents, layout, parts, plays, prototypes, prototypes_file,
    reference, rules_file, vectors_file,
};
use crate::config::{IndexConfig, SignalConfig};
use crate::domain::{Catalogue, IntentRule, Popularity};
use crate::features::schema;
use crate::index::{self, IndexHandle};
use crate::inference::{Model, ModelKind, OrtUserTower, Runtime};
use crate::tables;

/// Half-life of plays in popularity, days.
pub const DEFAULT_HALF_LIFE_DAYS: f32 = 14.0;

/// What to build a bundle from.
#[derive(Debug, Clone)]
pub struct BuildConfig {
    /// Canonical tables: `tracks.parquet`, `events.parquet`.
    pub data: PathBuf,
    /// Models, with `training.json`, `parity.json` and `model_card.md` if there are some. Without `ranker.onnx` the bundle has no ranker.
    pub models: PathBuf,
    /// Changes of the catalogue that the tables lack: what a server wrote to its `catalogue.changes`.
    pub changes: Option<PathBuf>,
    /// The rows that the models were trained on: their `schema.json` says when the split is and which tracks are known.
    pub rows: PathBuf,
    /// Where the bundle goes; must not exist.
    pub out: PathBuf,
    /// The moment up to which events count.
    pub as_of: AsOf,
    /// Half-life of plays, days. 14 is usual.
    pub half_life_days: f32,
    /// Engine and its parameters; `auto` decides by size.
    pub index: IndexConfig,
    /// When a play counts as positive.
    pub signals: SignalConfig,
    /// The rules of `intents.json`, which name the prototypes; `None` = the default rules.
    pub intents: Option<PathBuf>,
    /// The version; `None` = the date of `as_of` and eight digits of the files' digest.
    pub version: Option<String>,
}

impl BuildConfig {
    /// Everything that has a default at its default: all events, a half-life of 14 days, a version made from the content.
    pub fn new(
        data: impl Into<PathBuf>,
        models: impl Into<PathBuf>,
        rows: impl Into<PathBuf>,
        out: impl Into<PathBuf>,
    ) -> Self {
        Self {
            data: data.into(),
            models: models.into(),
            rows: rows.into(),
            changes: None,
            out: out.into(),
            as_of: AsOf::End,
            half_life_days: DEFAULT_HALF_LIFE_DAYS,
            index: IndexConfig::default(),
            signals: SignalConfig::default(),
            intents: None,
            version: None,
        }
    }
}

/// How far a build is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// What is being done.
    pub step: &'static str,
    /// How much of it is done.
    pub done: u64,
    /// Out of how much; 0 = unknown.
    pub total: u64,
}

/// Builds a bundle and returns its manifest, with what `config.changes` changed. The same inputs give the same
/// bytes, but for the graph of a large `hnsw` index, whose rows are inserted in parallel. Nothing appears at `out` until all is
/// written and durable.
///
/// # Errors
/// `out` exists, or an input is missing or does not fit the others; the message names the file.
pub fn build(
    config: &BuildConfig,
    runtime: &Runtime,
    progress: &mut dyn FnMut(Progress),
) -> Result<(Manifest, Folded), BundleError> {
    config.version.as_deref().map_or(Ok(()), check_version).map_err(|fault| BundleError::file(MANIFEST, fault))?;
    let staging = Staging::new(&config.out)?;
    progress(Progress { step: "catalogue", done: 0, total: 0 });
    let tracks_file = config.data.join(TRACKS);
    let mut tracks = tables::read_tracks(&tracks_file).map_err(|e| BundleError::path(&tracks_file, e.fault))?;
    let folded = match &config.changes {
        None => Folded::default(),
        Some(path) => changes::fold(&mut tracks, changes::read(path)?),
    };
    let catalogue = Catalogue::new(tracks).map_err(|e| BundleError::path(&tracks_file, e))?;
    let rows = RowsSchema::read(&config.rows, parts::sizes(&catalogue))?;

    let counted = count_plays(config, &catalogue, &rows, progress)?;
    let popularity =
        plays::popularity(&catalogue, &counted.rows).map_err(|fault| BundleError::file(POPULARITY, fault))?;
    let columns = parts::columns(&catalogue, &popularity, counted.as_of_ms);
    let models = Models::open(&config.models, runtime)?;
    let vectors = Arc::new(embed(&models.item_tower, &catalogue, &columns, rows.sizes(), progress)?);
    let mut shown = |at: index::BuildProgress| progress(Progress { step: at.step, done: at.done, total: at.total });
    let index = index::build(config.index.engine, &config.index, Arc::clone(&vectors), &mut shown)
        .map_err(|e| BundleError::file(layout::index_file(config.index.engine), e))?;

    progress(Progress { step: "files", done: 0, total: 0 });
    write_files(&staging, config, &catalogue, &counted, &popularity, &index)?;
    if let Some(ranker) = &models.ranker {
        write_reference(&staging, &config.rows, ranker)?;
    }
    let manifest = manifest(&staging, config, &catalogue, &rows, &counted, &models, &index)?;
    let text = manifest.to_text().map_err(|fault| BundleError::file(MANIFEST, fault))?;
    staging.write(MANIFEST, text.as_bytes())?;
    staging.publish()?;
    Ok((manifest, folded))
}

/// The models that go into the bundle, checked.
struct Models {
    item_tower: Model,
    ranker: Option<Model>,
    entries: BTreeMap<String, ModelEntry>,
    dim: usize,
}

impl Models {
    fn open(directory: &Path, runtime: &Runtime) -> Result<Self, BundleError> {
        let read = |kind: ModelKind| {
            let path = directory.join(kind.file());
            std::fs::read(&path).map_err(|e| BundleError::path(&path, e))
        };
        let user_tower = read(ModelKind::UserTower)?;
        let dim = Model::dim_of_user_tower(runtime, &user_tower)?;
        let user_tower = Model::load(runtime, ModelKind::UserTower, dim, user_tower)?;
        OrtUserTower::new(&user_tower)?;
        let item_tower = Model::load(runtime, ModelKind::ItemTower, dim, read(ModelKind::ItemTower)?)?;
        let optional = |kind: ModelKind| {
            let there = directory.join(kind.file()).exists();
            let load = || Ok::<_, BundleError>(Model::load(runtime, kind, dim, read(kind)?)?);
            there.then(load).transpose()
        };
        let (ranker, first_phase) = (optional(ModelKind::Ranker)?, optional(ModelKind::FirstPhase)?);
        let models = [Some(&user_tower), Some(&item_tower), ranker.as_ref(), first_phase.as_ref()];
        let entry = |model: &Model| (model.kind().name().to_owned(), ModelEntry::from(model));
        let entries = models.into_iter().flatten().map(entry).collect();
        Ok(Self { item_tower, ranker, entries, dim })
    }
}

fn write_files(
    staging: &Staging,
    config: &BuildConfig,
    catalogue: &Catalogue,
    counted: &Counted,
    popularity: &Popularity,
    index: &IndexHandle,
) -> Result<(), BundleError> {
    if config.changes.is_some() {
        let tracks = catalogue.tracks().iter().cloned();
        tables::write_tracks(&staging.path(TRACKS), tracks).map_err(|e| BundleError::file(TRACKS, e.fault))?;
    } else {
        staging.copy(&config.data.join(TRACKS), TRACKS)?;
    }
    for name in ModelKind::ALL.map(ModelKind::file).into_iter().chain([PARITY, CARD]) {
        let source = config.models.join(name);
        if source.exists() {
            staging.copy(&source, name)?;
        }
    }
    vectors_file::write(&staging.path(VECTORS), index.vectors()).map_err(|e| BundleError::file(VECTORS, e))?;
    index.save(staging.directory()).map_err(|e| BundleError::file(layout::index_file(index.engine()), e))?;
    plays::write(&staging.path(POPULARITY), &counted.rows).map_err(|e| BundleError::file(POPULARITY, e.fault))?;
    rules_file::write(&staging.path(RULES), &counted.rules).map_err(|e| BundleError::file(RULES, e))?;
    let top: Vec<_> = popularity.global_top.iter().map(|track| &catalogue.track(*track).track_id).collect();
    staging.write(GLOBAL_TOP, &json(GLOBAL_TOP, &top)?)?;
    let names = naming_rules(config)?;
    let vectors = index.vectors();
    if let Some(found) = prototypes::prototypes(&counted.sessions, catalogue, vectors, &names) {
        let text = prototypes_file::text(&found).map_err(|e| BundleError::file(PROTOTYPES, e))?;
        staging.write(PROTOTYPES, &text)?;
    }
    staging.write(INTENTS, &json(INTENTS, &names)?)
}

/// The rules that name sessions.
fn naming_rules(config: &BuildConfig) -> Result<Vec<IntentRule>, BundleError> {
    let Some(path) = &config.intents else { return Ok(intents::default_rules()) };
    let text = std::fs::read(path).map_err(|e| BundleError::path(path, e))?;
    intents::parse(&text).map_err(|fault| BundleError::path(path, fault))
}

/// Writes the reference of the rows that a ranker was trained on, where they are there.
pub(super) fn write_reference(staging: &Staging, rows: &Path, ranker: &Model) -> Result<(), BundleError> {
    match reference::of_rows(rows, ranker)? {
        Some(reference) => staging.write(REFERENCE, &json(REFERENCE, &reference)?),
        None => Ok(()),
    }
}

fn json<T: serde::Serialize>(file: &str, value: &T) -> Result<Vec<u8>, BundleError> {
    serde_json::to_vec_pretty(value).map_err(|e| BundleError::file(file, e))
}

fn manifest(
    staging: &Staging,
    config: &BuildConfig,
    catalogue: &Catalogue,
    rows: &RowsSchema,
    counted: &Counted,
    models: &Models,
    index: &IndexHandle,
) -> Result<Manifest, BundleError> {
    let files = staging.entries()?;
    Ok(Manifest {
        format: FORMAT,
        version: config.version.clone().unwrap_or_else(|| version(counted.as_of_ms, &files)),
        feature_version: schema::VERSION,
        dim: models.dim,
        as_of_ms: counted.as_of_ms,
        half_life_days: config.half_life_days,
        plays: counted.plays,
        engine: index.engine(),
        catalogue: parts::sizes(catalogue),
        trained: rows.sizes(),
        models: models.entries.clone(),
        training: sources::training(&config.models)?,
        files,
    })
}

/// The UTC date of the data and the beginning of a digest over all files: the same bundle has the same name.
pub(super) fn version(as_of_ms: i64, files: &[FileEntry]) -> String {
    let all: String = files.iter().map(|file| format!("{} {}\n", file.name, file.sha256)).collect();
    let digest = digest::of_bytes(all.as_bytes());
    let date = jiff::Timestamp::from_millisecond(as_of_ms).map(|instant| instant.strftime("%Y-%m-%d").to_string());
    format!("{}.{}", date.unwrap_or_else(|_| as_of_ms.to_string()), &digest[..8])
}
