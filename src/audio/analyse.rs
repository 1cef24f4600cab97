//! Everything that is told of a recording, gathered as it streams.

use ebur128::{EbuR128, Mode};

use super::frames::Frames;
use super::key::Chroma;
use super::mel::MelBands;
use super::tempo::tempo;

/// Bands of the timbre.
pub const MEL_BANDS: usize = 32;
/// Length and distance of the windows for timbre and onsets, seconds.
const SHORT_S: (f64, f64) = (0.046, 0.0116);
/// Length and distance of the windows for pitch, seconds: long enough to part semitones at 100 Hz.
const LONG_S: (f64, f64) = (0.372, 0.186);
/// Most audio that is looked at, seconds.
const LONGEST_S: u64 = 600;
/// Band level below which an onset is not heard, dB.
const QUIET_DB: f32 = -60.0;
/// Rise of the mean band level that counts as an onset for [`Sound::energy`], dB.
const ONSET_DB: f32 = 2.0;

/// What a recording sounds like.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Sound {
    /// Seconds looked at.
    pub seconds: f64,
    /// Beats a minute; absent where nothing beats.
    pub tempo_bpm: Option<f32>,
    /// How alike the onsets are one beat later, 0..1.
    pub tempo_confidence: Option<f32>,
    /// Pitch class of the tonic, 0 = C; absent where no key fits.
    pub key: Option<i8>,
    /// 1 = major, 0 = minor.
    pub mode: Option<i8>,
    /// Correlation with the key's profile, 0.5..1.
    pub key_confidence: Option<f32>,
    /// Integrated loudness, LUFS (EBU R 128); absent for silence.
    pub loudness_db: Option<f32>,
    /// 0..1: three fifths loudness (-40 to -5 LUFS), a fifth onsets (0 to 8 a second), a fifth brightness (share of the
    /// bands' level above 2 kHz). A rule, not learnt; made to order recordings, not to equal anyone's figure.
    pub energy: f32,
    /// Mean level of each mel band from 40 Hz to 10 kHz, dB below a full-scale sine, -80..0.
    pub log_mel_mean: Vec<f32>,
    /// Deviation of each, dB.
    pub log_mel_deviation: Vec<f32>,
}

/// A recording that streams by.
pub(super) struct Analysis {
    rate: u32,
    channels: usize,
    samples: u64,
    loudness: EbuR128,
    mono: Vec<f32>,
    short: Frames,
    long: Frames,
    bands: MelBands,
    levels: Levels,
    chroma: Chroma,
    /// Hz between the entries of long spectra.
    step: f32,
    /// Onsets a second.
    a_second: f64,
}

/// Sums over the short windows.
#[derive(Default)]
struct Levels {
    now: Vec<f32>,
    before: Vec<f32>,
    sums: Vec<f64>,
    squares: Vec<f64>,
    windows: u64,
    onsets: Vec<f32>,
}

impl Analysis {
    /// Begins a recording.
    ///
    /// # Errors
    /// A number of channels or a rate that no recording has.
    pub(super) fn new(channels: usize, rate: u32) -> Result<Self, String> {
        let odd = || format!("{channels} channels at {rate} Hz: 1 to 64 channels at 4,000 to 400,000 Hz are read");
        if !(1..=64).contains(&channels) || !(4_000..=400_000).contains(&rate) {
            return Err(odd());
        }
        let loudness = EbuR128::new(channels as u32, rate, Mode::I).map_err(|_| odd())?;
        let length = |seconds: f64| (seconds * f64::from(rate)).round() as usize;
        let ((short, hop), (long, long_hop)) = (SHORT_S, LONG_S);
        Ok(Self {
            rate,
            channels,
            samples: 0,
            loudness,
            mono: Vec::new(),
            short: Frames::new(length(short), length(hop)),
            long: Frames::new(length(long), length(long_hop)),
            bands: MelBands::new(MEL_BANDS, length(short), rate),
            levels: Levels { sums: vec![0.0; MEL_BANDS], squares: vec![0.0; MEL_BANDS], ..Levels::default() },
            chroma: Chroma::default(),
            step: rate as f32 / length(long) as f32,
            a_second: f64::from(rate) / length(hop) as f64,
        })
    }

