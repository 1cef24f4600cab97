use std::sync::Arc;

use super::RuleBook;
use super::arrange::{Pin, place, shift};
use crate::config::RuleAction;
use crate::domain::{CandidateSet, RequestContext};
use crate::pipeline::{Reranker, RuleEffect, StageError};

/// The actions that change a list.
const ACTIONS: &[RuleAction] = &[RuleAction::Pin, RuleAction::Boost, RuleAction::Bury, RuleAction::AtLeast];

/// What is done last to a list: boosts and buries move tracks of the list and of what stands below it, pins take their
/// places, quotas bring in what is missing. Below the list stand the candidates that earlier re-rankers left out, by their
/// scores. Scores stay. A caller's own list stays as it is, and so does any list for which no rule holds.
///
/// `O(rules that hold * candidates)`; where no rule holds, `O(rules)` and no allocation.
#[derive(Debug)]
pub struct ApplyRules {
    book: RuleBook,
    pool: Vec<u32>,
    shifts: Vec<i64>,
    effects: Vec<RuleEffect>,
    touched: Vec<(u32, Arc<str>)>,
}

impl ApplyRules {
    /// Takes the rules.
    pub fn new(book: RuleBook) -> Self {
        let (pool, shifts, effects, touched) = Default::default();
        Self { book, pool, shifts, effects, touched }
    }

    /// Fills `pool` with the list and, behind it, all other candidates by their scores.
    fn gather(&mut self, candidates: &CandidateSet, list_scores: &[f32], order: &[u32]) {
        let mut listed = vec![false; candidates.len()];
        order.iter().for_each(|row| listed[*row as usize] = true);
        let mut below: Vec<u32> = (0..candidates.len() as u32).filter(|row| !listed[*row as usize]).collect();
        candidates.sort_rows(&mut below, list_scores);
        self.pool.clear();
        self.pool.extend_from_slice(order);
        self.pool.append(&mut below);
    }
}

impl Reranker for ApplyRules {
    fn name(&self) -> &'static str {
        "rules"
    }

    fn may_recall(&self) -> bool {
        true
    }

    fn rerank(
        &mut self,
        context: &RequestContext,
        candidates: &CandidateSet,
        list_scores: &mut [f32],
        _propensity: &mut [Option<f32>],
        order: &mut Vec<u32>,
        limit: usize,
    ) -> Result<(), StageError> {
        self.effects.clear();
        self.touched.clear();
        let request = &context.request;
        if request.candidates.is_some() || self.book.holding(request, ACTIONS).next().is_none() {
            return Ok(());
        }
        // A list that is shorter than asked is so for a reason that no rule knows of.
        let limit = limit.min(order.len());
        self.gather(candidates, list_scores, order);
        let Self { book, pool, shifts, effects, touched } = self;
        let catalogue = Arc::clone(book.catalogue());
        let holding = book.holding(request, ACTIONS);
        let fits = |rule: &super::book::Rule, rows: &super::book::Rows, row: u32| {
            rule.fits(rows, candidates.tracks[row as usize], &catalogue, Some(request.now_ms))
        };
        shifts.clear();
        shifts.resize(candidates.len(), 0);
        for (_, rule, rows) in holding.clone() {
            let by = match rule.action {
                RuleAction::Boost => rule.number as i64,
                RuleAction::Bury => -(rule.number as i64),
                RuleAction::Pin | RuleAction::Block | RuleAction::AtLeast => continue,
            };
            let moved = pool.iter().copied().filter(|row| fits(rule, rows, *row));
            let before = touched.len();
            touched.extend(moved.map(|row| (row, Arc::clone(&rule.name))));
            touched[before..].iter().for_each(|(row, _)| shifts[*row as usize] += by);
            effects.push(effect(rule, touched.len() - before, 0));
        }
        if shifts.iter().any(|by| *by != 0) {
            shift(pool, |row| shifts[row as usize]);
        }
        let (mut pins, mut pinning) = (Vec::new(), Vec::new());
        let (mut quotas, mut wanted) = (Vec::new(), Vec::new());
        for (_, rule, rows) in holding {
            match rule.action {
                RuleAction::Pin => {
                    let row_of = |track| candidates.tracks.iter().position(|other| other == track);
                    // The first that may be played and that no pin before has.
                    let free = rows.tracks.iter().filter_map(row_of).map(|row| row as u32);
                    let row =
                        free.clone().find(|row| pins.iter().all(|pin: &Pin| pin.row != *row)).or(free.clone().next());
                    pinning.push((rule, row));
                    pins.extend(row.map(|row| Pin { place: rule.number, row }));
                }
                RuleAction::AtLeast => {
                    quotas.push((rule, rows));
                    wanted.push(rule.number);
                }
                RuleAction::Boost | RuleAction::Bury | RuleAction::Block => {}
            }
        }
        let placed = place(pool, limit, &pins, &wanted, |quota, row| {
            let (rule, rows) = quotas[quota];
            fits(rule, rows, row)
        });
        let mut kept = placed.pinned.into_iter();
        for (rule, row) in pinning {
            let row = row.filter(|_| kept.next().unwrap_or(false));
            touched.extend(row.map(|row| (row, Arc::clone(&rule.name))));
            effects.push(effect(rule, usize::from(row.is_some()), usize::from(row.is_none())));
        }
        for ((rule, _), (brought, short)) in quotas.into_iter().zip(placed.brought.into_iter().zip(placed.short)) {
            effects.push(effect(rule, brought.len(), short));
            touched.extend(brought.into_iter().map(|row| (row, Arc::clone(&rule.name))));
        }
        std::mem::swap(order, pool);
        Ok(())
    }

    fn rules(&self) -> &[RuleEffect] {
        &self.effects
    }

    fn touched(&self) -> &[(u32, Arc<str>)] {
        &self.touched
    }
}

fn effect(rule: &super::book::Rule, tracks: usize, unmet: usize) -> RuleEffect {
    RuleEffect {
        rule: Arc::clone(&rule.name),
        action: rule.action.as_str(),
        tracks: tracks as u32,
        unmet: unmet as u32,
    }
}
