//! One function a part of a bundle: read it, check it against the manifest and the other parts. Files are verified
//! before (`layout`).

use std::path::Path;
use std::sync::Arc;

use super::layout::{GLOBAL_TOP, INTENTS, PARITY, POPULARITY, PROTOTYPES, REFERENCE, RULES, TRACKS, VECTORS};
use super::manifest::{Manifest, Sizes};
use super::plays::PlaysRow;
use super::{BundleError, digest, intents, layout, plays, prototypes_file, rules_file, vectors_file};
use crate::config::{Engine, IndexConfig};
use crate::domain::{
    Catalogue, GLOBAL_TOP_LEN, IntentPrototypes, IntentRule, ItemVectors, Popularity, SequentialRules, TrackId, TrackIx,
};
use crate::features::{self, ItemColumns, Reference};
use crate::index::{self, IndexHandle};
use crate::inference::parity::Parity;
use crate::inference::{Model, ModelKind, Runtime};
use crate::tables;

fn bytes(directory: &Path, file: &str) -> Result<Vec<u8>, BundleError> {
    std::fs::read(directory.join(file)).map_err(|e| BundleError::file(file, e))
}

pub(super) fn catalogue(directory: &Path, manifest: &Manifest) -> Result<Catalogue, BundleError> {
    let tracks = tables::read_tracks(&directory.join(TRACKS)).map_err(|e| BundleError::file(TRACKS, e.fault))?;
    let catalogue = Catalogue::new(tracks).map_err(|e| BundleError::file(TRACKS, e))?;
    let found = sizes(&catalogue);
    if found != manifest.catalogue {
        let expected = manifest.catalogue;
        return Err(BundleError::file(TRACKS, format!("holds {found:?}, the manifest says {expected:?}")));
    }
    Ok(catalogue)
}

/// Rows of the id spaces of a catalogue.
pub(super) fn sizes(catalogue: &Catalogue) -> Sizes {
    Sizes { tracks: catalogue.len(), artists: catalogue.artist_count(), genres: catalogue.genres().len() }
}

pub(super) fn vectors(directory: &Path, manifest: &Manifest) -> Result<ItemVectors, BundleError> {
    vectors_file::read(&directory.join(VECTORS), manifest.catalogue.tracks, manifest.dim)
        .map_err(|fault| BundleError::file(VECTORS, fault))
}

pub(super) fn popularity(directory: &Path, catalogue: &Catalogue) -> Result<Popularity, BundleError> {
    let rows: Vec<PlaysRow> = tables::read_rows(&directory.join(POPULARITY))
        .and_then(Iterator::collect)
        .map_err(|e| BundleError::file(POPULARITY, e.fault))?;
    let mut popularity = plays::popularity(catalogue, &rows).map_err(|fault| BundleError::file(POPULARITY, fault))?;
    popularity.global_top = global_top(directory, catalogue)?;
    Ok(popularity)
}

/// The rules; none where the bundle has no file of them.
pub(super) fn rules(directory: &Path, manifest: &Manifest) -> Result<SequentialRules, BundleError> {
    if manifest.file(RULES).is_none() {
        return Ok(SequentialRules::default());
    }
    rules_file::read(&directory.join(RULES), manifest.catalogue.tracks).map_err(|fault| BundleError::file(RULES, fault))
}

fn global_top(directory: &Path, catalogue: &Catalogue) -> Result<Vec<TrackIx>, BundleError> {
    let refuse = |fault: String| BundleError::file(GLOBAL_TOP, fault);
    let ids: Vec<TrackId> =
        serde_json::from_slice(&bytes(directory, GLOBAL_TOP)?).map_err(|e| refuse(e.to_string()))?;
    let expected = GLOBAL_TOP_LEN.min(catalogue.len());
    if ids.len() != expected {
        return Err(refuse(format!("{} tracks, expected {expected}", ids.len())));
    }
    let mut rows = Vec::with_capacity(ids.len());
    for id in &ids {
        let row = catalogue.find(id.as_str()).ok_or_else(|| refuse(format!("track {id:?} is not in {TRACKS}")))?;
        if rows.contains(&row) {
            return Err(refuse(format!("track {id:?} stands twice")));
        }
        rows.push(row);
    }
    Ok(rows)
}

