//! A bundle with a new ranker: all the rest is the old one's.

use std::path::PathBuf;

use super::build::{version, write_reference};
use super::layout::{CARD, PARITY, REFERENCE};
use super::manifest::{MANIFEST, ModelEntry, check_version};
use super::staging::Staging;
use super::{BundleError, Manifest, RowsSchema, layout, sources};
use crate::inference::{Model, ModelKind, Runtime};

/// What to make a bundle of.
#[derive(Debug, Clone)]
pub struct UpdateConfig {
    /// The bundle whose catalogue, towers, vectors, index, popularity and rules are kept.
    pub from: PathBuf,
    /// A models directory with `ranker.onnx`, and `first_phase.onnx`, `training.json`, `parity.json` and `model_card.md` if there are some.
    pub models: PathBuf,
    /// The rows that the ranker was trained on.
    pub rows: PathBuf,
    /// Where the bundle goes; must not exist.
    pub out: PathBuf,
    /// The version; `None` = the old date and eight digits of the files' digest.
    pub version: Option<String>,
}

/// Makes the bundle: the cheap end of an incremental training, for nothing is embedded, counted or indexed again. Its date is
/// the old one's: no play since went into anything but the ranker.
///
/// # Errors
/// `out` exists, the old bundle is not sound, or the ranker or the rows do not fit it.
pub fn update(config: &UpdateConfig, runtime: &Runtime) -> Result<Manifest, BundleError> {
    config.version.as_deref().map_or(Ok(()), check_version).map_err(|fault| BundleError::file(MANIFEST, fault))?;
    let old = Manifest::read(&config.from)?;
    if let Some(fault) = layout::faults(&config.from, &old).into_iter().next() {
        return Err(fault);
    }
    RowsSchema::read(&config.rows, old.catalogue)?;
    let load = |kind: ModelKind| {
        let path = config.models.join(kind.file());
        let bytes = std::fs::read(&path).map_err(|e| BundleError::path(&path, e))?;
        Ok::<_, BundleError>(Model::load(runtime, kind, old.dim, bytes)?)
    };
    let ranker = load(ModelKind::Ranker)?;
    let first_phase = config.models.join(ModelKind::FirstPhase.file()).exists();
    let first_phase = first_phase.then(|| load(ModelKind::FirstPhase)).transpose()?;
    let trained: Vec<&Model> = [Some(&ranker), first_phase.as_ref()].into_iter().flatten().collect();
    let staging = Staging::new(&config.out)?;
    let new: Vec<&str> = trained.iter().map(|model| model.kind().file()).chain([PARITY, CARD]).collect();
    let kept = old.files.iter().map(|file| file.name.as_str());
    for name in kept.filter(|name| !new.contains(name) && *name != REFERENCE) {
        staging.copy(&config.from.join(name), name)?;
    }
    for name in new {
        let source = config.models.join(name);
        if source.exists() {
            staging.copy(&source, name)?;
        }
    }
    write_reference(&staging, &config.rows, &ranker)?;
    let files = staging.entries()?;
    let mut models = old.models.clone();
    models.extend(trained.iter().map(|model| (model.kind().name().to_owned(), ModelEntry::from(*model))));
    let mut training = old.training.clone();
    training.extend(sources::training(&config.models)?);
    let version = config.version.clone().unwrap_or_else(|| version(old.as_of_ms, &files));
    let manifest = Manifest { version, models, training, files, ..old };
    let text = manifest.to_text().map_err(|fault| BundleError::file(MANIFEST, fault))?;
    staging.write(MANIFEST, text.as_bytes())?;
    staging.publish()?;
    Ok(manifest)
}
