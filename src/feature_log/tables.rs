//! The columns of the three tables.

use crate::features::schema::CROSS;
use crate::tables::{Coding, Column, Flat, Type};

/// Directory of the answers.
pub(super) const ANSWERS: &str = "answers";
/// Directory of the candidates.
pub(super) const CANDIDATES: &str = "candidates";
/// Directory of the items.
pub(super) const ITEMS: &str = "items";

/// A row of `answers`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "`docs/formats.md` describes the columns")]
pub struct AnswerRow {
    pub recommendation_id: String,
    pub user_id: String,
    pub session_id: Option<String>,
    pub ts_ms: i64,
    pub seed: i64,
    pub rung: String,
    pub bundle: String,
    pub changes: String,
    pub feature_version: i32,
    pub arm: Option<String>,
    pub own_candidates: bool,
    pub pool: i32,
    pub unserved_share: f32,
    pub user: Vec<f32>,
    pub unranked: Vec<String>,
}

pub(super) const ANSWER_COLUMNS: &[Column] = &[
    Column::required("recommendation_id", Type::Utf8),
    Column::required("user_id", Type::Utf8),
    Column::optional("session_id", Type::Utf8),
    Column::required("ts_ms", Type::Int64),
    Column::required("seed", Type::Int64),
    Column::required("rung", Type::Utf8),
    Column::required("bundle", Type::Utf8),
    Column::required("changes", Type::Utf8),
    Column::required("feature_version", Type::Int32),
    Column::optional("arm", Type::Utf8),
    Column::required("own_candidates", Type::Bool),
    Column::required("pool", Type::Int32),
    Column::required("unserved_share", Type::Float32),
    Column::required("user", Type::ListFloat32),
    Column::required("unranked", Type::ListUtf8),
];

/// A row of `items`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "`docs/formats.md` describes the columns")]
pub struct ItemRow {
    pub bundle: String,
    pub changes: String,
    pub track_ix: i32,
    pub track_id: String,
    pub item: Vec<f32>,
}

pub(super) const ITEM_COLUMNS: &[Column] = &[
    Column::required("bundle", Type::Utf8),
    Column::required("changes", Type::Utf8),
    Column::required("track_ix", Type::Int32),
    Column::required("track_id", Type::Utf8),
    Column::required("item", Type::ListFloat32),
];

/// Columns of `candidates` before those of user by item.
const FIRST: [(Column, Coding); 10] = [
    (Column::required("recommendation_id", Type::Words), Coding::Distinct),
    (Column::required("track_ix", Type::Int32), Coding::Split),
    (Column::optional("position", Type::Int32), Coding::Split),
    (Column::optional("propensity", Type::Float32), Coding::Plain),
    (Column::optional("score", Type::Float32), Coding::Split),
    (Column::optional("contest", Type::Int32), Coding::Plain),
    (Column::required("complete", Type::Float32), Coding::Split),
    (Column::required("skip", Type::Float32), Coding::Split),
    (Column::required("like", Type::Float32), Coding::Split),
    (Column::required("blended", Type::Float32), Coding::Split),
];

/// Columns of user by item whose values hardly repeat; the others are shares, counts and flags.
const HARDLY_REPEAT: [&str; 6] =
    ["user_similarity", "current_similarity", "liked_similarity", "skipped_similarity", "tempo_gap", "energy_gap"];

/// All columns of `candidates`, and how they are laid out.
pub(super) fn candidate_columns() -> Vec<(Column, Coding)> {
    let cross = CROSS.iter().map(|column| {
        let coding = if HARDLY_REPEAT.contains(&column.name) { Coding::Split } else { Coding::Plain };
        (Column::required(column.name, Type::Float32), coding)
    });
    FIRST.into_iter().chain(cross).collect()
}

