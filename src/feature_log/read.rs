//! The log read back: answers with their candidates and items.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::part::file;
use super::tables::{ANSWERS, AnswerRow, CANDIDATES, CandidateBatch, ITEMS, ItemRow, candidate_columns};
use crate::store::{Store, Stored};
use crate::tables::{Column, Hour, TableError, read_flat, read_notes, stored_rows, tables_by_hour};

/// Note in the metadata of a part's answers: the names of the parts that it replaced, between commas.
pub(super) const REPLACES: &str = "segue.replaces";

/// A finished part.
#[derive(Debug, Clone)]
pub struct LoggedPart {
    /// Its hour.
    pub hour: Hour,
    /// Its name.
    pub name: String,
    log: Arc<dyn Store>,
}

/// One logged candidate with everything that the ranker saw of it.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "`docs/formats.md` describes the columns")]
pub struct RankedRow {
    pub track_ix: i32,
    pub track_id: Arc<str>,
    pub position: Option<i32>,
    pub propensity: Option<f32>,
    pub score: Option<f32>,
    pub contest: Option<i32>,
    pub tasks: [f32; 3],
    pub blended: f32,
    /// `[I + dim]`.
    pub item: Arc<[f32]>,
    /// `[X]`.
    pub cross: Vec<f32>,
}

/// An answer with its logged candidates, in the order in which the ranker saw them.
#[derive(Debug, Clone, PartialEq)]
pub struct LoggedGroup {
    /// The answer.
    pub answer: AnswerRow,
    /// Its candidates, at least one.
    pub rows: Vec<RankedRow>,
}

/// The finished parts of a log that no other part replaced, by hour, in order of their names.
///
/// # Errors
/// The store's, or a file that is no table.
pub fn parts(log: &Arc<dyn Store>) -> Result<BTreeMap<Hour, Vec<LoggedPart>>, TableError> {
    let found = tables_by_hour(log, ANSWERS)?;
    found
        .into_iter()
        .map(|(hour, answers)| {
            let mut replaced = HashSet::new();
            for part in &answers {
                replaced.extend(replaces(part)?);
            }
            let names = answers.iter().filter_map(|part| part.file_name().strip_suffix(".parquet"));
            let parts = names.filter(|name| !replaced.contains(*name));
            Ok((hour, parts.map(|name| LoggedPart { hour, name: name.to_owned(), log: Arc::clone(log) }).collect()))
        })
        .collect()
}

/// The parts that the part of these answers replaced.
pub(super) fn replaces(answers: &Stored) -> Result<Vec<String>, TableError> {
    let notes = read_notes(answers)?;
    Ok(notes.get(REPLACES).map_or_else(Vec::new, |names| names.split(',').map(str::to_owned).collect()))
}

/// Id and row of a track, by what the row was computed from and the track's number there.
type Items = HashMap<String, HashMap<i32, (Arc<str>, Arc<[f32]>)>>;

fn ground(bundle: &str, changes: &str) -> String {
    format!("{bundle}\n{changes}")
}

impl LoggedPart {
    /// One of its files.
    pub(super) fn file(&self, table: &str) -> Stored {
        Stored::at(&self.log, self.hour.key(table, &file(&self.name)))
    }

    /// Its answers.
    ///
    /// # Errors
    /// A damaged file.
    pub fn answers(&self) -> Result<Vec<AnswerRow>, TableError> {
        stored_rows(&self.file(ANSWERS))?.collect()
    }

    /// Its items.
    ///
    /// # Errors
    /// A damaged file.
    pub fn items(&self) -> Result<Vec<ItemRow>, TableError> {
        stored_rows(&self.file(ITEMS))?.collect()
    }

    /// Its candidates, batch by batch.
    ///
    /// # Errors
    /// A damaged file.
    pub fn candidates(&self) -> Result<impl Iterator<Item = Result<CandidateBatch, TableError>> + use<>, TableError> {
        let object = self.file(CANDIDATES);
        let columns: Vec<Column> = candidate_columns().into_iter().map(|(column, _)| column).collect();
        let read = read_flat(&object, columns)?;
        let fault = move || TableError { file: object.name(), fault: "other columns than a feature log's".into() };
        Ok(read.map(move |columns| CandidateBatch::from_columns(columns?).ok_or_else(&fault)))
    }

    /// Its answers that have candidates, in the order of these. Answers and items are in memory, of candidates a batch.
    ///
    /// # Errors
    /// A damaged file; from the iterator also a candidate whose answer or item is not there.
    pub fn groups(&self) -> Result<impl Iterator<Item = Result<LoggedGroup, TableError>> + use<>, TableError> {
        let answers = self.answers()?.into_iter().map(|row| (row.recommendation_id.clone(), row)).collect();
        let mut items = Items::new();
        for row in self.items()? {
            let theirs = items.entry(ground(&row.bundle, &row.changes)).or_default();
            theirs.insert(row.track_ix, (row.track_id.into(), row.item.into()));
        }
        let file = self.file(CANDIDATES).name();
        let mut batches = self.candidates()?;
        let mut groups = Groups { file, answers, items, open: None, ground: String::new() };
        let mut done = std::collections::VecDeque::new();
        let mut ended = false;
        Ok(std::iter::from_fn(move || {
            while done.is_empty() && !ended {
                match batches.next() {
                    Some(batch) => match batch.and_then(|batch| groups.add(&batch, &mut done)) {
                        Ok(()) => {}
                        Err(error) => {
                            ended = true;
                            done.push_back(Err(error));
                        }
                    },
                    None => {
                        ended = true;
                        done.extend(groups.open.take().map(Ok));
                    }
                }
            }
            done.pop_front()
        }))
    }
}

/// Groups in the making.
struct Groups {
    file: String,
    answers: HashMap<String, AnswerRow>,
    items: Items,
    open: Option<LoggedGroup>,
    ground: String,
}

impl Groups {
    fn add(
        &mut self,
        batch: &CandidateBatch,
        done: &mut std::collections::VecDeque<Result<LoggedGroup, TableError>>,
    ) -> Result<(), TableError> {
        let fault = |fault: String| TableError { file: self.file.clone(), fault };
        for row in 0..batch.len() {
            let id = &batch.answers[batch.answer[row] as usize];
            if self.open.as_ref().is_none_or(|open| open.answer.recommendation_id != *id) {
                done.extend(self.open.take().map(Ok));
                let answer = self.answers.remove(id);
                let answer =
                    answer.ok_or_else(|| fault(format!("the candidates of {id} have no answer of their own")))?;
                self.ground = ground(&answer.bundle, &answer.changes);
                self.open = Some(LoggedGroup { answer, rows: Vec::new() });
            }
            let Some(open) = self.open.as_mut() else { continue };
            let ix = batch.track_ix[row];
            let known = self.items.get(&self.ground).and_then(|items| items.get(&ix));
            let (track_id, item) = known.cloned().ok_or_else(|| fault(format!("{id}: track {ix} has no item")))?;
            open.rows.push(RankedRow {
                track_ix: ix,
                track_id,
                position: batch.position[row],
                propensity: batch.propensity[row],
                score: batch.score[row],
                contest: batch.contest[row],
                tasks: [batch.complete[row], batch.skip[row], batch.like[row]],
                blended: batch.blended[row],
                item,
                cross: batch.cross.iter().map(|column| column[row]).collect(),
            });
        }
        Ok(())
    }
}
