//! Files as streams of samples.

use std::fs::File;
use std::path::Path;

use symphonia::core::codecs::audio::AudioDecoderOptions;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

/// Most packets in a row that may be damaged before a file is given up.
const MOST_DAMAGED: usize = 50;

/// Hands out the samples of a file's first audio track: interleaved, -1..1, with the number of channels and the rate in Hz,
/// until `take` answers that it has enough. Damaged packets are passed over.
///
/// # Errors
/// What is wrong with the file, or what `take` says.
pub(super) fn decode(
    path: &Path,
    mut take: impl FnMut(&[f32], usize, u32) -> Result<bool, String>,
) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let stream = MediaSourceStream::new(Box::new(file), Default::default());
    let mut hint = Hint::new();
    if let Some(end) = path.extension().and_then(|end| end.to_str()) {
        hint.with_extension(end);
    }
    let probe = symphonia::default::get_probe();
    let mut format = probe
        .probe(&hint, stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(|error| format!("no audio format that is read here (WAV, FLAC, MP3, MP4, ADTS, Ogg): {error}"))?;
    let track = format.default_track(TrackType::Audio).ok_or("no audio track")?;
    let (id, parameters) = (track.id, track.codec_params.as_ref().and_then(|parameters| parameters.audio()));
    let mut decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters.ok_or("no audio track")?, &AudioDecoderOptions::default())
        .map_err(|error| format!("no decoder for its codec: {error}"))?;
    let (mut samples, mut damaged, mut spec) = (Vec::<f32>::new(), 0, None);
    while let Some(packet) = next(format.next_packet())? {
        if packet.track_id != id {
            continue;
        }
        let audio = match decoder.decode(&packet) {
            Ok(audio) => audio,
            Err(error) if damaged == MOST_DAMAGED => return Err(format!("too much of it is damaged: {error}")),
            Err(_) => {
                damaged += 1;
                continue;
            }
        };
        damaged = 0;
        let now = (audio.spec().channels().count(), audio.spec().rate());
        if *spec.get_or_insert(now) != now {
            return Err("its rate or its channels change on the way".into());
        }
        samples.resize(audio.samples_interleaved(), 0.0);
        audio.copy_to_slice_interleaved(&mut samples[..]);
        if !take(&samples, now.0, now.1)? {
            break;
        }
    }
    Ok(())
}

/// The end of a file and one that breaks off look alike: what came before counts.
fn next<T>(packet: Result<Option<T>, Error>) -> Result<Option<T>, String> {
    match packet {
        Ok(packet) => Ok(packet),
        Err(Error::IoError(error)) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}
