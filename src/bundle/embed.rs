//! The item vectors of a bundle.

use super::build::Progress;
use super::{Bundle, BundleError, Sizes};
use crate::domain::{Catalogue, GenreIx, ItemVectors, Track, TrackIx, UnitVector};
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
            genre.push(known_genre(catalogue.genre_of(ix), trained));
        }
        let item = &columns.as_slice()[start * schema::ITEM.len()..end * schema::ITEM.len()];
        tower.embed(item, &track, &artist, &genre, &mut data)?;
    }
    ItemVectors::from_raw(data, model.dim())
        .map_err(|e| BundleError::file(ModelKind::ItemTower.file(), format!("its vectors: {e}")))
}

/// The id by which a model knows a row; 0 where it does not.
fn known(row: usize, rows: usize) -> i64 {
    if row < rows { row as i64 + 1 } else { 0 }
}

fn known_genre(genre: GenreIx, trained: Sizes) -> i64 {
    if genre == GenreIx::NONE { 0 } else { known(genre.at(), trained.genres) }
}

/// Embeds tracks that came after the bundle was built, by what is known of them: their columns `[n * I]`, their artists and
/// their genres. No model knows their own ids.
///
/// # Errors
/// The model failed, or gave something that is no direction.
pub fn embed_new(
    tower: &mut dyn ItemTower,
    bundle: &Bundle,
    tracks: &[&Track],
    columns: &[f32],
) -> Result<Vec<UnitVector>, BundleError> {
    let (catalogue, trained) = (&bundle.catalogue, bundle.manifest.trained);
    let artist = |track: &&Track| catalogue.find_artist(track.artist_id.as_str());
    let artists: Vec<i64> =
        tracks.iter().map(|track| artist(track).map_or(0, |artist| known(artist.at(), trained.artists))).collect();
    let genre = |track: &&Track| track.genre.as_deref().map_or(GenreIx::NONE, |name| catalogue.find_genre(name));
    let genres: Vec<i64> = tracks.iter().map(|track| known_genre(genre(track), trained)).collect();
    let mut data = Vec::with_capacity(tracks.len() * bundle.manifest.dim);
    tower.embed(columns, &vec![0; tracks.len()], &artists, &genres, &mut data)?;
    let refuse = |e| BundleError::file(ModelKind::ItemTower.file(), format!("a new track's vector: {e}"));
    let dim = bundle.manifest.dim;
    data.chunks_exact(dim).map(|vector| UnitVector::new(vector.to_vec(), dim).map_err(refuse)).collect()
}
