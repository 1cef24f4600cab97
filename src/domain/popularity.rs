//! How much tracks are played: globally, by market, by artist.

use super::{Catalogue, TrackIx};

/// The most played tracks of one market.
#[derive(Debug, Clone)]
pub struct MarketPopularity {
    /// ISO 3166 code.
    pub market: String,
    /// Best first, at most 1,000.
    pub top: Vec<TrackIx>,
    /// `[tracks]`: 1-based rank in this market, 0 where the track is not in `top`.
    pub rank: Vec<u16>,
    /// `[tracks]`: score in 0..1, as [`Popularity::score`].
    pub score: Vec<f32>,
}

/// Popularity of every track. Score = `ln(1 + plays) / ln(1 + plays of the most played)`, in 0..1.
#[derive(Debug, Clone, Default)]
pub struct Popularity {
    /// `[tracks]`: plays, decayed as the bundle counted them.
    pub plays: Vec<f32>,
    /// `[tracks]`: global score.
    pub score: Vec<f32>,
    /// `[artists]`: score of the artist's plays, same formula over artists.
    pub artist_score: Vec<f32>,
    /// The most played tracks, best first, at most 1,000.
    pub top: Vec<TrackIx>,
    /// The last rung: 50 track rows, best first.
    pub global_top: Vec<TrackIx>,
    /// One entry a market with plays, sorted by code.
    pub markets: Vec<MarketPopularity>,
}

/// Longest top list kept a market and globally.
pub const TOP_LEN: usize = 1_000;
/// Length of the last rung's list.
pub const GLOBAL_TOP_LEN: usize = 50;

impl Popularity {
    /// Builds every list from decayed play counts: `plays[track]` and `(market code, plays[track])` in any order.
    pub fn new(catalogue: &Catalogue, plays: &[f32], by_market: Vec<(String, Vec<f32>)>) -> Self {
        let mut artist_plays = vec![0.0f32; catalogue.artist_count()];
        for (row, count) in plays.iter().enumerate() {
            artist_plays[catalogue.artist_of(TrackIx(row as u32)).at()] += count;
        }
        let top = top_tracks(plays, TOP_LEN);
        let mut global_top = top.clone();
        global_top.truncate(GLOBAL_TOP_LEN);
        let missing = (0..catalogue.len() as u32).map(TrackIx).filter(|t| plays[t.at()] <= 0.0);
        global_top.extend(missing.take(GLOBAL_TOP_LEN - global_top.len().min(GLOBAL_TOP_LEN)));
        let mut markets: Vec<_> = by_market
            .into_iter()
            .map(|(market, plays)| {
                let top = top_tracks(&plays, TOP_LEN);
                let mut rank = vec![0u16; plays.len()];
                top.iter().enumerate().for_each(|(at, t)| rank[t.at()] = at as u16 + 1);
                MarketPopularity { market, top, rank, score: scores(&plays) }
            })
            .collect();
        markets.sort_by(|a, b| a.market.cmp(&b.market));
        Self {
            plays: plays.to_vec(),
            score: scores(plays),
            artist_score: scores(&artist_plays),
            top,
            global_top,
            markets,
        }
    }

    /// The lists of a market, if it has plays.
    pub fn market(&self, code: &str) -> Option<&MarketPopularity> {
        self.markets.binary_search_by(|m| m.market.as_str().cmp(code)).ok().map(|at| &self.markets[at])
    }
}

fn scores(plays: &[f32]) -> Vec<f32> {
    let most = plays.iter().copied().fold(0.0f32, f32::max);
    let whole = if most > 0.0 { most.ln_1p() } else { 1.0 };
    plays.iter().map(|p| p.max(0.0).ln_1p() / whole).collect()
}

fn top_tracks(plays: &[f32], len: usize) -> Vec<TrackIx> {
    let mut order: Vec<_> = (0..plays.len() as u32).map(TrackIx).filter(|t| plays[t.at()] > 0.0).collect();
    order.sort_by(|a, b| super::by_score(plays[a.at()], plays[b.at()]).then(a.cmp(b)));
    order.truncate(len);
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalogue::tests::bare;

    #[test]
    fn ranks_and_fills_the_last_rung() {
        let catalogue = Catalogue::new((0..60).map(|i| bare(&format!("t{i}"), "a")).collect()).unwrap();
        let mut plays = vec![0.0; 60];
        (plays[3], plays[5]) = (9.0, 1.0);
        let popularity = Popularity::new(&catalogue, &plays, vec![("SE".into(), plays.clone())]);
        assert_eq!(popularity.top, [TrackIx(3), TrackIx(5)]);
        assert_eq!(popularity.global_top.len(), 50);
        assert_eq!(popularity.global_top[..3], [TrackIx(3), TrackIx(5), TrackIx(0)]);
        assert_eq!(popularity.score[3], 1.0);
        let se = popularity.market("SE").unwrap();
        assert_eq!((se.rank[3], se.rank[5], se.rank[0]), (1, 2, 0));
        assert!(popularity.market("DE").is_none());
    }
}
