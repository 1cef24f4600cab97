use std::sync::Arc;

use super::RuleBook;
use super::arrange::{Pin, place, shift};
use super::book::{Rows, Rule};
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
    told: Told,
}

/// What rules did.
#[derive(Debug, Default)]
struct Told {
    effects: Vec<RuleEffect>,
    touched: Vec<(u32, Arc<str>)>,
}

impl ApplyRules {
    /// Takes the rules.
    pub fn new(book: RuleBook) -> Self {
        Self { book, pool: Vec::new(), shifts: Vec::new(), told: Told::default() }
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
        self.told.effects.clear();
        self.told.touched.clear();
        let request = &context.request;
        if request.candidates.is_some() || self.book.holding(request, ACTIONS).next().is_none() {
            return Ok(());
        }
        // A list that is shorter than asked is so for a reason that no rule knows of.
        let limit = limit.min(order.len());
        self.gather(candidates, list_scores, order);
        let Self { book, pool, shifts, told } = self;
        let catalogue = Arc::clone(book.catalogue());
        let holding = book.holding(request, ACTIONS).map(|(_, rule, rows)| (rule, rows));
        let fits = |rule: &Rule, rows: &Rows, row: u32| {
            rule.fits(rows, candidates.tracks[row as usize], &catalogue, Some(request.now_ms))
        };
        shifts.clear();
        shifts.resize(candidates.len(), 0);
        told.boost_and_bury(holding.clone(), pool, shifts, fits);
        told.pin_and_fill(holding, pool, candidates, limit, fits);
        std::mem::swap(order, pool);
        Ok(())
    }

    fn rules(&self) -> &[RuleEffect] {
        &self.told.effects
    }

    fn touched(&self) -> &[(u32, Arc<str>)] {
        &self.told.touched
    }
}

impl Told {
    /// Moves what boosts and buries are about. `shifts`: zeros, one a candidate.
    fn boost_and_bury<'a>(
        &mut self,
        holding: impl Iterator<Item = (&'a Rule, &'a Rows)>,
        pool: &mut [u32],
        shifts: &mut [i64],
        fits: impl Fn(&Rule, &Rows, u32) -> bool,
    ) {
        for (rule, rows) in holding {
            let by = match rule.action {
                RuleAction::Boost => rule.number as i64,
                RuleAction::Bury => -(rule.number as i64),
                RuleAction::Pin | RuleAction::Block | RuleAction::AtLeast => continue,
            };
            let moved = pool.iter().copied().filter(|row| fits(rule, rows, *row));
            let before = self.touched.len();
            self.touched.extend(moved.map(|row| (row, Arc::clone(&rule.name))));
            self.touched[before..].iter().for_each(|(row, _)| shifts[*row as usize] += by);
            self.effect(rule, self.touched.len() - before, 0);
        }
        if shifts.iter().any(|by| *by != 0) {
            shift(pool, |row| shifts[row as usize]);
        }
    }

    /// Makes the list of `pool`: pins in their places, then quotas.
    fn pin_and_fill<'a>(
        &mut self,
        holding: impl Iterator<Item = (&'a Rule, &'a Rows)>,
        pool: &mut Vec<u32>,
        candidates: &CandidateSet,
        limit: usize,
        fits: impl Fn(&Rule, &Rows, u32) -> bool,
    ) {
        let (mut pins, mut pinning) = (Vec::new(), Vec::new());
        let (mut quotas, mut wanted) = (Vec::new(), Vec::new());
        for (rule, rows) in holding {
            match rule.action {
                RuleAction::Pin => {
                    let row_of = |track| candidates.tracks.iter().position(|other| other == track);
                    let mut playable = rows.tracks.iter().filter_map(row_of).map(|row| row as u32);
                    // The first that no pin before has.
                    let row = playable.find(|row| pins.iter().all(|pin: &Pin| pin.row != *row));
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
            self.touched.extend(row.map(|row| (row, Arc::clone(&rule.name))));
            self.effect(rule, usize::from(row.is_some()), usize::from(row.is_none()));
        }
        for ((rule, _), (brought, short)) in quotas.into_iter().zip(placed.brought.into_iter().zip(placed.short)) {
            self.effect(rule, brought.len(), short);
            self.touched.extend(brought.into_iter().map(|row| (row, Arc::clone(&rule.name))));
        }
    }

    fn effect(&mut self, rule: &Rule, tracks: usize, unmet: usize) {
        let (name, action) = (Arc::clone(&rule.name), rule.action.as_str());
        self.effects.push(RuleEffect { rule: name, action, tracks: tracks as u32, unmet: unmet as u32 });
    }
}
