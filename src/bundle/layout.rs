//! The files of a bundle: a closed set of names, each with a size limit. Checked against the manifest before any is read.

use std::collections::HashSet;
use std::path::Path;

use super::manifest::{MANIFEST, Manifest};
use super::{BundleError, digest};
use crate::config::Engine;
use crate::index::{FLAT_FILE, GRAPH_FILE};
use crate::inference::ModelKind;

/// The catalogue.
pub(super) const TRACKS: &str = "tracks.parquet";
/// The item vectors.
pub const VECTORS: &str = "item_vectors.bin";
/// Decayed plays.
pub(super) const POPULARITY: &str = "popularity.parquet";
/// What follows what inside sessions.
pub(super) const RULES: &str = "sequential_rules.bin";
/// The last rung.
pub(super) const GLOBAL_TOP: &str = "global_top.json";
/// Session intents.
pub(super) const INTENTS: &str = "intents.json";
/// What sessions of each intent are like.
pub(super) const PROTOTYPES: &str = "intent_prototypes.json";
/// What PyTorch computed for a few rows.
pub(super) const PARITY: &str = "parity.json";
/// What the ranker's inputs and heads looked like in training.
pub(super) const REFERENCE: &str = "reference.json";
/// What the models are and how good they were, for people.
pub(super) const CARD: &str = "model_card.md";
/// The links of the HNSW index.
pub(super) const GRAPH: &str = GRAPH_FILE;
/// The cells of the lists index.
pub(super) const FLAT: &str = FLAT_FILE;

/// The file that an engine reads.
pub(super) fn index_file(engine: Engine) -> &'static str {
    match engine {
        Engine::Exact | Engine::Auto => VECTORS,
        Engine::Lists => FLAT,
        Engine::Hnsw => GRAPH,
    }
}

struct Part {
    name: &'static str,
    required: bool,
    max_bytes: u64,
}

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

const PARTS: &[Part] = &[
    Part { name: "user_tower.onnx", required: true, max_bytes: 2 * GIB },
    Part { name: "item_tower.onnx", required: true, max_bytes: 2 * GIB },
    Part { name: "ranker.onnx", required: false, max_bytes: 2 * GIB },
    Part { name: "first_phase.onnx", required: false, max_bytes: 2 * GIB },
    Part { name: TRACKS, required: true, max_bytes: 64 * GIB },
    Part { name: VECTORS, required: true, max_bytes: 512 * GIB },
    Part { name: POPULARITY, required: true, max_bytes: 16 * GIB },
    Part { name: RULES, required: false, max_bytes: 64 * GIB },
    Part { name: GLOBAL_TOP, required: true, max_bytes: MIB },
    Part { name: INTENTS, required: true, max_bytes: MIB },
    Part { name: PROTOTYPES, required: false, max_bytes: 64 * MIB },
    Part { name: PARITY, required: false, max_bytes: 64 * MIB },
    Part { name: REFERENCE, required: false, max_bytes: MIB },
    Part { name: CARD, required: false, max_bytes: MIB },
    Part { name: GRAPH, required: false, max_bytes: 512 * GIB },
    Part { name: FLAT, required: false, max_bytes: 512 * GIB },
];

/// The names that a bundle's files may have, without the manifest.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    PARTS.iter().map(|part| part.name)
}

/// Every fault of the directory against its manifest: names first, then presence and size, and digests only of what is
/// still sound. `O(bytes)`; nothing is parsed.
pub(super) fn faults(directory: &Path, manifest: &Manifest) -> Vec<BundleError> {
    let mut faults = listing_faults(manifest);
    faults.extend(extra_files(directory, manifest));
    faults.extend(manifest.files.iter().filter_map(|entry| {
        let part = PARTS.iter().find(|part| part.name == entry.name)?;
        let fault = file_fault(directory, part, entry.bytes, &entry.sha256)?;
        Some(BundleError::file(part.name, fault))
    }));
    faults
}

/// Checks one file by itself, for those who need no more of a bundle.
pub(super) fn sound(directory: &Path, manifest: &Manifest, name: &str) -> Result<(), BundleError> {
    let known = PARTS.iter().find(|part| part.name == name).zip(manifest.file(name));
    match known.and_then(|(part, entry)| file_fault(directory, part, entry.bytes, &entry.sha256)) {
        Some(fault) => Err(BundleError::file(name, fault)),
        None => Ok(()),
    }
}

fn listing_faults(manifest: &Manifest) -> Vec<BundleError> {
    let mut faults = Vec::new();
    let mut seen = HashSet::new();
    for entry in &manifest.files {
        if !PARTS.iter().any(|part| part.name == entry.name) {
            faults.push(BundleError::file(MANIFEST, format!("lists {:?}, which is no file of a bundle", entry.name)));
        } else if !seen.insert(entry.name.as_str()) {
            faults.push(BundleError::file(MANIFEST, format!("lists {} twice", entry.name)));
        }
    }
    let index = index_file(manifest.engine);
    for part in PARTS {
        let model = ModelKind::ALL.into_iter().find(|kind| kind.file() == part.name);
        let needed = part.required || part.name == index;
        if needed && !seen.contains(part.name) {
            faults.push(BundleError::file(part.name, "missing: the manifest does not list it"));
        }
        if model.is_some_and(|kind| manifest.models.contains_key(kind.name()) != seen.contains(part.name)) {
            faults.push(BundleError::file(MANIFEST, format!("its models and its files disagree on {}", part.name)));
        }
    }
    faults
}

fn extra_files(directory: &Path, manifest: &Manifest) -> Vec<BundleError> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(e) => return vec![BundleError::directory(directory, e)],
    };
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| name != MANIFEST && manifest.file(name).is_none());
    names.sort();
    names.into_iter().map(|name| BundleError::file(name, "extra: the manifest does not list it")).collect()
}

fn file_fault(directory: &Path, part: &Part, bytes: u64, sha256: &str) -> Option<String> {
    let path = directory.join(part.name);
    let found = match std::fs::symlink_metadata(&path) {
        Err(e) => return Some(format!("missing: {e}")),
        Ok(found) if !found.is_file() => return Some("not a regular file".into()),
        Ok(found) => found.len(),
    };
    if found > part.max_bytes {
        return Some(format!("{found} bytes, at most {} are read", part.max_bytes));
    }
    if found != bytes {
        let how = if found < bytes { "truncated" } else { "altered" };
        return Some(format!("{how}: {found} bytes, the manifest says {bytes}"));
    }
    match digest::of_file(&path) {
        Err(e) => Some(e.to_string()),
        Ok((_, found)) if found != sha256 => Some(format!("altered: SHA-256 {found}, the manifest says {sha256}")),
        Ok(_) => None,
    }
}
