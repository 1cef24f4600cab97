use std::sync::Arc;

use super::mark_where;
use crate::domain::{Catalogue, MarketSet, RemovalReason, RequestContext, TrackIx};
use crate::pipeline::CandidateFilter;

/// Removes tracks that are not licensed in the request's market. In a market that no licence names, only tracks licensed
/// everywhere stay; a request without a market is not limited. `O(n)`.
#[derive(Debug, Clone)]
pub struct Market {
    catalogue: Arc<Catalogue>,
}

impl Market {
    /// Reads licences from the catalogue.
    pub fn new(catalogue: Arc<Catalogue>) -> Self {
        Self { catalogue }
    }
}

impl CandidateFilter for Market {
    fn reason(&self) -> RemovalReason {
        RemovalReason::Market
    }

    fn mark(&mut self, context: &RequestContext, tracks: &[TrackIx], removed: &mut [bool]) {
        let licensed = |t| self.catalogue.markets_of(t);
        match (context.request.market_ix, &context.request.market) {
            (Some(market), _) => mark_where(tracks, removed, |t| !licensed(t).contains(market)),
            (None, Some(_)) => mark_where(tracks, removed, |t| licensed(t) != MarketSet::ALL),
            (None, None) => {}
        }
    }

    fn only<'a>(&'a self, context: &RequestContext) -> Option<&'a [TrackIx]> {
        let request = &context.request;
        request.market.as_ref().and_then(|_| self.catalogue.few_tracks_in(request.market_ix))
    }
}
