//! `manifest.toml`: what a bundle says of itself. Its first lines hold a digest of the rest, so a changed manifest is
//! refused like any other changed file.

use std::collections::BTreeMap;
use std::path::Path;

use super::{BundleError, digest};
use crate::config::Engine;
use crate::features::schema;
use crate::inference::{Model, ModelKind};

/// The bundle format that this build writes and reads.
pub const FORMAT: u32 = 1;
/// The manifest's file name.
pub const MANIFEST: &str = "manifest.toml";
/// Longest manifest read, bytes.
const MAX_BYTES: u64 = 1 << 20;
/// Largest dimension of a space.
const MAX_DIM: usize = 4_096;
const HEADER: &str = "# A Segue bundle. It is never edited: the digest covers every byte below its line.\ndigest = \"";

/// Rows of the three id spaces.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sizes {
    /// Tracks.
    pub tracks: usize,
    /// Artists.
    pub artists: usize,
    /// Genres.
    pub genres: usize,
}

/// Tensors of one model, as `name type[sizes]`, `*` = any size.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelEntry {
    /// Inputs in order.
    pub inputs: Vec<String>,
    /// The output.
    pub output: String,
    /// Version of ONNX's standard operators that the file asks for; absent in bundles from before it was noted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opset: Option<u64>,
}

impl ModelEntry {
    /// What a model of this kind has in this build.
    pub fn of(kind: ModelKind, dim: usize) -> Self {
        let signature = kind.signature(dim);
        Self {
            inputs: signature.inputs.iter().map(ToString::to_string).collect(),
            output: signature.output.to_string(),
            opset: None,
        }
    }

    /// Whether the tensors are those of `other`.
    fn has_tensors_of(&self, other: &Self) -> bool {
        self.inputs == other.inputs && self.output == other.output
    }
}

impl From<&Model> for ModelEntry {
    fn from(model: &Model) -> Self {
        Self { opset: model.opset(), ..Self::of(model.kind(), model.dim()) }
    }
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Name in the bundle's directory.
    pub name: String,
    /// Length.
    pub bytes: u64,
    /// Lower-case hexadecimal SHA-256.
    pub sha256: String,
}

/// The manifest.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// Name of this bundle in answers, logs and metrics: 1..64 of `A-Z a-z 0-9 . _ -`.
    pub version: String,
    /// Version of the feature schema that models were trained on.
    pub feature_version: u32,
    /// Dimension of the embedding space.
    pub dim: usize,
    /// The moment of the item features and the popularity, Unix ms: nothing after it went in.
    pub as_of_ms: i64,
    /// Half-life of plays in the popularity, days.
    pub half_life_days: f32,
    /// Positive plays before `as_of_ms`.
    pub plays: u64,
    /// Index engine built into the bundle: `exact` (no file), `lists` or `hnsw`.
    pub engine: Engine,
    /// Rows of the catalogue.
    pub catalogue: Sizes,
    /// Rows that the towers were trained with; later rows are unknown to them (id 0).
    pub trained: Sizes,
    /// By model name.
    pub models: BTreeMap<String, ModelEntry>,
    /// Scalars of `training.json`; nested ones as `outer.inner`.
    #[serde(default)]
    pub training: BTreeMap<String, toml::Value>,
    /// Every other file of the directory.
    #[serde(rename = "file")]
    pub files: Vec<FileEntry>,
}

impl Manifest {
    /// Reads, checks the digest, parses and checks ranges and versions.
    ///
    /// # Errors
    /// Any fault, named with the file.
    pub fn read(directory: &Path) -> Result<Self, BundleError> {
        let refuse = |fault: String| BundleError::file(MANIFEST, fault);
        let path = directory.join(MANIFEST);
        let bytes = std::fs::symlink_metadata(&path)
            .map_err(|e| BundleError::directory(directory, format!("not a bundle: {MANIFEST}: {e}")))?;
        if !bytes.is_file() || bytes.len() > MAX_BYTES {
            return Err(refuse(format!("not a file of at most {MAX_BYTES} bytes")));
        }
        let text = std::fs::read(&path).map_err(|e| refuse(e.to_string()))?;
        let text = String::from_utf8(text).map_err(|_| refuse("altered: not UTF-8".into()))?;
        Self::parse(&text).map_err(refuse)
    }

