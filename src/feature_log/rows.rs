//! From an answer to rows and columns.

use super::Served;
use super::part::Part;
use super::tables::{AnswerRow, CandidateBatch, ItemRow};
use crate::domain::TrackIx;
use crate::features::schema::VERSION;
use crate::features::{CROSS_LEN, LoggedAnswer};
use crate::tables::TableError;

impl Part {
    /// Logs an answer: its row, its candidates, and the items that the part has not got yet.
    ///
    /// # Errors
    /// A full disk: the part is lost then.
    pub fn log(&mut self, answer: &LoggedAnswer, served: &Served) -> Result<(), TableError> {
        let width = answer.items.len() / answer.rows.len().max(1);
        for (at, row) in answer.rows.iter().enumerate() {
            if is_new(&mut self.known, row.track) {
                self.item(ItemRow {
                    bundle: served.bundle.clone(),
                    changes: served.changes.clone(),
                    track_ix: row.track.0 as i32,
                    track_id: served.catalogue.track(row.track).track_id.to_string(),
                    item: answer.items[at * width..(at + 1) * width].to_vec(),
                })?;
            }
        }
        self.answer(answer_row(answer, served), |batch, number| candidates(answer, number, batch))
    }
}

/// Whether a track is new to a bitmap, which it is in from now on.
fn is_new(known: &mut Vec<u64>, track: TrackIx) -> bool {
    let (word, bit) = (track.at() / 64, 1u64 << (track.at() % 64));
    if known.len() <= word {
        known.resize(word + 1, 0);
    }
    let is_new = known[word] & bit == 0;
    known[word] |= bit;
    is_new
}

fn answer_row(answer: &LoggedAnswer, served: &Served) -> AnswerRow {
    AnswerRow {
        recommendation_id: answer.recommendation_id.to_string(),
        user_id: answer.user_id.to_string(),
        session_id: answer.session_id.as_ref().map(ToString::to_string),
        ts_ms: answer.ts_ms,
        seed: answer.seed.cast_signed(),
        rung: answer.rung.as_str().to_owned(),
        bundle: served.bundle.clone(),
        changes: served.changes.clone(),
        feature_version: VERSION as i32,
        arm: answer.arm.clone(),
        own_candidates: answer.own_candidates,
        pool: answer.pool as i32,
        unserved_share: answer.unserved_share,
        user: answer.user.clone(),
        unranked: answer.unranked.iter().map(|track| served.catalogue.track(*track).track_id.to_string()).collect(),
    }
}

/// Turns rows into columns.
fn candidates(answer: &LoggedAnswer, number: i32, batch: &mut CandidateBatch) {
    let rows = &answer.rows;
    batch.answer.extend(rows.iter().map(|_| number));
    batch.track_ix.extend(rows.iter().map(|row| row.track.0 as i32));
    batch.position.extend(rows.iter().map(|row| row.position.map(|at| at as i32)));
    batch.propensity.extend(rows.iter().map(|row| row.propensity));
    batch.score.extend(rows.iter().map(|row| row.score));
    batch.contest.extend(rows.iter().map(|row| row.contest.map(|place| place as i32)));
    batch.complete.extend(rows.iter().map(|row| row.tasks[0]));
    batch.skip.extend(rows.iter().map(|row| row.tasks[1]));
    batch.like.extend(rows.iter().map(|row| row.tasks[2]));
    batch.blended.extend(rows.iter().map(|row| row.blended));
    for (at, column) in batch.cross.iter_mut().enumerate() {
        column.extend(answer.cross.iter().skip(at).step_by(CROSS_LEN));
    }
}
