//! How often all of it together is wrong, over simulated experiments. Seeds are fixed; a failure prints what was counted.

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rand_distr::{Binomial, Distribution, Exp1};

use super::{Sequence, Sums, Unit, adjust, holm, minus, mismatch_p, normal_p};

/// A listener: plays that go by how much they played before, a part of them completed, their own share of it.
fn listener(rng: &mut impl Rng) -> Unit {
    let before: f64 = rng.sample(Exp1);
    let share = rng.random_range(0.3..0.9);
    let plays = 1.0 + (10.0 * (0.5 * before + 0.5 * rng.sample::<f64, _>(Exp1))).floor();
    let completed = (0..plays as u32).filter(|_| rng.random_bool(share)).count() as f64;
    Unit { sums: Sums { numerator: completed, denominator: plays }, before }
}

/// The same listeners as minutes a listener instead of a ratio of plays.
fn as_mean(arm: &[Unit]) -> Vec<Unit> {
    let mean = |unit: &Unit| Unit { sums: Sums { numerator: 3.0 * unit.sums.numerator, denominator: 1.0 }, ..*unit };
    arm.iter().map(mean).collect()
}

fn arms(listeners: usize, rng: &mut ChaCha8Rng) -> [Vec<Unit>; 2] {
    let mut arms = [Vec::new(), Vec::new()];
    (0..listeners).for_each(|_| arms[usize::from(rng.random_bool(0.5))].push(listener(rng)));
    arms
}

/// An A/A experiment gives a difference at 5 % in 5 % of 1,000 runs, +- 1.4 (two standard deviations): ratio and mean, with CUPED.
#[test]
fn nothing_is_found_in_five_of_a_hundred() {
    let mut rng = ChaCha8Rng::seed_from_u64(11);
    let (mut ratios, mut means, mut any) = (0, 0, 0);
    for _ in 0..1_000 {
        let arms = arms(600, &mut rng);
        let p = |arms: &[Vec<Unit>]| {
            let found = adjust(arms).unwrap();
            let difference = minus(found.arms[1], 1.0, found.arms[0]);
            normal_p(difference.value, difference.variance)
        };
        let (ratio, mean) = (p(&arms), p(&[as_mean(&arms[0]), as_mean(&arms[1])]));
        ratios += i32::from(ratio < 0.05);
        means += i32::from(mean < 0.05);
        any += i32::from(holm(&[ratio, mean]).iter().any(|p| *p < 0.05));
    }
    println!("ratio {ratios}, mean {means}, any after Holm {any} of 1000");
    assert!((36..=64).contains(&ratios) && (36..=64).contains(&means), "ratio {ratios}, mean {means} of 1000");
    assert!(any <= 64, "{any} of 1000 after Holm");
}

/// Looked at 20 times on the way, one look at 5 % is wrong far more often than 5 %; the sequence is not.
#[test]
fn looking_often_costs_nothing_with_a_sequence() {
    let mut rng = ChaCha8Rng::seed_from_u64(12);
    let sequence = Sequence::new(0.05, 1_000);
    let (mut once, mut always, runs) = (0, 0, 400);
    for _ in 0..runs {
        let whole: Vec<(bool, Unit)> = (0..1_000).map(|_| (rng.random_bool(0.5), listener(&mut rng))).collect();
        let (mut peeked, mut sequential) = (false, false);
        for look in 1..=20 {
            let mut arms = [Vec::new(), Vec::new()];
            whole[..50 * look].iter().for_each(|(arm, unit)| arms[usize::from(*arm)].push(*unit));
            let found = adjust(&arms).unwrap();
            let difference = minus(found.arms[1], 1.0, found.arms[0]);
            peeked |= normal_p(difference.value, difference.variance) < 0.05;
            sequential |= sequence.p(difference) < 0.05;
        }
        once += i32::from(peeked);
        always += i32::from(sequential);
    }
    println!("peeking {once}, sequence {always} of {runs}");
    assert!(once > 60, "peeking is an error: {once} of {runs}");
    // 5 % of 400 is 20, standard deviation 4.4.
    assert!(always <= 28, "{always} of {runs}");
}

/// An arm that loses one listener in a hundred, and one that has a hundredth of all listeners less: found in 99 % at a million.
#[test]
fn a_mismatch_of_a_hundredth_is_found_among_a_million() {
    let mut rng = ChaCha8Rng::seed_from_u64(13);
    let (mut lost, mut moved, mut none, runs) = (0, 0, 0, 20_000);
    for _ in 0..runs {
        let draw = |n: u64, share: f64, rng: &mut ChaCha8Rng| Binomial::new(n, share).unwrap().sample(rng);
        let control = draw(1_000_000, 0.5, &mut rng);
        let treated = 1_000_000 - control;
        let found = |counts: [u64; 2]| i32::from(mismatch_p(&counts, &[1.0, 1.0]) < 0.01);
        none += found([control, treated]);
        lost += found([control, draw(treated, 0.99, &mut rng)]);
        let shifted = draw(1_000_000, 0.505, &mut rng);
        moved += found([shifted, 1_000_000 - shifted]);
    }
    println!("lost {lost}, moved {moved}, none {none} of {runs}");
    assert!(lost >= runs * 99 / 100 && moved == runs, "lost {lost}, moved {moved} of {runs}");
    // 1 % of 20,000 is 200, standard deviation 14.
    assert!((158..=242).contains(&none), "{none} of {runs} where there is none");
}

/// With the effect that the report calls detectable, it is found in 80 % of the runs.
#[test]
fn the_detectable_effect_is_found_in_four_of_five() {
    let mut rng = ChaCha8Rng::seed_from_u64(14);
    let (mut found, runs) = (0, 400);
    for _ in 0..runs {
        let [control, mut treated] = arms(600, &mut rng).map(|arm| as_mean(&arm));
        let plain = adjust(&[control.clone(), treated.clone()]).unwrap();
        let effect = super::detectable(plain.arms[0].variance + plain.arms[1].variance, 0.05, 0.8);
        treated.iter_mut().for_each(|unit| unit.sums.numerator += effect);
        let lifted = adjust(&[control, treated]).unwrap();
        let difference = minus(lifted.arms[1], 1.0, lifted.arms[0]);
        found += i32::from(normal_p(difference.value, difference.variance) < 0.05);
    }
    println!("found {found} of {runs}");
    // 80 % of 400 is 320, standard deviation 8.
    assert!((296..=344).contains(&found), "{found} of {runs}");
}