    /// Parses the text of a manifest.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (stated, body) = text
            .strip_prefix(HEADER)
            .and_then(|rest| rest.split_once("\"\n"))
            .ok_or("altered: it does not begin as segue bundle build writes it")?;
        if digest::of_bytes(body.as_bytes()) != stated {
            return Err("altered: its digest differs; build the bundle again".into());
        }
        let table: toml::Table = body.parse().map_err(|e| format!("not TOML: {e}"))?;
        match table.get("format").and_then(toml::Value::as_integer) {
            Some(format) if format == i64::from(FORMAT) => {}
            Some(format) => {
                return Err(format!("bundle format {format}, this build reads {FORMAT}; use the build that wrote it"));
            }
            None => return Err("no format number".into()),
        }
        let manifest: Self = table.try_into().map_err(|e| e.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// The text of the file.
    ///
    /// # Errors
    /// A field out of range.
    pub fn to_text(&self) -> Result<String, String> {
        self.check()?;
        let body = format!("\n{}", toml::to_string(self).map_err(|e| e.to_string())?);
        Ok(format!("{HEADER}{}\"\n{body}", digest::of_bytes(body.as_bytes())))
    }

    /// The entry of a file.
    pub fn file(&self, name: &str) -> Option<&FileEntry> {
        self.files.iter().find(|entry| entry.name == name)
    }

    fn check(&self) -> Result<(), String> {
        check_version(&self.version)?;
        if self.feature_version != schema::VERSION {
            return Err(format!(
                "made for features of version {}, this build computes version {}; train and build it again",
                self.feature_version,
                schema::VERSION
            ));
        }
        if self.dim == 0 || self.dim > MAX_DIM {
            return Err(format!("dim {} is not in 1..={MAX_DIM}", self.dim));
        }
        if self.catalogue.tracks == 0 || u32::try_from(self.catalogue.tracks).is_err() {
            return Err(format!("{} tracks", self.catalogue.tracks));
        }
        if self.engine == Engine::Auto {
            return Err("engine \"auto\" is a choice, not an index".into());
        }
        if !(self.half_life_days.is_finite() && self.half_life_days > 0.0) {
            return Err(format!("half_life_days {} is not positive", self.half_life_days));
        }
        for kind in ModelKind::ALL {
            let expected = ModelEntry::of(kind, self.dim);
            if let Some(found) = self.models.get(kind.name()).filter(|found| !found.has_tensors_of(&expected)) {
                return Err(format!("models.{}: expected {expected:?}, found {found:?}", kind.name()));
            }
        }
        match self.models.keys().find(|name| ModelKind::ALL.iter().all(|kind| kind.name() != name.as_str())) {
            Some(unknown) => Err(format!("models.{unknown}: no such model")),
            None => Ok(()),
        }
    }
}

/// Checks a version: it becomes a label and part of answers.
pub(super) fn check_version(version: &str) -> Result<(), String> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if version.is_empty() || version.len() > 64 || !version.chars().all(legal) {
        return Err(format!("version {version:?}: use 1 to 64 of A-Z a-z 0-9 . _ -"));
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(in crate::bundle) fn manifest() -> Manifest {
        let sizes = Sizes { tracks: 40, artists: 12, genres: 5 };
        Manifest {
            format: FORMAT,
            version: "2026-01-01.a".into(),
            feature_version: schema::VERSION,
            dim: 8,
            as_of_ms: 1,
            half_life_days: 14.0,
            plays: 7,
            engine: Engine::Exact,
            catalogue: sizes,
            trained: sizes,
            models: ModelKind::ALL.map(|k| (k.name().to_owned(), ModelEntry::of(k, 8))).into(),
            training: [("metrics.recall".to_owned(), toml::Value::Float(0.5))].into(),
            files: vec![FileEntry { name: "tracks.parquet".into(), bytes: 3, sha256: "00".into() }],
        }
    }

    #[test]
    fn reads_what_it_writes() {
        let text = manifest().to_text().unwrap();
        assert_eq!(Manifest::parse(&text), Ok(manifest()));
    }

    #[test]
    fn refuses_other_versions() {
        let with = |change: &dyn Fn(&mut Manifest)| {
            let mut changed = manifest();
            change(&mut changed);
            let body = toml::to_string(&changed).unwrap();
            Manifest::parse(&format!("{HEADER}{}\"\n{body}", digest::of_bytes(body.as_bytes()))).unwrap_err()
        };
        assert!(with(&|m| m.format = 2).contains("bundle format 2, this build reads 1"));
        assert!(with(&|m| m.feature_version += 1).contains("features of version"));
        assert!(with(&|m| m.dim = 16).contains("models.user_tower"));
        assert!(with(&|m| m.version = "a/b".into()).contains("version"));
        assert!(with(&|m| m.engine = Engine::Auto).contains("engine"));
        assert!(with(&|m| m.half_life_days = f32::NAN).contains("half_life_days"));
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_noticed(at in any::<prop::sample::Index>(), flip in 1u8..128) {
            let mut text = manifest().to_text().unwrap().into_bytes();
            let at = at.index(text.len());
            text[at] ^= flip;
            prop_assert!(String::from_utf8(text).map_or(true, |text| Manifest::parse(&text).is_err()));
        }
    }
}
