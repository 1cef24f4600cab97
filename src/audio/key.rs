//! In which key a recording stands.

/// Frequencies whose pitch is told, Hz.
const RANGE: (f32, f32) = (100.0, 2_000.0);
/// Middle C, Hz, in equal temperament at A = 440 Hz.
const C4: f32 = 261.625_58;
/// How well each pitch class fits a major key on the first of them, as listeners rate it (Krumhansl and Kessler 1982).
const MAJOR: [f32; 12] = [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88];
/// The same of a minor key.
const MINOR: [f32; 12] = [6.33, 2.68, 3.52, 5.38, 2.60, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17];
/// Below this correlation there is no key.
const LEAST: f32 = 0.5;

/// Energy by pitch class, summed over spectra.
#[derive(Debug, Default)]
pub(super) struct Chroma {
    energy: [f32; 12],
}

impl Chroma {
    /// Adds the peaks of a power spectrum whose entries are `step` Hz apart. Each spectrum counts alike, loud or soft.
    pub(super) fn add(&mut self, power: &[f32], step: f32) {
        let (first, last) = ((RANGE.0 / step).ceil() as usize, (RANGE.1 / step) as usize);
        let mut own = [0.0f32; 12];
        for at in first.max(1)..last.min(power.len().saturating_sub(1)) {
            let (before, here, after) = (power[at - 1], power[at], power[at + 1]);
            if here > before && here >= after {
                own[pitch_class((at as f32 + offset(before, here, after)) * step)] += here.sqrt();
            }
        }
        let sum: f32 = own.iter().sum();
        if sum > 0.0 {
            self.energy.iter_mut().zip(own).for_each(|(energy, own)| *energy += own / sum);
        }
    }

    /// Pitch class of the tonic (0 = C), 1 for major and 0 for minor, and the correlation with that key's profile;
    /// `None` where no key fits (below 0.5) or nothing sounded.
    pub(super) fn key(&self) -> Option<(i8, i8, f32)> {
        let keys = (0..12i8).flat_map(|tonic| [(tonic, 1), (tonic, 0)]);
        let fit = |(tonic, mode): (i8, i8)| {
            let profile = if mode == 1 { MAJOR } else { MINOR };
            let mut turned = profile;
            turned.rotate_right(tonic as usize);
            (tonic, mode, correlation(&self.energy, &turned))
        };
        let best = keys.map(fit).max_by(|a, b| a.2.total_cmp(&b.2))?;
        (best.2 >= LEAST).then_some(best)
    }
}

/// Where the top of a peak lies between its neighbours, -0.5..0.5 entries, of a parabola through the logarithms.
fn offset(before: f32, here: f32, after: f32) -> f32 {
    let [a, b, c] = [before, here, after].map(|power| power.max(1e-20).ln());
    let bend = a - 2.0 * b + c;
    if bend < 0.0 { ((a - c) / (2.0 * bend)).clamp(-0.5, 0.5) } else { 0.0 }
}

fn pitch_class(hertz: f32) -> usize {
    (12.0 * (hertz / C4).log2()).round().rem_euclid(12.0) as usize % 12
}

/// Pearson's; 0 where one does not vary.
fn correlation(a: &[f32; 12], b: &[f32; 12]) -> f32 {
    let mean = |values: &[f32; 12]| values.iter().sum::<f32>() / 12.0;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut both, mut own_a, mut own_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        both += (a - mean_a) * (b - mean_b);
        own_a += (a - mean_a) * (a - mean_a);
        own_b += (b - mean_b) * (b - mean_b);
    }
    if own_a * own_b > 1e-12 { both / (own_a * own_b).sqrt() } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_its_own_key() {
        for tonic in 0..12i8 {
            for (mode, profile) in [(1, MAJOR), (0, MINOR)] {
                let mut energy = profile;
                energy.rotate_right(tonic as usize);
                let (found, found_mode, fit) = Chroma { energy }.key().unwrap();
                assert_eq!((found, found_mode), (tonic, mode));
                assert!(fit > 0.999);
            }
        }
        assert_eq!(Chroma::default().key(), None);
        assert_eq!(Chroma { energy: [1.0; 12] }.key(), None);
    }

    #[test]
    fn notes_have_their_pitch_class() {
        for (hertz, class) in [(440.0, 9), (220.0, 9), (261.63, 0), (246.94, 11), (1_046.5, 0), (103.83, 8)] {
            assert_eq!(pitch_class(hertz), class, "{hertz}");
        }
        assert!(pitch_class(0.0) < 12 && pitch_class(f32::NAN) < 12);
    }
}
