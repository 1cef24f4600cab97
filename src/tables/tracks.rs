//! `tracks.parquet`.

use std::path::Path;

use super::{Column, RowWriter, TableError, Type, read_rows, stored_rows};
use crate::domain::Track;
use crate::store::Stored;

/// The columns without the record label, which is the last one.
const UNLABELLED: &[Column] = COLUMNS.split_at(COLUMNS.len() - 1).0;

const COLUMNS: &[Column] = &[
    Column::required("track_id", Type::Utf8),
    Column::required("title", Type::Utf8),
    Column::required("artist_id", Type::Utf8),
    Column::required("artist_name", Type::Utf8),
    Column::optional("album_id", Type::Utf8),
    Column::optional("recording_id", Type::Utf8),
    Column::optional("genre", Type::Utf8),
    Column::optional("release_day", Type::Int32),
    Column::optional("duration_ms", Type::Int32),
    Column::required("explicit", Type::Bool),
    Column::optional("tempo_bpm", Type::Float32),
    Column::optional("energy", Type::Float32),
    Column::optional("valence", Type::Float32),
    Column::optional("danceability", Type::Float32),
    Column::optional("acousticness", Type::Float32),
    Column::optional("loudness_db", Type::Float32),
    Column::optional("key", Type::Int8),
    Column::optional("mode", Type::Int8),
    Column::optional("markets", Type::ListUtf8),
    Column::optional("available_from_ms", Type::Int64),
    Column::optional("available_until_ms", Type::Int64),
    Column::optional("label", Type::Utf8),
];

/// Reads a whole catalogue.
///
/// # Errors
/// As [`read_rows`].
pub fn read_tracks(path: &Path) -> Result<Vec<Track>, TableError> {
    read_rows(path)?.collect()
}

/// The same of an object.
///
/// # Errors
/// As [`read_rows`].
pub fn stored_tracks(object: &Stored) -> Result<Vec<Track>, TableError> {
    stored_rows(object)?.collect()
}

/// Writes a catalogue in row order, in bounded memory; returns the number of tracks.
///
/// # Errors
/// As [`RowWriter`].
pub fn write_tracks(path: &Path, tracks: impl IntoIterator<Item = Track>) -> Result<u64, TableError> {
    write(path, COLUMNS, tracks)
}

/// The same for tracks none of which has a label: without the column, as such files were written before there was one.
///
/// # Errors
/// As [`RowWriter`].
pub fn write_unlabelled_tracks(path: &Path, tracks: impl IntoIterator<Item = Track>) -> Result<u64, TableError> {
    write(path, UNLABELLED, tracks)
}

fn write(path: &Path, columns: &[Column], tracks: impl IntoIterator<Item = Track>) -> Result<u64, TableError> {
    let mut writer = RowWriter::create(path, columns)?;
    for track in tracks {
        writer.write(track)?;
    }
    writer.finish()
}
