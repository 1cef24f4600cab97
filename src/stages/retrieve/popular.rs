use std::sync::Arc;

use super::push_by_place;
use crate::domain::{Popularity, RequestContext, Retrieved, Source};
use crate::pipeline::{Deadline, Retriever, StageError};

/// The most played tracks of the request's market, then of the world. Scores say the place only. `O(quota)`.
#[derive(Debug, Clone)]
pub struct Popular {
    popularity: Arc<Popularity>,
}

impl Popular {
    /// Reads the lists of a bundle.
    pub fn new(popularity: Arc<Popularity>) -> Self {
        Self { popularity }
    }
}

impl Retriever for Popular {
    fn name(&self) -> &'static str {
        "popular"
    }

    fn source(&self) -> Source {
        Source::Popular
    }

    fn retrieve(
        &mut self,
        context: &RequestContext,
        quota: usize,
        _: &Deadline,
        out: &mut Vec<Retrieved>,
    ) -> Result<(), StageError> {
        let market = context.request.market.as_ref().and_then(|code| self.popularity.market(code));
        for track in market.iter().flat_map(|market| &market.top).take(quota) {
            push_by_place(out, *track, quota);
        }
        let in_market = |rank: u16| (1..=quota).contains(&usize::from(rank));
        for track in &self.popularity.top {
            if out.len() >= quota {
                break;
            }
            if !market.is_some_and(|market| in_market(market.rank[track.at()])) {
                push_by_place(out, *track, quota);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{hits, rows};
    use super::*;
    use crate::domain::{Request, SessionState, UserProfile};
    use crate::stages::fixtures::{catalogue, context, request};

    #[test]
    fn the_market_comes_first_and_nothing_twice() {
        let catalogue = catalogue(6, |_, _| {});
        let (world, sweden) = (vec![9.0, 8.0, 7.0, 6.0, 0.0, 5.0], vec![0.0, 1.0, 0.0, 3.0, 0.0, 0.0]);
        let popularity = Arc::new(Popularity::new(&catalogue, &world, vec![("SE".into(), sweden)]));
        let ask = |market: Option<&str>, quota| {
            let request = Request { market: market.map(str::to_owned), ..request() };
            let context = context(request, SessionState::default(), UserProfile::default());
            rows(&hits(&mut Popular::new(Arc::clone(&popularity)), &context, quota))
        };
        assert_eq!(ask(Some("SE"), 10), [3, 1, 0, 2, 5]);
        assert_eq!(ask(Some("SE"), 1), [3]);
        assert_eq!(ask(Some("DE"), 3), [0, 1, 2]);
        assert!(ask(None, 0).is_empty());
    }
}
