//! What recordings sound like, told from the audio itself: tempo, key, loudness, energy and timbre, for tracks that come
//! without such columns. Files are decoded and looked at as they stream; memory does not grow with their length but for one
//! number a hop of 12 ms.

mod analyse;
mod decode;
mod frames;
mod key;
mod mel;
mod tempo;

use std::path::Path;

pub use analyse::{MEL_BANDS, Sound};

/// Why a file could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {fault}")]
pub struct AudioError {
    /// The file, as it was named.
    pub file: String,
    /// What is wrong with it.
    pub fault: String,
}

/// Decodes a file (WAV, FLAC, MP3, AAC in MP4 or ADTS, Vorbis in Ogg) and tells its sound. At most the first ten minutes
/// are looked at. About 1 s of CPU time for four minutes of music.
///
/// # Errors
/// The file cannot be read, is none of these formats, or holds less than a tenth of a second of audio.
pub fn embed(path: &Path) -> Result<Sound, AudioError> {
    let fault = |fault: String| AudioError { file: path.display().to_string(), fault };
    let mut analysis = None;
    decode::decode(path, |samples, channels, rate| {
        let analysis = match &mut analysis {
            Some(analysis) => analysis,
            none => none.insert(analyse::Analysis::new(channels, rate)?),
        };
        analysis.add(samples)
    })
    .map_err(fault)?;
    analysis.and_then(analyse::Analysis::finish).ok_or_else(|| fault("less than a tenth of a second of audio".into()))
}

#[cfg(test)]
mod tests;
