//! `segue audio`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

use anyhow::bail;

use super::progress::Progress;
use crate::audio::{Sound, embed};
use crate::domain::Track;
use crate::tables::{read_tracks, write_tracks};

/// Tells what recordings sound like
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Computes tempo, key, loudness, energy and timbre of audio files: one line of JSON a file, in the order given
    #[command(after_help = "Examples:
  segue audio embed music/*.flac > sounds.ndjson
  segue audio embed music/*.flac --tracks tracks.parquet --out filled.parquet")]
    Embed(EmbedArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct EmbedArgs {
    /// WAV, FLAC, MP3, MP4, ADTS or Ogg files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A catalogue whose empty audio columns are filled: a file belongs to the track whose id is its name without the ending
    #[arg(long, value_name = "FILE", requires = "out")]
    tracks: Option<PathBuf>,
    /// Where the filled catalogue goes; then no JSON is printed
    #[arg(long, value_name = "FILE", requires = "tracks")]
    out: Option<PathBuf>,
}

#[derive(serde::Serialize)]
struct Line<'a> {
    file: String,
    #[serde(flatten)]
    sound: &'a Sound,
}

pub(super) fn run(command: Command) -> anyhow::Result<()> {
    let Command::Embed(args) = command;
    let (sounds, failed) = embed_all(&args.files);
    if let (Some(tracks), Some(out)) = (&args.tracks, &args.out) {
        let mut tracks = read_tracks(tracks)?;
        let filled = fill(&mut tracks, &sounds);
        write_tracks(out, tracks)?;
        eprintln!("{filled} of {} files belong to a track; written to {}", sounds.len(), out.display());
    } else {
        for (path, sound) in &sounds {
            println!("{}", serde_json::to_string(&Line { file: path.display().to_string(), sound })?);
        }
    }
    if failed > 0 {
        bail!("{failed} of {} files could not be looked at; the others were", args.files.len());
    }
    Ok(())
}

/// Looks at all files, one thread a core, and says on standard error which could not be; returns the others in their order.
fn embed_all(files: &[PathBuf]) -> (Vec<(&Path, Sound)>, usize) {
    let (next, progress) = (AtomicUsize::new(0), Progress::new("files"));
    let threads = thread::available_parallelism().map_or(1, usize::from).min(files.len());
    let (send, done) = mpsc::channel();
    let mut sounds: Vec<Option<Sound>> = files.iter().map(|_| None).collect();
    thread::scope(|scope| {
        for _ in 0..threads {
            let (next, send) = (&next, send.clone());
            scope.spawn(move || {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(file) = files.get(at) else { break };
                    if send.send((at, embed(file))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(send);
        for (count, (at, sound)) in done.iter().enumerate() {
            match sound {
                Ok(sound) => sounds[at] = Some(sound),
                Err(error) => eprintln!("segue: {error}"),
            }
            progress.set(count as u64 + 1, files.len() as u64);
        }
    });
    let failed = sounds.iter().filter(|sound| sound.is_none()).count();
    let named = files.iter().zip(sounds).filter_map(|(file, sound)| Some((file.as_path(), sound?)));
    (named.collect(), failed)
}

/// Fills the empty audio columns of the tracks that files belong to; what a column holds stays. Returns the number of files
/// that belong to a track.
fn fill(tracks: &mut [Track], sounds: &[(&Path, Sound)]) -> usize {
    let by_name = sounds.iter().filter_map(|(path, sound)| Some((path.file_stem()?.to_str()?, sound)));
    let by_name: HashMap<&str, &Sound> = by_name.collect();
    let mut filled = 0;
    for track in tracks {
        let Some(sound) = by_name.get(track.track_id.as_str()) else { continue };
        filled += 1;
        track.tempo_bpm = track.tempo_bpm.or(sound.tempo_bpm);
        track.energy = track.energy.or(Some(sound.energy));
        track.loudness_db = track.loudness_db.or(sound.loudness_db);
        // A tonic without its mode is half a key: both come from one hand.
        if track.key.is_none() {
            (track.key, track.mode) = (sound.key, sound.mode);
        }
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::bare_track;

    fn sound() -> Sound {
        Sound {
            seconds: 10.0,
            tempo_bpm: Some(120.0),
            tempo_confidence: Some(0.5),
            key: Some(9),
            mode: Some(0),
            key_confidence: Some(0.8),
            loudness_db: None,
            energy: 0.25,
            log_mel_mean: Vec::new(),
            log_mel_deviation: Vec::new(),
        }
    }

    #[test]
    fn empty_columns_are_filled_and_full_ones_stay() {
        let mut tracks = vec![bare_track("a", "x"), bare_track("b", "x"), bare_track("c", "x")];
        (tracks[1].tempo_bpm, tracks[1].key, tracks[1].mode) = (Some(90.0), Some(2), None);
        let sounds = [(Path::new("in/a.flac"), sound()), (Path::new("b.wav"), sound()), (Path::new("d.wav"), sound())];
        assert_eq!(fill(&mut tracks, &sounds), 2);
        let seen = |track: &Track| (track.tempo_bpm, track.energy, track.loudness_db, track.key, track.mode);
        assert_eq!(seen(&tracks[0]), (Some(120.0), Some(0.25), None, Some(9), Some(0)));
        assert_eq!(seen(&tracks[1]), (Some(90.0), Some(0.25), None, Some(2), None));
        assert_eq!(seen(&tracks[2]), (None, None, None, None, None));
    }

    #[test]
    fn files_that_fail_are_counted_and_the_others_told() {
        let files = [PathBuf::from("no/such.wav"), PathBuf::from("no/other.mp3")];
        let (sounds, failed) = embed_all(&files);
        assert_eq!((sounds.len(), failed), (0, 2));
    }
}
