//! The ranker's training rows, group by group, with what a ranker says of them.

use std::path::{Path, PathBuf};

use super::BundleError;
use crate::features::{CROSS_LEN, ITEM_LEN, USER_LEN};
use crate::inference::{Model, OrtRanker, RankerModel};
use crate::tables::read_rows;

/// The ranker's rows in a rows directory: a table, or a directory of the tables of several parts.
pub(super) const ROWS: &str = "ranker.parquet";

/// One row of `ranker.parquet`, backfilled or joined.
#[derive(Debug, Clone, PartialEq, serde::Deserialize)]
#[expect(missing_docs, reason = "`docs/formats.md` describes the columns")]
pub struct TrainingRow {
    pub group: i64,
    pub user_id: String,
    pub split: String,
    pub played: bool,
    pub user: Vec<f32>,
    pub item: Vec<f32>,
    pub cross: Vec<f32>,
    pub label: Vec<f32>,
    pub mask: Vec<f32>,
    /// Absent in backfilled rows.
    #[serde(default)]
    pub weight: Option<f32>,
}

/// Reads the rows of a directory and gives the groups that are `wanted` to `visit`, with the ranker's `[rows * tasks]`
/// probabilities. One group is in memory. A directory without rows has no group.
///
/// # Errors
/// Rows that cannot be read or are not of this ranker's shape, or a ranker that does not run.
pub fn each_scored(
    rows: &Path,
    ranker: &Model,
    mut wanted: impl FnMut(&[TrainingRow]) -> bool,
    mut visit: impl FnMut(Vec<TrainingRow>, &[f32]),
) -> Result<(), BundleError> {
    let mut scorer = Scorer { session: OrtRanker::new(ranker)?, dim: ranker.dim(), tasks: Vec::new() };
    for path in tables(&rows.join(ROWS))? {
        let mut close = |group: Vec<TrainingRow>| {
            if !group.is_empty() && wanted(&group) {
                scorer.score(&group, &path)?;
                visit(group, &scorer.tasks);
            }
            Ok::<_, BundleError>(())
        };
        let mut open: Vec<TrainingRow> = Vec::new();
        for row in read_rows::<TrainingRow>(&path).map_err(|e| BundleError::path(&path, e.fault))? {
            let row = row.map_err(|e| BundleError::path(&path, e.fault))?;
            if open.first().is_some_and(|first| first.group != row.group) {
                close(std::mem::take(&mut open))?;
            }
            open.push(row);
        }
        close(open)?;
    }
    Ok(())
}

fn tables(path: &Path) -> Result<Vec<PathBuf>, BundleError> {
    if !path.is_dir() {
        return Ok(path.exists().then(|| path.to_owned()).into_iter().collect());
    }
    let entries = std::fs::read_dir(path).map_err(|e| BundleError::path(path, e))?;
    let mut parts: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    parts.retain(|part| part.extension().is_some_and(|ending| ending == "parquet"));
    parts.sort();
    Ok(parts)
}

struct Scorer {
    session: OrtRanker,
    dim: usize,
    tasks: Vec<f32>,
}

impl Scorer {
    fn score(&mut self, rows: &[TrainingRow], path: &Path) -> Result<(), BundleError> {
        let widths = (USER_LEN + self.dim, ITEM_LEN + self.dim, CROSS_LEN);
        if let Some(row) = rows.iter().find(|row| (row.user.len(), row.item.len(), row.cross.len()) != widths) {
            let found = (row.user.len(), row.item.len(), row.cross.len());
            let fault = format!("a row of {found:?} numbers; the ranker takes {widths:?}: rows of another model");
            return Err(BundleError::path(path, fault));
        }
        let user = rows.first().map_or(&[][..], |row| &row.user);
        let items: Vec<f32> = rows.iter().flat_map(|row| &row.item).copied().collect();
        let cross: Vec<f32> = rows.iter().flat_map(|row| &row.cross).copied().collect();
        Ok(self.session.score(user, &items, &cross, rows.len(), &mut self.tasks)?)
    }
}
