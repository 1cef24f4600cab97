//! How fast a recording beats.

/// Tempi that are told, beats a minute.
const RANGE: (f64, f64) = (45.0, 215.0);
/// Ratio of neighbouring tempi that are tried.
const STEP: f64 = 1.002;
/// Multiples of a beat that must come again.
const MULTIPLES: usize = 4;
/// Listeners tap near this tempo, beats a minute, with this deviation in octaves (Ellis 2007; Moelants 2002).
const USUAL: (f64, f64) = (120.0, 1.1);
/// Length of the mean that is taken off the onsets, seconds.
const LOCAL_S: f64 = 1.0;
/// Least audio of which a tempo is told, seconds.
const LEAST_S: f64 = 4.0;
/// Below this mean square of the onsets nothing is struck: a steady sound's levels move that much, too.
const LEAST_STRENGTH: f64 = 0.0025;
/// Below this self-similarity there is no beat.
const LEAST_CONFIDENCE: f64 = 0.1;

/// Tempo in beats a minute, and how alike the onsets are one beat later, 0..1. `onsets`: strength at `a_second` moments a
/// second, in dB. `None` for less than 4 s, where nothing is struck, or where nothing comes again.
///
/// The score of a tempo is the autocorrelation of the onsets at one to four beats, which favours the tempo and its
/// fractions, times their Fourier coefficient, which favours the tempo and its multiples (Peeters 2007), times how usual it
/// is. `O(n * tempi)`.
pub(super) fn tempo(onsets: &[f32], a_second: f64) -> Option<(f64, f64)> {
    if (onsets.len() as f64) < LEAST_S * a_second {
        return None;
    }
    let onsets = detrended(onsets, (LOCAL_S * a_second) as usize);
    let energy: f64 = onsets.iter().map(|value| value * value).sum();
    if energy <= LEAST_STRENGTH * onsets.len() as f64 {
        return None;
    }
    let longest = (60.0 / RANGE.0 * a_second * MULTIPLES as f64) as usize + 2;
    let similar: Vec<f64> = (0..longest.min(onsets.len())).map(|lag| similarity(&onsets, lag) / energy).collect();
    let mut best = (f64::MIN, 0.0);
    let mut bpm = RANGE.0;
    while bpm <= RANGE.1 {
        let beat = 60.0 / bpm * a_second;
        let again: f64 = (1..=MULTIPLES).map(|times| between(&similar, beat * times as f64)).sum();
        let octaves = (bpm / USUAL.0).log2() / USUAL.1;
        let score = again.max(0.0) * coefficient(&onsets, beat) * (-0.5 * octaves * octaves).exp();
        if score > best.0 {
            best = (score, bpm);
        }
        bpm *= STEP;
    }
    let confidence = between(&similar, 60.0 / best.1 * a_second).clamp(0.0, 1.0);
    (confidence >= LEAST_CONFIDENCE).then_some((best.1, confidence))
}

/// What stands above the mean of its surroundings.
fn detrended(onsets: &[f32], around: usize) -> Vec<f64> {
    let sums: Vec<f64> = [0.0]
        .into_iter()
        .chain(onsets.iter().scan(0.0, |sum, value| {
            *sum += f64::from(*value);
            Some(*sum)
        }))
        .collect();
    let above = onsets.iter().enumerate().map(|(at, value)| {
        let (from, to) = (at.saturating_sub(around / 2), (at + around / 2 + 1).min(onsets.len()));
        (f64::from(*value) - (sums[to] - sums[from]) / (to - from) as f64).max(0.0)
    });
    let above: Vec<f64> = above.collect();
    let mean = above.iter().sum::<f64>() / above.len() as f64;
    above.into_iter().map(|value| value - mean).collect()
}

/// Sum of products with itself, `lag` later; as if the missing end were like the rest.
fn similarity(onsets: &[f64], lag: usize) -> f64 {
    let sum: f64 = onsets.iter().zip(&onsets[lag..]).map(|(a, b)| a * b).sum();
    sum * onsets.len() as f64 / (onsets.len() - lag) as f64
}

/// A value between two entries.
fn between(values: &[f64], at: f64) -> f64 {
    let (low, part) = (at.floor() as usize, at.fract());
    let value = |at: usize| values.get(at).copied().unwrap_or(0.0);
    value(low) * (1.0 - part) + value(low + 1) * part
}

/// Size of the Fourier coefficient of a period, in entries.
fn coefficient(onsets: &[f64], period: f64) -> f64 {
    let turn = std::f64::consts::TAU / period;
    let (mut re, mut im) = (0.0, 0.0);
    // The angle is turned on by multiplication; a run is short enough for the error not to matter.
    let (step_re, step_im) = (turn.cos(), turn.sin());
    let (mut at_re, mut at_im) = (1.0f64, 0.0f64);
    for value in onsets {
        re += value * at_re;
        im += value * at_im;
        (at_re, at_im) = (at_re * step_re - at_im * step_im, at_re * step_im + at_im * step_re);
    }
    re.hypot(im)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const A_SECOND: f64 = 86.0;

    /// A pulse a beat, with weaker ones between and noise.
    fn pulses(bpm: f64, seconds: f64, noise: f32) -> Vec<f32> {
        let (beat, length) = (60.0 / bpm * A_SECOND, (seconds * A_SECOND) as usize);
        let mut state = 1u32;
        let mut onsets: Vec<f32> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                noise * (state >> 8) as f32 / (1 << 24) as f32
            })
            .collect();
        let beats = (0..).map(|count| count as f64 * beat).take_while(|at| *at < length as f64 - 1.0);
        beats.for_each(|at| onsets[at.round() as usize] += 1.0);
        onsets
    }

    proptest! {
        #[test]
        fn finds_the_beat_of_pulses(bpm in 62.0f64..190.0, noise in 0.0f32..0.3) {
            let (found, confidence) = tempo(&pulses(bpm, 20.0, noise), A_SECOND).unwrap();
            prop_assert!((found / bpm - 1.0).abs() < 0.02, "{} for {}", found, bpm);
            prop_assert!(confidence > 0.15);
        }

        #[test]
        fn similarity_between_entries_lies_between_them(values in prop::collection::vec(-1.0f64..1.0, 2..9), part in 0.0f64..1.0) {
            for (at, pair) in values.windows(2).enumerate() {
                let value = between(&values, at as f64 + part);
                prop_assert!(value >= pair[0].min(pair[1]) - 1e-9 && value <= pair[0].max(pair[1]) + 1e-9);
            }
        }
    }

    #[test]
    fn what_does_not_beat_has_no_tempo() {
        assert_eq!(tempo(&[], A_SECOND), None);
        assert_eq!(tempo(&[1.0; 100], A_SECOND), None, "too short");
        assert_eq!(tempo(&[1.0; 2_000], A_SECOND), None, "without change");
        let once: Vec<f32> = (0..2_000).map(|at| f32::from(u8::from(at == 900))).collect();
        assert_eq!(tempo(&once, A_SECOND), None, "one beat");
    }
}
