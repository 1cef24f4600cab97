//! Overlapping windows of a stream and their power spectra.

use std::sync::Arc;

use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// Cuts a stream of samples into Hann windows.
pub(super) struct Frames {
    fft: Arc<dyn RealToComplex<f32>>,
    window: Vec<f32>,
    hop: usize,
    held: Vec<f32>,
    input: Vec<f32>,
    output: Vec<Complex<f32>>,
    power: Vec<f32>,
}

impl Frames {
    /// Windows of `length` samples (at least 4), one every `hop` (1 to `length`).
    pub(super) fn new(length: usize, hop: usize) -> Self {
        let length = length.max(4);
        let hop = hop.clamp(1, length);
        let fft = RealFftPlanner::new().plan_fft_forward(length);
        let turn = std::f32::consts::TAU / length as f32;
        let window = (0..length).map(|at| 0.5 - 0.5 * (at as f32 * turn).cos()).collect();
        let (input, output) = (fft.make_input_vec(), fft.make_output_vec());
        let power = vec![0.0; output.len()];
        Self { fft, window, hop, held: Vec::new(), input, output, power }
    }

    /// Takes samples; calls `each` with the power of each frequency of every window that they fill: entry `i` is at
    /// `i * rate / length` Hz, and a full-scale sine has about 1/16 of `length^2` in its entry.
    pub(super) fn add(&mut self, samples: &[f32], mut each: impl FnMut(&[f32])) {
        self.held.extend_from_slice(samples);
        let mut from = 0;
        while self.held.len() - from >= self.window.len() {
            let windowed = self.held[from..].iter().zip(&self.window).map(|(sample, weight)| sample * weight);
            self.input.iter_mut().zip(windowed).for_each(|(to, sample)| *to = sample);
            // Its only error is a wrong length, and both buffers are its own.
            if self.fft.process(&mut self.input, &mut self.output).is_ok() {
                self.power.iter_mut().zip(&self.output).for_each(|(to, value)| *to = value.norm_sqr());
                each(&self.power);
            }
            from += self.hop;
        }
        self.held.drain(..from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition of the transform, a sum over the window for each frequency.
    fn naive(samples: &[f32], length: usize) -> Vec<f32> {
        let turn = std::f64::consts::TAU / length as f64;
        (0..=length / 2)
            .map(|k| {
                let (mut re, mut im) = (0.0f64, 0.0f64);
                for (at, sample) in samples.iter().enumerate() {
                    let windowed = f64::from(*sample) * (0.5 - 0.5 * (at as f64 * turn).cos());
                    let angle = turn * (k * at) as f64;
                    re += windowed * angle.cos();
                    im -= windowed * angle.sin();
                }
                (re * re + im * im) as f32
            })
            .collect()
    }

    proptest! {
        /// However the stream is cut, the windows are the same, and each has the spectrum of its definition.
        #[test]
        fn equals_the_definition(
            samples in prop::collection::vec(-1.0f32..1.0, 0..80), length in 4usize..24, hop in 1usize..30, cut in 0usize..80,
        ) {
            let hop = hop.min(length);
            let mut frames = Frames::new(length, hop);
            let mut got: Vec<Vec<f32>> = Vec::new();
            let cut = cut.min(samples.len());
            for part in [&samples[..cut], &samples[cut..]] {
                frames.add(part, |power| got.push(power.to_vec()));
            }
            let starts = (0..).map(|frame| frame * hop).take_while(|from| from + length <= samples.len());
            let expected: Vec<Vec<f32>> = starts.map(|from| naive(&samples[from..from + length], length)).collect();
            prop_assert_eq!(got.len(), expected.len());
            for (got, expected) in got.iter().flatten().zip(expected.iter().flatten()) {
                prop_assert!((got - expected).abs() < 1e-3 * (1.0 + expected), "{} {}", got, expected);
            }
        }
    }
}
