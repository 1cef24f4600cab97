//! The markets in which little of a catalogue may be played, with what may.

use super::{MarketIx, MarketSet, TrackIx};

/// Up to so many tracks, and one in so many, are few: to score just them costs less than a search that they pass one by one
/// (`docs/performance.md`).
const MOST: usize = 32_768;
const ONE_IN: usize = 50;

/// Whether `some` of `all` tracks are so few that they are listed.
pub fn is_few(some: usize, all: usize) -> bool {
    some <= MOST && some <= all / ONE_IN
}

/// Tracks by market, ascending, where they are few. Knows what a catalogue was built with, not what is added.
#[derive(Debug, Default)]
pub(super) struct FewTracks {
    /// By market; `None` where they are many.
    of_markets: Vec<Option<Vec<TrackIx>>>,
    everywhere: Option<Vec<TrackIx>>,
}

impl FewTracks {
    /// Reads the licences of all rows. At most 2 % of `4 markets rows` bytes; none where more than 2 % of the tracks may be
    /// played everywhere.
    pub(super) fn new(licensed: &[MarketSet], markets: usize) -> Self {
        let everywhere = rows(licensed, |set| set == MarketSet::ALL);
        let none = (0..markets).map(|_| None);
        let of_markets = match everywhere {
            None => none.collect(),
            Some(_) => (0..markets).map(|at| rows(licensed, |set| set.contains(MarketIx(at as u8)))).collect(),
        };
        Self { of_markets, everywhere }
    }

    pub(super) fn of(&self, market: Option<MarketIx>) -> Option<&[TrackIx]> {
        match market {
            Some(market) => self.of_markets.get(market.at())?.as_deref(),
            None => self.everywhere.as_deref(),
        }
    }
}

/// The rows that `fits` takes, where they are few.
fn rows(licensed: &[MarketSet], fits: impl Fn(MarketSet) -> bool) -> Option<Vec<TrackIx>> {
    let mut found = Vec::new();
    for (row, set) in licensed.iter().enumerate() {
        if fits(*set) {
            found.push(TrackIx(row as u32));
            if !is_few(found.len(), licensed.len()) {
                return None;
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_markets_are_listed_and_large_ones_are_not() {
        let mut licensed = vec![MarketSet::NONE; 1_000];
        let mut license = |market: u8, row: usize| licensed[row].insert(MarketIx(market));
        (0..500).for_each(|row| license(0, row * 2));
        [3, 9, 700].into_iter().for_each(|row| license(1, row));
        licensed[9] = MarketSet::ALL;
        let few = FewTracks::new(&licensed, 2);
        assert_eq!(few.of(Some(MarketIx(0))), None);
        assert_eq!(few.of(Some(MarketIx(1))), Some(&[TrackIx(3), TrackIx(9), TrackIx(700)][..]));
        assert_eq!(few.of(None), Some(&[TrackIx(9)][..]));
        assert_eq!(few.of(Some(MarketIx(7))), None, "a market that came later");
        let open = FewTracks::new(&[MarketSet::ALL; 100], 1);
        assert_eq!((open.of(None), open.of(Some(MarketIx(0)))), (None, None));
    }
}