/// Rows of `candidates`, column by column.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "`docs/formats.md` describes the columns")]
pub struct CandidateBatch {
    /// Row i belongs to `answers[answer[i]]`.
    pub answer: Vec<i32>,
    pub answers: Vec<String>,
    pub track_ix: Vec<i32>,
    pub position: Vec<Option<i32>>,
    pub propensity: Vec<Option<f32>>,
    pub score: Vec<Option<f32>>,
    pub contest: Vec<Option<i32>>,
    pub complete: Vec<f32>,
    pub skip: Vec<f32>,
    pub like: Vec<f32>,
    pub blended: Vec<f32>,
    /// One vector a column of user by item.
    pub cross: Vec<Vec<f32>>,
}

impl CandidateBatch {
    /// Without rows.
    pub fn new() -> Self {
        Self { cross: vec![Vec::new(); CROSS.len()], ..Self::default() }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.track_ix.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.track_ix.is_empty()
    }

    /// From the columns of `candidates` as they are read; `None` where they are not those.
    pub(super) fn from_columns(columns: Vec<Flat>) -> Option<Self> {
        let mut columns = columns.into_iter();
        let mut batch = Self::default();
        let (answer, track_ix) = (columns.next()?, columns.next()?);
        let (Flat::Words { keys, words }, Flat::Int32(track_ix)) = (answer, track_ix) else { return None };
        (batch.answer, batch.answers, batch.track_ix) = (keys, words, track_ix);
        let (Flat::OptionalInt32(position), Flat::OptionalFloat32(propensity), Flat::OptionalFloat32(score)) =
            (columns.next()?, columns.next()?, columns.next()?)
        else {
            return None;
        };
        (batch.position, batch.propensity, batch.score) = (position, propensity, score);
        let Flat::OptionalInt32(contest) = columns.next()? else { return None };
        batch.contest = contest;
        let mut numbers = columns.map_while(|column| match column {
            Flat::Float32(values) => Some(values),
            Flat::OptionalFloat32(_) | Flat::Int32(_) | Flat::OptionalInt32(_) | Flat::Words { .. } => None,
        });
        (batch.complete, batch.skip) = (numbers.next()?, numbers.next()?);
        (batch.like, batch.blended) = (numbers.next()?, numbers.next()?);
        batch.cross = numbers.collect();
        (batch.cross.len() == CROSS.len()).then_some(batch)
    }

    /// Keeps the rows of answers for which `keep` says so.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        let answers: Vec<bool> = self.answers.iter().map(|answer| keep(answer)).collect();
        let rows: Vec<bool> = self.answer.iter().map(|answer| answers[*answer as usize]).collect();
        keep_rows(&mut self.answer, &rows);
        keep_rows(&mut self.track_ix, &rows);
        keep_rows(&mut self.position, &rows);
        keep_rows(&mut self.propensity, &rows);
        keep_rows(&mut self.score, &rows);
        keep_rows(&mut self.contest, &rows);
        let numbers = [&mut self.complete, &mut self.skip, &mut self.like, &mut self.blended];
        numbers.into_iter().chain(&mut self.cross).for_each(|column| keep_rows(column, &rows));
    }

    /// The columns as they are written.
    pub fn into_columns(self) -> Vec<Flat> {
        let first = [
            Flat::Words { keys: self.answer, words: self.answers },
            Flat::Int32(self.track_ix),
            Flat::OptionalInt32(self.position),
            Flat::OptionalFloat32(self.propensity),
            Flat::OptionalFloat32(self.score),
            Flat::OptionalInt32(self.contest),
            Flat::Float32(self.complete),
            Flat::Float32(self.skip),
            Flat::Float32(self.like),
            Flat::Float32(self.blended),
        ];
        first.into_iter().chain(self.cross.into_iter().map(Flat::Float32)).collect()
    }
}

fn keep_rows<T>(values: &mut Vec<T>, rows: &[bool]) {
    let mut rows = rows.iter();
    values.retain(|_| rows.next().is_none_or(|keep| *keep));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_distinct_and_those_of_the_schema() {
        let columns = candidate_columns();
        let mut names: Vec<_> = columns.iter().map(|(column, _)| column.0).collect();
        assert_eq!(columns.len(), FIRST.len() + CROSS.len());
        assert!(HARDLY_REPEAT.iter().all(|name| names.contains(name)));
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), columns.len());
        assert_eq!(CandidateBatch::new().into_columns().len(), columns.len());
    }
}
