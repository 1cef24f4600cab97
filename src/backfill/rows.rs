//! The tables of a rows directory.

use std::path::Path;

use super::error::file_fault;
use super::settling::Likeable;
use super::{BackfillError, UserPart};
use crate::features::schema::{RowsInfo, TASKS, describe};
use crate::tables::{Column, RowWriter, Type};

/// Place of the like among the tasks.
pub(super) const LIKE: usize = TASKS.len() - 1;

/// A row of `items.parquet`.
#[derive(serde::Serialize)]
pub(super) struct ItemRow {
    pub(super) track_id: String,
    pub(super) artist_ix: i32,
    pub(super) genre_ix: i32,
    pub(super) item: Vec<f32>,
    pub(super) plays: i64,
}

pub(super) const ITEMS: &[Column] = &[
    Column::required("track_id", Type::Utf8),
    Column::required("artist_ix", Type::Int32),
    Column::required("genre_ix", Type::Int32),
    Column::required("item", Type::ListFloat32),
    Column::required("plays", Type::Int64),
];

/// A row of `towers.parquet`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct TowerRow {
    pub(super) user_id: String,
    pub(super) session_id: String,
    pub(super) ts_ms: i64,
    pub(super) split: String,
    pub(super) target_ix: i32,
    pub(super) history_ix: Vec<i32>,
    pub(super) history_signals: Vec<f32>,
    pub(super) user: Vec<f32>,
}

pub(super) const TOWERS: &[Column] = &[
    Column::required("user_id", Type::Utf8),
    Column::required("session_id", Type::Utf8),
    Column::required("ts_ms", Type::Int64),
    Column::required("split", Type::Utf8),
    Column::required("target_ix", Type::Int32),
    Column::required("history_ix", Type::ListInt32),
    Column::required("history_signals", Type::ListFloat32),
    Column::required("user", Type::ListFloat32),
];

/// A row of `ranker.parquet`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(super) struct RankerRow {
    pub(super) group: i64,
    pub(super) user_id: String,
    pub(super) ts_ms: i64,
    pub(super) split: String,
    pub(super) track_ix: i32,
    pub(super) played: bool,
    pub(super) user: Vec<f32>,
    pub(super) item: Vec<f32>,
    pub(super) cross: Vec<f32>,
    pub(super) label: Vec<f32>,
    pub(super) mask: Vec<f32>,
}

pub(super) const RANKER: &[Column] = &[
    Column::required("group", Type::Int64),
    Column::required("user_id", Type::Utf8),
    Column::required("ts_ms", Type::Int64),
    Column::required("split", Type::Utf8),
    Column::required("track_ix", Type::Int32),
    Column::required("played", Type::Bool),
    Column::required("user", Type::ListFloat32),
    Column::required("item", Type::ListFloat32),
    Column::required("cross", Type::ListFloat32),
    Column::required("label", Type::ListFloat32),
    Column::required("mask", Type::ListFloat32),
];

/// Begins the table of a part of the listeners.
pub(super) fn create<T: serde::Serialize>(
    table: &Path,
    part: UserPart,
    columns: &[Column],
) -> Result<RowWriter<T>, BackfillError> {
    let path = part.table(table);
    path.parent().map_or(Ok(()), std::fs::create_dir_all).map_err(|e| file_fault(&path, e))?;
    Ok(RowWriter::create(&path, columns)?)
}

/// The played row comes first.
impl Likeable for Vec<RankerRow> {
    fn set_liked(&mut self, liked: bool) {
        if let Some(played) = self.first_mut() {
            played.label[LIKE] = f32::from(liked);
        }
    }
}

/// `train`, or `valid` for the last part of a window.
pub(super) fn split(ts_ms: i64, (from_ms, until_ms): (i64, i64), valid_part: f64) -> &'static str {
    let valid_from = until_ms - ((until_ms - from_ms) as f64 * valid_part) as i64;
    if ts_ms < valid_from { "train" } else { "valid" }
}

/// Writes `schema.json`.
pub(super) fn write_schema(out: &Path, info: &RowsInfo) -> Result<(), BackfillError> {
    let path = out.join("schema.json");
    let text = serde_json::to_vec_pretty(&describe(info)).map_err(|e| file_fault(&path, e))?;
    std::fs::write(&path, text).map_err(|e| file_fault(&path, e))
}
