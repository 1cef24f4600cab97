//! Loading: all of a bundle or nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{BundleError, Manifest, layout, parts};
use crate::config::Config;
use crate::domain::{Catalogue, IntentPrototypes, IntentRule, ItemVectors, Popularity, SequentialRules};
use crate::features::Reference;
use crate::index::IndexHandle;
use crate::inference::{Model, ModelKind, OrtItemTower, Runtime};

/// A verified bundle in memory. Immutable; lanes clone the parts they need.
#[derive(Debug)]
pub struct Bundle {
    /// Its name in answers, logs and metrics.
    pub version: Arc<str>,
    /// What it says of itself.
    pub manifest: Manifest,
    /// Where it lies.
    pub directory: PathBuf,
    /// The tracks.
    pub catalogue: Arc<Catalogue>,
    /// Item vectors, row = `TrackIx`.
    pub vectors: Arc<ItemVectors>,
    /// Popularity as of `manifest.as_of_ms`; its `global_top` is the file's.
    pub popularity: Arc<Popularity>,
    /// What follows what inside sessions, as of `manifest.as_of_ms`; none in a bundle that was built without.
    pub rules: Arc<SequentialRules>,
    /// Rules that name a session's intent where prototypes cannot; ties by order.
    pub intents: Arc<[IntentRule]>,
    /// What sessions of each intent are like; none in a bundle that was built without, or from too few sessions.
    pub prototypes: Option<Arc<IntentPrototypes>>,
    /// The index over `vectors`.
    pub index: IndexHandle,
    /// Listener to vector.
    pub user_tower: Model,
    /// What the ranker's inputs and heads looked like in training; a bundle without it cannot tell drift.
    pub reference: Option<Arc<Reference>>,
    /// Candidates to probabilities; a bundle without one serves at rung `retrieval_order`.
    pub ranker: Option<Model>,
    /// Candidates to probabilities, coarsely: where `ranking.first_phase` asks for it.
    pub first_phase: Option<Model>,
}

impl Bundle {
    /// Verifies and loads the bundle in `directory`: names, sizes and digests of all files first, then every part against
    /// the manifest, the feature schema and the other parts. Reads every byte twice; memory is that of the parts.
    ///
    /// # Errors
    /// The first fault, with the file that has it.
    pub fn load(directory: &Path, config: &Config, runtime: &Runtime) -> Result<Self, BundleError> {
        let manifest = Manifest::read(directory)?;
        if let Some(fault) = layout::faults(directory, &manifest).into_iter().next() {
            return Err(fault);
        }
        // Checked and let go: its vectors stand in the bundle, and its table of ids is as large as they are.
        parts::required_model(directory, &manifest, runtime, ModelKind::ItemTower)?;
        let catalogue = parts::catalogue(directory, &manifest)?;
        let vectors = Arc::new(parts::vectors(directory, &manifest)?);
        let popularity = parts::popularity(directory, &catalogue)?;
        Ok(Self {
            version: manifest.version.as_str().into(),
            rules: Arc::new(parts::rules(directory, &manifest)?),
            intents: parts::intents(directory)?.into(),
            prototypes: parts::prototypes(directory, &manifest)?.map(Arc::new),
            user_tower: parts::required_model(directory, &manifest, runtime, ModelKind::UserTower)?,
            ranker: parts::model(directory, &manifest, runtime, ModelKind::Ranker)?,
            first_phase: parts::model(directory, &manifest, runtime, ModelKind::FirstPhase)?,
            reference: parts::reference(directory, &manifest)?.map(Arc::new),
            index: parts::index(directory, &manifest, &config.index, Arc::clone(&vectors))?,
            catalogue: Arc::new(catalogue),
            popularity: Arc::new(popularity),
            vectors,
            manifest,
            directory: directory.to_owned(),
        })
    }

    /// Reads the catalogue of the bundle in `directory` alone; no digest is checked.
    ///
    /// # Errors
    /// The manifest or the table of tracks.
    pub fn read_catalogue(directory: &Path) -> Result<Catalogue, BundleError> {
        parts::catalogue(directory, &Manifest::read(directory)?)
    }

    /// Opens the item tower, which no request runs: for tracks that are new.
    ///
    /// # Errors
    /// Its file is not what it was when the bundle was loaded, or does not open.
    pub fn item_tower(&self, runtime: &Runtime) -> Result<OrtItemTower, BundleError> {
        let model = parts::required_model(&self.directory, &self.manifest, runtime, ModelKind::ItemTower)?;
        Ok(OrtItemTower::new(&model)?)
    }
}

/// Reads the ranker of the bundle in `directory` alone; `None` where it has none.
///
/// # Errors
/// The manifest, or a model that is altered or is none.
pub fn read_ranker(directory: &Path, runtime: &Runtime) -> Result<Option<Model>, BundleError> {
    let manifest = Manifest::read(directory)?;
    layout::sound(directory, &manifest, ModelKind::Ranker.file())?;
    parts::model(directory, &manifest, runtime, ModelKind::Ranker)
}

/// Reads the reference of the bundle in `directory` alone; `None` where it has none.
///
/// # Errors
/// It is altered or does not fit this build.
pub fn read_reference(directory: &Path, manifest: &Manifest) -> Result<Option<Reference>, BundleError> {
    layout::sound(directory, manifest, layout::REFERENCE)?;
    parts::reference(directory, manifest)
}
