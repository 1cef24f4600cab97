use std::collections::BTreeMap;

use super::*;
use crate::config::{ArmConfig, ExperimentConfig};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

fn experiment(weights: [u32; 2]) -> ExperimentConfig {
    let arm = |(name, weight): (&str, u32)| ArmConfig { name: name.into(), weight, ..ArmConfig::default() };
    let arms = ["as-is", "other"].into_iter().zip(weights).map(arm).collect();
    ExperimentConfig { name: "e".into(), layer: "l".into(), share: 1.0, from: None, salt: None, holdback: false, arms }
}

fn settings() -> Settings {
    let guardrails = BTreeMap::from([("early_skip_rate".to_owned(), 0.2), ("daily_active_minutes".to_owned(), 0.05)]);
    Settings { fixed_horizon: true, planned: 1_000, mismatch: 0.01, despite_mismatch: false, guardrails }
}

/// Listeners of two arms by turns; in the second one plays last longer by `lift`, and early skips are as many times more.
fn lives(listeners: usize, lift: f64, skips: f64, seed: u64) -> Vec<Lived> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let life = |at: usize| {
        let arm = at % 2;
        let before = rng.random_range(10.0..200.0);
        let plays = f64::from(rng.random_range(20u32..60));
        let (longer, more) = if arm == 1 { (1.0 + lift, skips) } else { (1.0, 1.0) };
        let minutes = longer * (before + rng.random_range(0.0..20.0));
        let early = (0..plays as u32).filter(|_| rng.random_bool(0.1 * more)).count() as f64;
        let (through, long) = (plays / 2.0, plays - early);
        Lived {
            arm,
            days: 15.0,
            plays,
            through,
            long,
            early,
            minutes,
            minutes_two_weeks: minutes,
            active: 0b10,
            before,
        }
    };
    (0..listeners).map(life).collect()
}

fn exposed(lives: &[Lived]) -> Exposed {
    let served = |tracks: std::ops::Range<u32>| tracks.map(|at| (format!("t{at}").into(), 2)).collect();
    Exposed { answers: vec![lives.len() as u64; 2], served: vec![served(0..40), served(0..80)], ..Exposed::default() }
}

fn made(lives: &[Lived], settings: &Settings) -> Result<ExperimentReport, ExperimentError> {
    report(&experiment([1, 1]), &exposed(lives), lives, 0, 100, settings)
}

fn of<'a>(report: &'a ExperimentReport, name: &str) -> &'a MeasureReport {
    report.measures.iter().find(|measure| measure.name == name).unwrap()
}

#[test]
fn an_effect_is_found_where_it_is_and_guardrails_speak() {
    let all = lives(1_200, 0.08, 1.6, 3);
    for settings in [settings(), Settings { fixed_horizon: false, ..settings() }] {
        let made = made(&all, &settings).unwrap();
        let minutes = &of(&made, "daily_active_minutes").changes[0];
        let relative = minutes.relative.unwrap();
        assert!(
            minutes.significant && relative.low > 0.0 && (relative.low..relative.high).contains(&0.08),
            "{minutes:?}"
        );
        assert_eq!(minutes.guard.unwrap().verdict, "holds");
        assert!(of(&made, "daily_active_minutes").explained > 0.9, "what they heard before says nearly all");
        let skips = &of(&made, "early_skip_rate").changes[0];
        assert!(skips.significant && skips.guard.unwrap().verdict == "broken", "{skips:?}");
        let through = &of(&made, "play_through_rate").changes[0];
        assert!(!through.significant && through.guard.is_none() && through.p_holm >= through.p);
        assert_eq!(made.untold, ["return_d28"]);
        assert_eq!(of(&made, "return_d1").arms[0].value, 1.0);
        let coverage: Vec<f64> = made.arms.iter().map(|arm| arm.coverage).collect();
        assert_eq!(coverage[0], 0.4);
        assert!(coverage[1] > 0.4 && coverage[1] < 0.8, "80 tracks among as many served ones as the other arm has");
    }
}

#[test]
fn arms_of_the_wrong_size_stop_the_report() {
    let mut all = lives(2_000, 0.0, 1.0, 4);
    let mut at = 0;
    // Every seventh listener of the second arm is lost.
    all.retain(|life| {
        at += usize::from(life.arm == 1);
        life.arm == 0 || at % 7 != 0
    });
    let error = made(&all, &settings()).unwrap_err();
    assert!(matches!(error, ExperimentError::Mismatch { p, .. } if p < 0.01), "{error}");
    assert!(error.to_string().contains("1000, 858 listeners where 929, 929 were expected"), "{error}");
    let forced = made(&all, &Settings { despite_mismatch: true, ..settings() }).unwrap();
    assert!(forced.mismatched && !forced.measures.is_empty());
    let halves = report(&experiment([7, 6]), &exposed(&all), &all, 0, 100, &settings()).unwrap();
    assert!(!halves.mismatched, "the weights say what is right: {}", halves.mismatch_p);
    assert!(matches!(made(&[], &settings()), Err(ExperimentError::Nobody(_))));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Against arithmetic on plain lists, where nothing was known before.
    #[test]
    fn equals_plain_arithmetic(seed in any::<u64>(), listeners in 40usize..120) {
        let mut all = lives(listeners, 0.3, 1.5, seed);
        all.iter_mut().for_each(|life| life.before = 0.0);
        let made = made(&all, &Settings { mismatch: 0.0, ..settings() }).unwrap();
        let total = |arm: usize, of: fn(&Lived) -> f64| all.iter().filter(|l| l.arm == arm).map(of).sum::<f64>();
        let rate = |arm| total(arm, |l| l.early) / total(arm, |l| l.plays);
        let found = of(&made, "early_skip_rate");
        prop_assert!((found.arms[0].value - rate(0)).abs() < 1e-9 && (found.arms[1].value - rate(1)).abs() < 1e-9);
        prop_assert!((found.changes[0].difference.value - (rate(1) - rate(0))).abs() < 1e-9);
        let minutes = |arm| total(arm, |l| l.minutes) / total(arm, |_| 15.0);
        let relative = of(&made, "daily_active_minutes").changes[0].relative.unwrap().value;
        prop_assert!((relative - (minutes(1) / minutes(0) - 1.0)).abs() < 1e-9);
        for change in made.measures.iter().flat_map(|measure| &measure.changes) {
            prop_assert!(change.p_holm >= change.p && change.significant == (change.p_holm < 0.05));
        }
    }
}

#[test]
fn the_page_and_the_table_hold_everything() {
    let all = lives(600, 0.1, 1.0, 5);
    let mut made = made(&all, &settings()).unwrap();
    made.experiment = "a<b".into();
    let (page, table) = (html_page(&made), text_table(&made));
    assert!(page.contains("a&lt;b") && !page.contains("a<b") && !page.contains("NaN"));
    let outside = page.matches("http").count() - page.matches("http://www.w3.org/2000/svg").count();
    assert_eq!(outside, 0, "nothing is loaded from elsewhere");
    for measure in &made.measures {
        assert!(page.contains(measure.name) && table.contains(measure.name), "{}", measure.name);
    }
    assert!(table.contains("guardrail") && page.contains("<svg") && table.contains("sample-ratio"));
}
