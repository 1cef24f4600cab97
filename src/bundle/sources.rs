//! What a bundle is built from, beside the tables: the split of time, sizes and metadata that training left behind.

use std::collections::BTreeMap;
use std::path::Path;

use super::{BundleError, Sizes};
use crate::features::schema;

/// Longest text of a training scalar that is copied, bytes.
const MAX_TEXT_BYTES: usize = 1_000;
/// Most training scalars that are copied.
const MAX_SCALARS: usize = 1_000;

/// The moment up to which events go into a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AsOf {
    /// Where the ranker's training rows begin: for the towers-only bundle that `backfill ranker` reads.
    RankFrom,
    /// Where the test rows begin: for evaluation.
    TestFrom,
    /// After the last event: for serving.
    End,
    /// Unix ms.
    Ms(i64),
}

impl std::str::FromStr for AsOf {
    type Err = String;

    /// `rank`, `test`, `end`, Unix milliseconds, or an RFC 3339 instant.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "rank" => Ok(Self::RankFrom),
            "test" => Ok(Self::TestFrom),
            "end" => Ok(Self::End),
            _ => {
                let instant =
                    text.parse().ok().or_else(|| Some(text.parse::<jiff::Timestamp>().ok()?.as_millisecond()));
                instant.map(Self::Ms).ok_or_else(|| {
                    format!(
                        "{text:?} is not rank, test, end, Unix milliseconds or an instant like 2026-01-31T00:00:00Z"
                    )
                })
            }
        }
    }
}

/// The part of a rows directory's `schema.json` that building needs.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
pub struct RowsSchema {
    feature_version: u32,
    tracks: usize,
    artists: usize,
    genres: usize,
    /// Where the ranker's window begins, Unix ms.
    pub rank_from_ms: i64,
    /// Where the test period begins, Unix ms.
    pub test_from_ms: i64,
}

impl RowsSchema {
    /// Reads the file; its rows must be a beginning of the catalogue's.
    ///
    /// # Errors
    /// A missing or malformed file, another feature version, or another catalogue.
    pub fn read(rows: &Path, catalogue: Sizes) -> Result<Self, BundleError> {
        let path = rows.join("schema.json");
        let text = std::fs::read(&path).map_err(|e| BundleError::path(&path, e))?;
        let schema: Self = serde_json::from_slice(&text).map_err(|e| BundleError::path(&path, e))?;
        if schema.feature_version != schema::VERSION {
            let fault = format!(
                "rows of feature version {}, this build computes {}; run segue backfill again",
                schema.feature_version,
                schema::VERSION
            );
            return Err(BundleError::path(&path, fault));
        }
        let sizes = schema.sizes();
        if sizes.tracks > catalogue.tracks || sizes.artists > catalogue.artists || sizes.genres > catalogue.genres {
            let fault = format!("rows of {sizes:?}, but the catalogue has {catalogue:?}: not the same tracks");
            return Err(BundleError::path(&path, fault));
        }
        Ok(schema)
    }

    pub(super) fn sizes(&self) -> Sizes {
        Sizes { tracks: self.tracks, artists: self.artists, genres: self.genres }
    }

    /// The moment in Unix ms; `None` = after the last event.
    pub(super) fn instant(&self, as_of: AsOf) -> Option<i64> {
        match as_of {
            AsOf::RankFrom => Some(self.rank_from_ms),
            AsOf::TestFrom => Some(self.test_from_ms),
            AsOf::End => None,
            AsOf::Ms(ms) => Some(ms),
        }
    }
}

/// The scalars of a models directory's `training.json`, nested ones as `outer.inner`; empty without the file.
pub(super) fn training(models: &Path) -> Result<BTreeMap<String, toml::Value>, BundleError> {
    let path = models.join("training.json");
    if !path.exists() {
        return Ok(BTreeMap::new());
    }
    let text = std::fs::read(&path).map_err(|e| BundleError::path(&path, e))?;
    let json = serde_json::from_slice(&text).map_err(|e| BundleError::path(&path, e))?;
    let mut scalars = BTreeMap::new();
    flatten("", &json, &mut scalars);
    if scalars.len() > MAX_SCALARS {
        return Err(BundleError::path(&path, format!("{} scalars, at most {MAX_SCALARS}", scalars.len())));
    }
    Ok(scalars)
}

fn flatten(name: &str, json: &serde_json::Value, out: &mut BTreeMap<String, toml::Value>) {
    let scalar = match json {
        serde_json::Value::Object(fields) => {
            for (key, value) in fields {
                flatten(&if name.is_empty() { key.clone() } else { format!("{name}.{key}") }, value, out);
            }
            return;
        }
        serde_json::Value::Array(_) | serde_json::Value::Null => return,
        serde_json::Value::Bool(value) => toml::Value::Boolean(*value),
        serde_json::Value::String(text) if text.len() <= MAX_TEXT_BYTES => toml::Value::String(text.clone()),
        serde_json::Value::String(_) => return,
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) => toml::Value::Integer(integer),
            (None, Some(float)) => toml::Value::Float(float),
            (None, None) => return,
        },
    };
    out.insert(name.to_owned(), scalar);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_parse() {
        assert_eq!("rank".parse(), Ok(AsOf::RankFrom));
        assert_eq!("1000".parse(), Ok(AsOf::Ms(1000)));
        assert_eq!("1970-01-01T00:00:01Z".parse(), Ok(AsOf::Ms(1000)));
        assert!("yesterday".parse::<AsOf>().unwrap_err().contains("rank, test, end"));
    }

    #[test]
    fn training_scalars_are_flattened() {
        let folder = tempfile::tempdir().unwrap();
        assert!(training(folder.path()).unwrap().is_empty());
        let json = r#"{"seed":7,"loss":{"train":0.5},"curve":[1,2],"note":"x","none":null}"#;
        std::fs::write(folder.path().join("training.json"), json).unwrap();
        let keys: Vec<_> = training(folder.path()).unwrap().into_keys().collect();
        assert_eq!(keys, ["loss.train", "note", "seed"]);
    }
}
