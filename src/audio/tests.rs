//! Against generated audio of which everything is known.

use std::fs;
use std::path::PathBuf;

use super::*;

const RATE: u32 = 22_050;

/// 16-bit PCM in a WAV file, as the specification lays it out.
fn wav(dir: &Path, name: &str, channels: u16, samples: &[f32]) -> PathBuf {
    let data: Vec<u8> = samples.iter().flat_map(|sample| ((sample * 32_767.0) as i16).to_le_bytes()).collect();
    let mut bytes = Vec::new();
    bytes.extend(b"RIFF");
    bytes.extend((36 + data.len() as u32).to_le_bytes());
    bytes.extend(b"WAVEfmt ");
    bytes.extend(16u32.to_le_bytes());
    bytes.extend(1u16.to_le_bytes());
    bytes.extend(channels.to_le_bytes());
    bytes.extend(RATE.to_le_bytes());
    bytes.extend((RATE * u32::from(channels) * 2).to_le_bytes());
    bytes.extend((channels * 2).to_le_bytes());
    bytes.extend(16u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend((data.len() as u32).to_le_bytes());
    bytes.extend(data);
    let path = dir.join(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// Chords of three notes with overtones, one a beat, each struck and dying away. Semitones from middle C.
fn chords(progression: &[[i32; 3]], bpm: f64, seconds: f64) -> Vec<f32> {
    let beat = 60.0 / bpm;
    (0..(seconds * f64::from(RATE)) as usize)
        .map(|at| {
            let time = at as f64 / f64::from(RATE);
            let (count, since) = ((time / beat) as usize, time % beat);
            let sounds = progression[count / 4 % progression.len()].iter().flat_map(|note| {
                let hertz = 261.625_58 * 2f64.powf(f64::from(*note) / 12.0);
                (1..=4).map(move |over| (hertz * f64::from(over), 0.5f64.powi(over)))
            });
            let sum: f64 = sounds.map(|(hertz, part)| part * (std::f64::consts::TAU * hertz * time).sin()).sum();
            (0.15 * sum * (-6.0 * since).exp()) as f32
        })
        .collect()
}

const C_MAJOR: [[i32; 3]; 4] = [[0, 4, 7], [-7, -3, 0], [-5, -1, 2], [0, 4, 7]];
const A_MINOR: [[i32; 3]; 4] = [[-3, 0, 4], [2, 5, 9], [-8, -4, -1], [-3, 0, 4]];

#[test]
fn tempo_and_key_of_a_known_piece_are_found() {
    let dir = tempfile::tempdir().unwrap();
    for (progression, bpm, key, mode) in [(C_MAJOR, 96.0, 0, 1), (A_MINOR, 132.0, 9, 0)] {
        for up in [0, 4] {
            let turned = progression.map(|chord| chord.map(|note| note + up));
            let path = wav(dir.path(), "piece.wav", 1, &chords(&turned, bpm, 20.0));
            let sound = embed(&path).unwrap();
            assert_eq!((sound.key, sound.mode), (Some((key + up as i8) % 12), Some(mode)), "{sound:?}");
            let tempo = f64::from(sound.tempo_bpm.unwrap());
            assert!((tempo / bpm - 1.0).abs() < 0.02, "{tempo} for {bpm}");
            assert!((sound.seconds - 20.0).abs() < 0.01);
        }
    }
}

#[test]
fn loudness_is_that_of_the_standard_and_energy_follows_it() {
    let dir = tempfile::tempdir().unwrap();
    // A stereo sine of 997 Hz at -20 dBFS has -20 LUFS in each channel's absence of weighting: EBU Tech 3341, case 1 style.
    let sine = |level: f64| -> Vec<f32> {
        let turn = std::f64::consts::TAU * 997.0 / f64::from(RATE);
        (0..RATE * 5).flat_map(|at| [(level * (f64::from(at) * turn).sin()) as f32; 2]).collect()
    };
    let loud = embed(&wav(dir.path(), "loud.wav", 2, &sine(0.1))).unwrap();
    let soft = embed(&wav(dir.path(), "soft.wav", 2, &sine(0.01))).unwrap();
    assert!((loud.loudness_db.unwrap() + 20.0).abs() < 0.2, "{loud:?}");
    assert!((soft.loudness_db.unwrap() + 40.0).abs() < 0.2, "{soft:?}");
    assert!(loud.energy > soft.energy + 0.3);
    assert_eq!((loud.tempo_bpm, loud.log_mel_mean.len()), (None, MEL_BANDS));
    let silence = embed(&wav(dir.path(), "silence.wav", 1, &vec![0.0; RATE as usize])).unwrap();
    assert_eq!((silence.loudness_db, silence.key, silence.tempo_bpm), (None, None, None));
    assert!(silence.log_mel_mean.iter().all(|level| *level == -80.0) && silence.energy == 0.0);
}

#[test]
fn what_is_no_audio_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let gone = embed(&dir.path().join("gone.wav")).unwrap_err().to_string();
    assert!(gone.contains("gone.wav") && gone.contains("No such file"), "{gone}");
    let text = dir.path().join("text.mp3");
    fs::write(&text, "no music at all, just words and words").unwrap();
    assert!(embed(&text).unwrap_err().to_string().contains("text.mp3"));
    let short = wav(dir.path(), "short.wav", 1, &[0.5; 100]);
    assert!(embed(&short).unwrap_err().to_string().contains("less than a tenth"));
    let path = wav(dir.path(), "cut.wav", 1, &chords(&C_MAJOR, 100.0, 6.0));
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let cut = embed(&path).unwrap();
    assert!(cut.seconds < 3.1, "what is there counts: {}", cut.seconds);
}

proptest::proptest! {
    /// Any bytes behind a good header, and any header: an answer or an error, no panic.
    #[test]
    fn any_bytes_are_answered(mut bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600), flips in 0usize..3) {
        let dir = tempfile::tempdir().unwrap();
        let path = wav(dir.path(), "any.wav", 1, &[0.25; 3_000]);
        let mut good = fs::read(&path).unwrap();
        if flips > 0 {
            bytes.iter().take(flips).for_each(|byte| good[usize::from(*byte) % 44] ^= 1 << (byte % 8));
            bytes = good;
        }
        fs::write(&path, &bytes).unwrap();
        if let Ok(sound) = embed(&path) {
            proptest::prop_assert!(sound.energy.is_finite() && sound.log_mel_mean.iter().all(|level| level.is_finite()));
        }
    }
}