pub(super) fn intents(directory: &Path) -> Result<Vec<IntentRule>, BundleError> {
    intents::parse(&bytes(directory, INTENTS)?).map_err(|fault| BundleError::file(INTENTS, fault))
}

/// The prototypes of intents; none where the bundle has no file of them.
pub(super) fn prototypes(directory: &Path, manifest: &Manifest) -> Result<Option<IntentPrototypes>, BundleError> {
    if manifest.file(PROTOTYPES).is_none() {
        return Ok(None);
    }
    let parsed = prototypes_file::parse(&bytes(directory, PROTOTYPES)?, manifest.dim);
    parsed.map(Some).map_err(|fault| BundleError::file(PROTOTYPES, fault))
}

pub(super) fn columns(catalogue: &Catalogue, popularity: &Popularity, as_of_ms: i64) -> ItemColumns {
    ItemColumns::new(catalogue, popularity, features::day_of(as_of_ms))
}

/// The model of a kind; `None` for a ranker that the bundle does without.
pub(super) fn model(
    directory: &Path,
    manifest: &Manifest,
    runtime: &Runtime,
    kind: ModelKind,
) -> Result<Option<Model>, BundleError> {
    let Some(entry) = manifest.file(kind.file()) else { return Ok(None) };
    let bytes = bytes(directory, kind.file())?;
    // The very bytes that will run, not those that lay there when the directory was verified.
    if digest::of_bytes(&bytes) != entry.sha256 {
        return Err(BundleError::file(kind.file(), "altered: its digest is not that of the manifest"));
    }
    Ok(Some(Model::load(runtime, kind, manifest.dim, bytes)?))
}

/// A model that no bundle does without.
pub(super) fn required_model(
    directory: &Path,
    manifest: &Manifest,
    runtime: &Runtime,
    kind: ModelKind,
) -> Result<Model, BundleError> {
    model(directory, manifest, runtime, kind)?.ok_or_else(|| BundleError::file(kind.file(), "missing"))
}

/// The index: the engine that was built in, or the one that the configuration insists on.
pub(super) fn index(
    directory: &Path,
    manifest: &Manifest,
    config: &IndexConfig,
    vectors: Arc<ItemVectors>,
) -> Result<IndexHandle, BundleError> {
    let built_in = manifest.engine;
    let engine = if config.engine == Engine::Auto { built_in } else { config.engine };
    let opened = if engine == built_in || engine == Engine::Exact {
        index::load(engine, config, vectors, directory)
    } else {
        tracing::warn!(version = manifest.version, ?engine, "not in the bundle: built before it can be served");
        index::build(engine, config, vectors, &mut |_| {})
    };
    opened.map_err(|e| BundleError::file(layout::index_file(engine), e))
}

/// The parity rows, if the bundle has some.
pub(super) fn parity(directory: &Path, manifest: &Manifest) -> Result<Option<Parity>, BundleError> {
    if manifest.file(PARITY).is_none() {
        return Ok(None);
    }
    Parity::parse(&bytes(directory, PARITY)?).map(Some).map_err(|fault| BundleError::file(PARITY, fault))
}

/// The reference that drift is told against, if the bundle has one.
pub(super) fn reference(directory: &Path, manifest: &Manifest) -> Result<Option<Reference>, BundleError> {
    if manifest.file(REFERENCE).is_none() {
        return Ok(None);
    }
    Reference::parse(&bytes(directory, REFERENCE)?).map(Some).map_err(|fault| BundleError::file(REFERENCE, fault))
}
