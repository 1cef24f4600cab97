//! The item vectors of a bundle.

use super::build::Progress;
use super::{BundleError, Sizes};
use crate::domain::{Catalogue, GenreIx, ItemVectors, TrackIx};
use crate::features::{ItemColumns, schema};
use crate::inference::{ItemTower, Model, ModelKind, OrtItemTower};

/// Tracks that the item tower embeds at a time.
const BATCH: usize = 4_096;

/// Embeds the whole catalogue in batches. Rows past what the towers were trained with get id 0, unknown.
pub(super) fn embed(
    model: &Model,
    catalogue: &Catalogue,
    columns: &ItemColumns,
    trained: Sizes,
    progress: &mut dyn FnMut(Progress),
) -> Result<ItemVectors, BundleError> {
    let mut tower = OrtItemTower::new(model)?;
    let known = |row: usize, rows: usize| if row < rows { row as i64 + 1 } else { 0 };
    let mut data = Vec::with_capacity(catalogue.len() * model.dim());
    let (mut track, mut artist, mut genre) = (Vec::new(), Vec::new(), Vec::new());
    for start in (0..catalogue.len()).step_by(BATCH) {
        progress(Progress { step: "item vectors", done: start as u64, total: catalogue.len() as u64 });
        let end = catalogue.len().min(start + BATCH);
        track.clear();
        artist.clear();
        genre.clear();
        for row in start..end {
            let ix = TrackIx(row as u32);
            track.push(known(row, trained.tracks));
            artist.push(known(catalogue.artist_of(ix).at(), trained.artists));
            genre.push(match catalogue.genre_of(ix) {
                GenreIx::NONE => 0,
                some => known(some.at(), trained.genres),
            });
        }
        let item = &columns.as_slice()[start * schema::ITEM.len()..end * schema::ITEM.len()];
        tower.embed(item, &track, &artist, &genre, &mut data)?;
    }
    ItemVectors::from_raw(data, model.dim())
        .map_err(|e| BundleError::file(ModelKind::ItemTower.file(), format!("its vectors: {e}")))
}
