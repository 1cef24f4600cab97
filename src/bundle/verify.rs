//! Verification that goes on after the first fault.

use std::path::Path;
use std::sync::Arc;

use super::manifest::MANIFEST;
use super::{BundleError, Manifest, layout, parts};
use crate::config::Config;
use crate::inference::parity::{Parity, TOLERANCE};
use crate::inference::{ModelKind, Runtime};

/// What is known of a bundle after everything was tried.
#[derive(Debug, Default)]
pub struct Report {
    /// The manifest, if it could be read.
    pub manifest: Option<Manifest>,
    /// Every fault found; empty = [`super::Bundle::load`] will take it.
    pub faults: Vec<BundleError>,
    /// Largest difference between PyTorch's outputs in `parity.json` and the models' outputs here.
    pub parity: Vec<(ModelKind, f32)>,
}

impl Report {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.faults.is_empty()
    }

    fn keep<T>(&mut self, part: Result<T, BundleError>) -> Option<T> {
        part.map_err(|fault| self.faults.push(fault)).ok()
    }
}

/// Finds all faults of the bundle in `directory`: files against the manifest, then each part whose files are sound, then
/// the models' outputs against `parity.json`. Costs what loading costs, without an index that would have to be built.
pub fn verify(directory: &Path, config: &Config, runtime: &Runtime) -> Report {
    let mut report = Report::default();
    let Some(manifest) = report.keep(Manifest::read(directory)) else { return report };
    report.faults = layout::faults(directory, &manifest);
    let sound: Vec<&str> = layout::names().filter(|name| !names(&report.faults, name)).collect();
    let is_sound = |files: &[&str]| files.iter().all(|file| sound.contains(file));

    let catalogue = is_sound(&[layout::TRACKS]).then(|| report.keep(parts::catalogue(directory, &manifest))).flatten();
    if let Some(catalogue) = catalogue.filter(|_| is_sound(&[layout::POPULARITY, layout::GLOBAL_TOP])) {
        report.keep(parts::popularity(directory, &catalogue));
    }
    let vectors = is_sound(&[layout::VECTORS]).then(|| report.keep(parts::vectors(directory, &manifest))).flatten();
    if let Some(vectors) = vectors.filter(|_| is_sound(&[layout::index_file(manifest.engine)])) {
        report.keep(parts::index(directory, &manifest, &config.index, Arc::new(vectors)));
    }
    if is_sound(&[layout::RULES]) {
        report.keep(parts::rules(directory, &manifest));
    }
    if is_sound(&[layout::REFERENCE]) {
        report.keep(parts::reference(directory, &manifest));
    }
    if is_sound(&[layout::INTENTS]) {
        report.keep(parts::intents(directory));
    }
    if is_sound(&[layout::PROTOTYPES]) {
        report.keep(parts::prototypes(directory, &manifest));
    }
    let parity = is_sound(&[layout::PARITY]).then(|| report.keep(parts::parity(directory, &manifest))).flatten();
    for kind in ModelKind::ALL.into_iter().filter(|kind| is_sound(&[kind.file()])) {
        verify_model(&mut report, directory, &manifest, runtime, kind, parity.as_ref().and_then(Option::as_ref));
    }
    report.manifest = Some(manifest);
    report
}

fn verify_model(
    report: &mut Report,
    directory: &Path,
    manifest: &Manifest,
    runtime: &Runtime,
    kind: ModelKind,
    parity: Option<&Parity>,
) {
    let model = report.keep(parts::model(directory, manifest, runtime, kind)).flatten();
    let (Some(model), Some(parity)) = (model, parity) else { return };
    if let Some(difference) = report.keep(parity.difference(&model).map_err(Into::into)).flatten() {
        report.parity.push((kind, difference));
        if difference > TOLERANCE {
            let fault = format!("differs from PyTorch by {difference}, at most {TOLERANCE} is rounding");
            report.faults.push(BundleError::file(kind.file(), fault));
        }
    }
}

/// Whether a fault is about this file; a manifest that lists wrongly is about none of them.
fn names(faults: &[BundleError], name: &str) -> bool {
    faults.iter().any(|fault| matches!(fault, BundleError::File { file, .. } if file == name && file != MANIFEST))
}
