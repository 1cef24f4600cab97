//! What follows a track inside sessions: rules "after this, that", each with its weight.

use std::sync::Arc;

use memmap2::Mmap;

use super::TrackIx;

/// One rule: how strongly `successor` goes with the track that the rule belongs to. Weights are shares in 0..1, shrunk
/// towards 0 where few plays speak for them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rule {
    /// What follows.
    pub successor: TrackIx,
    /// Share of what came at once.
    pub next: f32,
    /// Share of what came within the next plays, each weighted by one over its distance.
    pub after: f32,
    /// The same of what came within the next or the last plays: which of the two came first does not count.
    pub near: f32,
}

/// A rule as it lies in the file: successor, then the bits of the three weights.
pub type RawRule = [u32; 4];

impl Rule {
    /// The rule's words.
    pub fn to_raw(self) -> RawRule {
        [self.successor.0, self.next.to_bits(), self.after.to_bits(), self.near.to_bits()]
    }

    /// The rule of these words.
    #[inline]
    pub fn from_raw([successor, next, after, near]: RawRule) -> Self {
        let [next, after, near] = [next, after, near].map(f32::from_bits);
        Self { successor: TrackIx(successor), next, after, near }
    }
}

/// Sequential rules of a bundle (Kamehkhosh, Jannach and Ludewig 2017; also called co-visitation): a list a track, sorted
/// by successor. A track without a list, as one added later, has no successors. 16 bytes a rule and 8 a track, which stay
/// on disk until they are read.
#[derive(Debug, Clone, Default)]
pub struct SequentialRules(Table);

#[derive(Debug, Clone)]
enum Table {
    /// `[tracks + 1]` positions of the lists, and the rules.
    Owned(Vec<u64>, Vec<RawRule>),
    /// A file, where its positions begin, and how many tracks have one.
    Mapped(Arc<Mmap>, usize, usize),
}

impl Default for Table {
    fn default() -> Self {
        Self::Owned(Vec::new(), Vec::new())
    }
}

impl SequentialRules {
    /// Of lists in the order of the tracks, each sorted by successor.
    ///
    /// # Errors
    /// A list that is not sorted, a successor that is no track, or a weight outside 0..1.
    pub fn new(lists: &[Vec<Rule>]) -> Result<Self, String> {
        let ends = lists.iter().scan(0u64, |end, list| {
            *end += list.len() as u64;
            Some(*end)
        });
        let starts = std::iter::once(0).chain(ends).collect();
        let rules = Self(Table::Owned(starts, lists.iter().flatten().map(|rule| rule.to_raw()).collect()));
        rules.check().map(|()| rules)
    }

    /// The same over a file: `tracks + 1` positions (u64) from byte `start` on, a multiple of 8, then the rules, in this
    /// machine's byte order. Reads all of it once.
    ///
    /// # Errors
    /// A file of another length, positions that do not rise to the number of rules, or what [`Self::new`] refuses.
    pub fn from_map(map: Mmap, start: usize, tracks: usize) -> Result<Self, String> {
        let positions = tracks.checked_add(1).and_then(|n| n.checked_mul(8)?.checked_add(start)).ok_or("too large")?;
        let rest = map.len().checked_sub(positions).ok_or("cut short")?;
        if !start.is_multiple_of(8) || !rest.is_multiple_of(size_of::<RawRule>()) {
            return Err(format!("{} bytes are no whole number of rules", map.len()));
        }
        let rules = Self(Table::Mapped(Arc::new(map), start, tracks));
        rules.check().map(|()| rules)
    }

    fn check(&self) -> Result<(), String> {
        let (starts, rules) = (self.starts(), self.rules());
        if starts.first() != Some(&0) || starts.last() != Some(&(rules.len() as u64)) || !starts.is_sorted() {
            return Err(format!("positions of the lists do not rise from 0 to {}, the number of rules", rules.len()));
        }
        for track in 0..self.tracks() {
            let mut least = 0;
            for rule in self.list(track).iter().map(|raw| Rule::from_raw(*raw)) {
                let sound = [rule.next, rule.after, rule.near].iter().all(|weight| (0.0..=1.0).contains(weight));
                if !sound || rule.successor.0 < least || rule.successor.at() >= self.tracks() {
                    return Err(format!("track {track}: {rule:?} is no rule, or not in its place"));
                }
                least = rule.successor.0 + 1;
            }
        }
        Ok(())
    }

    /// Number of tracks that have a list, which may be empty.
    pub fn tracks(&self) -> usize {
        self.starts().len().saturating_sub(1)
    }

    /// Positions of the lists, `[tracks + 1]`; nothing where there are no rules at all.
    pub fn starts(&self) -> &[u64] {
        match &self.0 {
            Table::Owned(starts, _) => starts,
            Table::Mapped(map, start, tracks) => bytemuck::cast_slice(&map[*start..*start + (tracks + 1) * 8]),
        }
    }

    /// All rules, list after list.
    pub fn rules(&self) -> &[RawRule] {
        match &self.0 {
            Table::Owned(_, rules) => rules,
            Table::Mapped(map, start, tracks) => bytemuck::cast_slice(&map[*start + (tracks + 1) * 8..]),
        }
    }

    #[inline]
    fn list(&self, track: usize) -> &[RawRule] {
        match self.starts().get(track..track + 2) {
            Some([start, end]) => &self.rules()[*start as usize..*end as usize],
            _ => &[],
        }
    }

    /// The rules of a track, sorted by successor.
    pub fn of(&self, track: TrackIx) -> impl ExactSizeIterator<Item = Rule> + '_ {
        self.list(track.at()).iter().map(|raw| Rule::from_raw(*raw))
    }

    /// The rule from a track to a successor. `O(log n)`.
    #[inline]
    pub fn find(&self, track: TrackIx, successor: TrackIx) -> Option<Rule> {
        let list = self.list(track.at());
        let at = list.binary_search_by_key(&successor.0, |raw| raw[0]).ok()?;
        Some(Rule::from_raw(list[at]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(successor: u32, next: f32) -> Rule {
        Rule { successor: TrackIx(successor), next, after: 0.5, near: 0.25 }
    }

    #[test]
    fn finds_what_was_put_in() {
        let lists = [vec![rule(1, 0.5), rule(2, 0.25)], Vec::new(), vec![rule(0, 1.0)]];
        let rules = SequentialRules::new(&lists).unwrap();
        assert_eq!(rules.tracks(), 3);
        for track in 0..5u32 {
            let list: &[Rule] = lists.get(track as usize).map_or(&[], Vec::as_slice);
            assert_eq!(rules.of(TrackIx(track)).collect::<Vec<_>>(), list);
            for successor in 0..4u32 {
                let plain = list.iter().find(|rule| rule.successor.0 == successor).copied();
                assert_eq!(rules.find(TrackIx(track), TrackIx(successor)), plain, "{track} -> {successor}");
            }
        }
        assert_eq!(SequentialRules::default().of(TrackIx(0)).len(), 0);
    }

    #[test]
    fn refuses_lists_that_are_none() {
        let wrong = [vec![rule(1, 0.5), rule(1, 0.5)], vec![rule(2, 0.5)], vec![rule(0, f32::NAN)], vec![rule(0, 1.5)]];
        for list in wrong {
            let error = SequentialRules::new(&[Vec::new(), list.clone()]).map(|_| ()).unwrap_err();
            assert!(error.contains("track 1"), "{list:?}: {error}");
        }
    }
}
