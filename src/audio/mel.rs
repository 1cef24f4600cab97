//! Energy in bands as wide as the ear's.

/// Lowest and highest frequency of the bands, Hz.
const RANGE: (f32, f32) = (40.0, 10_000.0);
/// Power below which nothing is heard: -80 dB of a full-scale sine's.
const FLOOR: f32 = 1e-8;

/// Triangular bands of equal width on the mel scale (O'Shaughnessy 1987), overlapping by half.
pub(super) struct MelBands {
    /// First entry of the spectrum and weights, of each band.
    bands: Vec<(usize, Vec<f32>)>,
    /// What makes a full-scale sine's power 1.
    scale: f32,
}

impl MelBands {
    /// `count` bands over spectra of windows of `length` samples at `rate` Hz. Bands above half the rate stay silent.
    pub(super) fn new(count: usize, length: usize, rate: u32) -> Self {
        let (low, high) = (mel(RANGE.0), mel(RANGE.1));
        let edge = |at: usize| hertz(low + (high - low) * at as f32 / (count + 1) as f32);
        let step = rate as f32 / length as f32;
        let band = |at: usize| {
            let (from, middle, to) = (edge(at), edge(at + 1), edge(at + 2));
            // A band that is narrower than a step of the spectrum has the nearest entry.
            let first = ((from / step).ceil() as usize).min((middle / step).round() as usize);
            let last = ((to / step).floor() as usize).max((middle / step).round() as usize);
            let weight = |entry: usize| {
                let at = entry as f32 * step;
                let slope = if at < middle { (at - from) / (middle - from) } else { (to - at) / (to - middle) };
                slope.clamp(0.0, 1.0)
            };
            let mut weights: Vec<f32> = (first..=last.min(length / 2)).map(weight).collect();
            if weights.iter().all(|weight| *weight <= 0.0) {
                weights.iter_mut().for_each(|weight| *weight = 1.0);
            }
            (first, weights)
        };
        Self { bands: (0..count).map(band).collect(), scale: 16.0 / (length as f32 * length as f32) }
    }

    /// The energy of each band in decibels, 0 for a full-scale sine in it, -80 for silence.
    pub(super) fn read(&self, power: &[f32], out: &mut Vec<f32>) {
        out.clear();
        out.extend(self.bands.iter().map(|(first, weights)| {
            let entries = power.get(*first..).unwrap_or(&[]);
            let sum: f32 = entries.iter().zip(weights).map(|(power, weight)| power * weight).sum();
            10.0 * (sum * self.scale).max(FLOOR).log10()
        }));
    }
}

fn mel(hertz: f32) -> f32 {
    2_595.0 * (1.0 + hertz / 700.0).log10()
}

fn hertz(mel: f32) -> f32 {
    700.0 * (10f32.powf(mel / 2_595.0) - 1.0)
}

#[cfg(test)]
mod tests {
    use super::super::frames::Frames;
    use super::*;
    use proptest::prelude::*;

    fn loudest(frequency: f32, rate: u32) -> (usize, f32) {
        let length = 2_048;
        let turn = std::f32::consts::TAU * frequency / rate as f32;
        let sine: Vec<f32> = (0..length).map(|at| (at as f32 * turn).sin()).collect();
        let (bands, mut out) = (MelBands::new(32, length, rate), Vec::new());
        Frames::new(length, length).add(&sine, |power| bands.read(power, &mut out));
        let best = (0..32).max_by(|a, b| out[*a].total_cmp(&out[*b])).unwrap();
        (best, out[best])
    }

    proptest! {
        #[test]
        fn a_sine_is_loudest_in_the_band_that_it_lies_in(frequency in 120.0f32..9_000.0) {
            let (best, decibels) = loudest(frequency, 44_100);
            let (low, high) = (mel(RANGE.0), mel(RANGE.1));
            let place = (mel(frequency) - low) / (high - low) * 33.0 - 1.0;
            prop_assert!((best as f32 - place).abs() < 1.0, "{} {}", best, place);
            prop_assert!((-7.0..3.0).contains(&decibels), "{}", decibels);
        }
    }

    #[test]
    fn silence_and_bands_beyond_the_spectrum_are_silent() {
        let (bands, mut out) = (MelBands::new(32, 1_024, 8_000), Vec::new());
        bands.read(&vec![0.0; 513], &mut out);
        assert_eq!(out, [-80.0; 32]);
        bands.read(&vec![1e6; 513], &mut out);
        assert_eq!(out[31], -80.0, "10 kHz at a rate of 8 kHz");
    }
}
