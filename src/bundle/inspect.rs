//! A manifest for people.

use std::fmt::{self, Write as _};
use std::path::Path;

use super::layout::CARD;
use super::{BundleError, Manifest, digest, parts};
use crate::domain::{IntentPrototypes, Prototype};

/// The text of the bundle's model card; `None` where it has none.
///
/// # Errors
/// The card cannot be read or is not the one that the manifest lists.
pub fn model_card(directory: &Path, manifest: &Manifest) -> Result<Option<String>, BundleError> {
    let Some(entry) = manifest.file(CARD) else { return Ok(None) };
    let text = std::fs::read(directory.join(CARD)).map_err(|e| BundleError::file(CARD, e))?;
    if digest::of_bytes(&text) != entry.sha256 {
        return Err(BundleError::file(CARD, "altered: its SHA-256 is not the manifest's"));
    }
    String::from_utf8(text).map(Some).map_err(|_| BundleError::file(CARD, "not UTF-8"))
}

/// The prototypes of intents as aligned text, one a line; `None` where the bundle has none.
///
/// # Errors
/// Their file cannot be read, or is not what a bundle holds.
pub fn intents_table(directory: &Path, manifest: &Manifest) -> Result<Option<String>, BundleError> {
    let Some(prototypes) = parts::prototypes(directory, manifest)? else { return Ok(None) };
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_intents(&prototypes, &mut text);
    Ok(Some(text))
}

fn write_intents(of: &IntentPrototypes, out: &mut String) -> fmt::Result {
    let sharpness: Vec<String> = of.sharpness().iter().map(|value| format!("{value:.1}")).collect();
    writeln!(out, "intents        {} prototypes; sharpness by plays {}", of.prototypes().len(), sharpness.join(", "))?;
    writeln!(out, "  {:<20} {:>8}  energy valence tempo  new artists  genres", "label", "sessions")?;
    for Prototype { label, sessions, profile, genres, .. } in of.prototypes() {
        let number = |value: Option<f32>, digits: usize| value.map_or("-".into(), |value| format!("{value:.digits$}"));
        let (energy, valence, tempo) =
            (number(profile.energy, 2), number(profile.valence, 2), number(profile.tempo, 0));
        let new = number(profile.new_artists, 3);
        let genres: Vec<String> = genres.iter().map(|(genre, share)| format!("{genre} {share:.2}")).collect();
        let genres = genres.join(", ");
        writeln!(out, "  {label:<20} {sessions:>8}  {energy:>6} {valence:>7} {tempo:>5}  {new:>11}  {genres}")?;
    }
    Ok(())
}

impl Manifest {
    /// The manifest as aligned text, one fact a line.
    pub fn table(&self) -> String {
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_table(&mut text);
        text
    }

    fn write_table(&self, out: &mut String) -> fmt::Result {
        let mut fact = |name: &str, value: &dyn fmt::Display| writeln!(out, "{name:<14} {value}");
        fact("version", &self.version)?;
        fact("format", &format_args!("{}, features {}, dim {}", self.format, self.feature_version, self.dim))?;
        fact("as of", &instant(self.as_of_ms))?;
        let (catalogue, trained) = (self.catalogue, self.trained);
        let rows = |s: super::Sizes| format!("{} tracks, {} artists, {} genres", s.tracks, s.artists, s.genres);
        fact("catalogue", &rows(catalogue))?;
        if catalogue != trained {
            fact("trained on", &rows(trained))?;
        }
        fact("plays", &format_args!("{}, half-life {} days", self.plays, self.half_life_days))?;
        fact("index", &self.engine.name())?;
        for (name, model) in &self.models {
            let opset = model.opset.map_or_else(String::new, |opset| format!(", opset {opset}"));
            fact(name, &format_args!("{} -> {}{opset}", model.inputs.join(", "), model.output))?;
        }
        for (name, value) in &self.training {
            fact("training", &format_args!("{name} = {value}"))?;
        }
        let bytes: u64 = self.files.iter().map(|file| file.bytes).sum();
        fact("files", &format_args!("{}, {bytes} bytes", self.files.len()))?;
        for file in &self.files {
            let digest = file.sha256.get(..12).unwrap_or(&file.sha256);
            writeln!(out, "  {:<20} {:>14}  {digest}", file.name, file.bytes)?;
        }
        Ok(())
    }
}

fn instant(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |instant| instant.to_string())
}

#[cfg(test)]
mod tests {
    #[test]
    fn shows_every_file_and_model() {
        let manifest = crate::bundle::manifest::tests::manifest();
        let table = manifest.table();
        for expected in ["2026-01-01.a", "40 tracks", "ranker", "metrics.recall = 0.5", "tracks.parquet"] {
            assert!(table.contains(expected), "{table}");
        }
    }
}