    /// Takes interleaved samples; `false` when it has enough. Samples that are no numbers count as silence.
    ///
    /// # Errors
    /// What the loudness meter says.
    pub(super) fn add(&mut self, samples: &[f32]) -> Result<bool, String> {
        let finite = |sample: &f32| if sample.is_finite() { sample.clamp(-4.0, 4.0) } else { 0.0 };
        self.mono.clear();
        let frames = samples.chunks_exact(self.channels);
        self.mono.extend(frames.map(|frame| frame.iter().map(finite).sum::<f32>() / self.channels as f32));
        self.samples += self.mono.len() as u64;
        if samples.iter().all(|sample| sample.abs() <= 4.0) {
            self.loudness.add_frames_f32(samples).map_err(|error| error.to_string())?;
        } else {
            let clean: Vec<f32> = samples.iter().map(finite).collect();
            self.loudness.add_frames_f32(&clean).map_err(|error| error.to_string())?;
        }
        let Self { mono, short, long, bands, levels, chroma, step, .. } = self;
        short.add(mono, |power| {
            bands.read(power, &mut levels.now);
            levels.take();
        });
        long.add(mono, |power| chroma.add(power, *step));
        Ok(self.samples < LONGEST_S * u64::from(self.rate))
    }

    /// What was told; `None` for less than a tenth of a second.
    pub(super) fn finish(self) -> Option<Sound> {
        let seconds = self.samples as f64 / f64::from(self.rate);
        let levels = self.levels;
        if seconds < 0.1 || levels.windows == 0 {
            return None;
        }
        let n = levels.windows as f64;
        let mean: Vec<f64> = levels.sums.iter().map(|sum| sum / n).collect();
        let deviation =
            levels.squares.iter().zip(&mean).map(|(sum, mean)| (sum / n - mean * mean).max(0.0).sqrt() as f32);
        let loudness = self.loudness.loudness_global().ok().filter(|loudness| loudness.is_finite());
        let found = tempo(&levels.onsets, self.a_second);
        let key = self.chroma.key();
        Some(Sound {
            seconds,
            tempo_bpm: found.map(|(bpm, _)| bpm as f32),
            tempo_confidence: found.map(|(_, confidence)| confidence as f32),
            key: key.map(|(tonic, ..)| tonic),
            mode: key.map(|(_, mode, _)| mode),
            key_confidence: key.map(|(.., fit)| fit),
            loudness_db: loudness.map(|loudness| loudness as f32),
            energy: energy(loudness, &levels.onsets, seconds, &mean),
            log_mel_deviation: deviation.collect(),
            log_mel_mean: mean.iter().map(|mean| *mean as f32).collect(),
        })
    }
}

impl Levels {
    /// Takes what stands in `now`: its rise above the window before is an onset.
    fn take(&mut self) {
        for ((sum, square), level) in self.sums.iter_mut().zip(&mut self.squares).zip(&self.now) {
            *sum += f64::from(*level);
            *square += f64::from(*level) * f64::from(*level);
        }
        let heard = |level: &f32| level.max(QUIET_DB);
        let rises = self.now.iter().zip(&self.before).map(|(now, before)| (heard(now) - heard(before)).max(0.0));
        self.onsets.push(rises.sum::<f32>() / MEL_BANDS as f32);
        self.windows += 1;
        std::mem::swap(&mut self.now, &mut self.before);
    }
}

fn energy(loudness: Option<f64>, onsets: &[f32], seconds: f64, mean: &[f64]) -> f32 {
    let loud = loudness.map_or(0.0, |loudness| ((loudness + 40.0) / 35.0).clamp(0.0, 1.0));
    let starts = onsets.windows(2).filter(|pair| pair[0] < ONSET_DB && pair[1] >= ONSET_DB).count();
    let busy = (starts as f64 / seconds / 8.0).clamp(0.0, 1.0);
    let power = |bands: &[f64]| bands.iter().map(|level| level + 80.0).sum::<f64>();
    // The upper 13 of 32 bands lie above 2 kHz.
    let bright = power(&mean[MEL_BANDS - 13..]) / power(mean).max(1e-9);
    (0.6 * loud + 0.2 * busy + 0.2 * bright.clamp(0.0, 1.0)) as f32
}
