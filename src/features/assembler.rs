//! The assembler: the only place where state becomes numbers. Serving, the feature log and backfill call it.

use std::sync::Arc;

use super::cross_columns::{CROSS_LEN, CrossColumns, Fixed};
use super::{History, ITEM_LEN, ItemColumns, user_columns};
use crate::domain::{
    Catalogue, ItemVectors, Popularity, RequestContext, SequentialRules, TrackIx, UnitVector, VectorError,
};

/// Computes every model input for one bundle. Immutable and shared by all lanes; callers own the buffers, which stop
/// allocating once grown. All values are finite and within ±12; what is unknown has its schema's default.
#[derive(Debug, Clone)]
pub struct Assembler {
    catalogue: Arc<Catalogue>,
    vectors: Arc<ItemVectors>,
    popularity: Arc<Popularity>,
    rules: Arc<SequentialRules>,
    items: Arc<ItemColumns>,
    global_rank: Arc<[u16]>,
    half_life_days: f32,
}

impl Assembler {
    /// Precomputes the item columns and global ranks; `O(tracks)`. `as_of_day` (days since 1970-01-01) is the bundle's
    /// date; `half_life_days` is `signals.affinity_half_life_days`, by which affinities are brought up to the request.
    pub fn new(
        catalogue: Arc<Catalogue>,
        vectors: Arc<ItemVectors>,
        popularity: Arc<Popularity>,
        rules: Arc<SequentialRules>,
        as_of_day: i32,
        half_life_days: f32,
    ) -> Self {
        let items = Arc::new(ItemColumns::new(&catalogue, &popularity, as_of_day));
        let mut global_rank = vec![0u16; catalogue.len()];
        for (at, track) in popularity.top.iter().enumerate().filter(|(_, track)| track.at() < catalogue.len()) {
            global_rank[track.at()] = u16::try_from(at + 1).unwrap_or(0);
        }
        Self { catalogue, vectors, popularity, rules, items, global_rank: global_rank.into(), half_life_days }
    }

    /// Dimension of the vectors.
    pub fn dim(&self) -> usize {
        self.vectors.dim()
    }

    /// The dense item columns, `[tracks, I]`.
    pub fn items(&self) -> &ItemColumns {
        &self.items
    }

    /// Takes in a track that is about to be added to the catalogue, and its vector: vector and columns stand where readers
    /// look before the catalogue says that there is such a row. Only one thread at a time may do it.
    ///
    /// # Errors
    /// The vector is of another dimension; nothing was taken.
    pub fn add(&self, columns: [f32; ITEM_LEN], vector: UnitVector) -> Result<(), VectorError> {
        self.vectors.add(vector)?;
        self.items.add(columns);
        Ok(())
    }

    /// Fills the user tower's history (see [`History::fill`]).
    pub fn history(&self, context: &RequestContext, out: &mut History) {
        out.fill(context, Some(&self.vectors));
    }

    /// Replaces `out` by the dense user columns, `[U]`.
    pub fn user(&self, context: &RequestContext, out: &mut Vec<f32>) {
        out.clear();
        out.extend_from_slice(&user_columns(context));
    }

    /// Replaces `items` by `[n * (I + dim)]` (dense columns, then the item vector) and `cross` by `[n * X]`; row i =
    /// candidate i. `user_vector` may be empty where the tower gave none. `O(n * (dim + window))`, no allocation once
    /// grown.
    ///
    /// # Panics
    /// If a candidate is not a row of this bundle.
    pub fn candidates(
        &self,
        context: &RequestContext,
        tracks: &[TrackIx],
        user_vector: &[f32],
        items: &mut Vec<f32>,
        cross: &mut Vec<f32>,
    ) {
        items.clear();
        cross.clear();
        items.reserve(tracks.len() * (ITEM_LEN + self.dim()));
        cross.reserve(tracks.len() * CROSS_LEN);
        let fixed = Fixed {
            catalogue: &self.catalogue,
            vectors: &self.vectors,
            popularity: &self.popularity,
            rules: &self.rules,
            global_rank: &self.global_rank,
            half_life_days: self.half_life_days,
        };
        let columns = CrossColumns::new(&fixed, context, user_vector);
        for track in tracks {
            items.extend_from_slice(self.items.row(*track));
            items.extend_from_slice(self.vectors.row(track.at()));
            cross.extend_from_slice(&columns.row(*track));
        }
    }
}

#[cfg(test)]
#[path = "assembler_tests.rs"]
mod tests;
