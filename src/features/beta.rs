//! Beta distributions on a grid: the share of each cell, up to which value so much lies, and draws.

/// Cells between 0 and 1, narrower towards the ends.
pub const CELLS: usize = 256;

/// Least and most that a parameter counts as.
const LEAST: f64 = 0.01;
const MOST: f64 = 1e6;
/// What lies so far below the peak, as a logarithm, is nothing.
const NOTHING: f64 = -40.0;

/// Turns the parameters of a Beta distribution into the cumulated shares of 256 cells of 0..1, each weighed by the density in
/// its middle. Cells are even in the angle whose squared sine is the value, so a distribution that leans against an end is
/// not all in one cell. Parameters that are no numbers count as 1, others are kept within 0.01..1,000,000.
#[derive(Debug, Clone)]
pub struct BetaGrid {
    /// `ln x` and `ln (1 - x)` of each cell's middle.
    logs: Box<[(f64, f64)]>,
}

impl Default for BetaGrid {
    fn default() -> Self {
        let middle = |cell: usize| std::f64::consts::FRAC_PI_2 * (cell as f64 + 0.5) / CELLS as f64;
        let logs = |angle: f64| (2.0 * angle.sin().ln(), 2.0 * angle.cos().ln());
        Self { logs: (0..CELLS).map(middle).map(logs).collect() }
    }
}

impl BetaGrid {
    /// Fills `shares` with the part of the distribution up to the end of each cell: rising, the last is 1. About a
    /// microsecond.
    pub fn cumulate(&self, alpha: f64, beta: f64, shares: &mut [f32; CELLS]) {
        let sane = |value: f64| if value.is_nan() { 1.0 } else { value.clamp(LEAST, MOST) };
        // A half, not 1: the width of a cell goes with the root of x (1 - x).
        let (alpha, beta) = (sane(alpha) - 0.5, sane(beta) - 0.5);
        let density = |(ln, ln_rest): &(f64, f64)| alpha * ln + beta * ln_rest;
        let peak = self.logs.iter().map(density).fold(f64::NEG_INFINITY, f64::max);
        let mut sum = 0.0f32;
        for (share, logs) in shares.iter_mut().zip(&self.logs) {
            let below = density(logs) - peak;
            if below > NOTHING {
                sum += (below as f32).exp();
            }
            *share = sum;
        }
        // The peak's own cell makes the sum at least 1.
        shares.iter_mut().for_each(|share| *share /= sum);
        shares[CELLS - 1] = 1.0;
    }

    /// The values between which the middle `part` (0..1) of a distribution lies, with as much below as above.
    pub fn interval(&self, alpha: f64, beta: f64, part: f32) -> (f32, f32) {
        let mut shares = [0.0; CELLS];
        self.cumulate(alpha, beta, &mut shares);
        let outside = (1.0 - part) / 2.0;
        (quantile(&shares, outside), quantile(&shares, 1.0 - outside))
    }
}

/// The cell of a draw: `uniform` is a number above 0 and up to 1, drawn at random.
pub fn drawn(shares: &[f32], uniform: f32) -> usize {
    shares.partition_point(|share| *share < uniform).min(shares.len().saturating_sub(1))
}

/// The value up to which the part `of` of a distribution lies, as if angles were even within a cell.
fn quantile(shares: &[f32; CELLS], of: f32) -> f32 {
    let cell = drawn(shares, of);
    let before = if cell == 0 { 0.0 } else { shares[cell - 1] };
    let inside = (of - before) / (shares[cell] - before).max(f32::MIN_POSITIVE);
    let angle = std::f32::consts::FRAC_PI_2 * (cell as f32 + inside.clamp(0.0, 1.0)) / CELLS as f32;
    angle.sin().powi(2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;
    use rand_distr::{Beta, Distribution};

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Draws of the distribution itself lie between the ends as often as they should.
        #[test]
        fn intervals_hold_their_part_of_true_draws(alpha in 0.8f64..60.0, beta in 0.8f64..60.0, seed in any::<u64>()) {
            let (low, high) = BetaGrid::default().interval(alpha, beta, 0.9);
            let mut rng = ChaCha8Rng::seed_from_u64(seed);
            let twin = Beta::new(alpha, beta).unwrap();
            let inside = (0..4_000).filter(|_| (low..=high).contains(&(twin.sample(&mut rng) as f32))).count();
            prop_assert!((3_480..3_720).contains(&inside), "{inside} of 4,000 in {low}..{high}");
        }

        #[test]
        fn whatever_the_parameters_shares_rise_to_one(alpha in any::<f64>(), beta in any::<f64>()) {
            let mut shares = [0.0; CELLS];
            BetaGrid::default().cumulate(alpha, beta, &mut shares);
            prop_assert!(shares.is_sorted() && shares[0] >= 0.0 && shares[CELLS - 1] == 1.0, "{alpha} {beta}");
            prop_assert!(drawn(&shares, 1.0) < CELLS && shares[drawn(&shares, 1e-7)] > 0.0);
        }
    }

    #[test]
    fn known_quantiles() {
        let grid = BetaGrid::default();
        let (low, high) = grid.interval(1.0, 1.0, 0.5);
        assert!((low - 0.25).abs() < 1e-3 && (high - 0.75).abs() < 1e-3, "even: {low} {high}");
        // Beta(2, 1) has x^2 below x.
        let (low, high) = grid.interval(2.0, 1.0, 0.9);
        assert!((low - 0.05f32.sqrt()).abs() < 3e-3 && (high - 0.95f32.sqrt()).abs() < 3e-3, "{low} {high}");
    }
}
