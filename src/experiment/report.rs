//! The arms beside each other.

use std::collections::BTreeMap;

use super::{ExperimentError, Exposed, Lived, MEASURES, Measure};
use crate::config::ExperimentConfig;
use crate::statistics::{
    Estimate, Measured, Sequence, Unit, adjust, detectable, distinct_among, holm, minus, mismatch_p, normal_interval,
    normal_p, units_needed,
};

const ALPHA: f64 = 0.05;
const POWER: f64 = 0.8;
/// The relative effect that reports say how many listeners for.
const SMALL: f64 = 0.01;

/// How a report is made.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Whether figures are looked at once only, at a time fixed beforehand; else intervals hold at every look.
    pub fixed_horizon: bool,
    /// Listeners at which those are tightest, chosen before anything was seen.
    pub planned: usize,
    /// P value of the mismatch test below which there is no report.
    pub mismatch: f64,
    /// Make it all the same.
    pub despite_mismatch: bool,
    /// Measures that may not get worse by more than this part of the first arm's.
    pub guardrails: BTreeMap<String, f64>,
}

/// One arm.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ArmReport {
    /// Its name.
    pub name: String,
    /// Listeners who were exposed.
    pub listeners: u64,
    /// As its weight has it.
    pub expected: f64,
    /// Answers past the point where the arms part.
    pub answers: u64,
    /// Distinct tracks among as many served ones as the least of the arms has, by the catalogue's size; without interval: one arm is one
    /// catalogue.
    pub coverage: f64,
}

/// Whether a measure stays within what it may lose.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Guard {
    /// Part of the first arm's figure that may be lost.
    pub margin: f64,
    /// `holds`: the interval lies within the margin; `broken`: beyond it; `open`: it cannot be told yet.
    pub verdict: &'static str,
}

/// An arm against the first one, in one measure.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Change {
    /// The arm.
    pub arm: String,
    /// The difference.
    pub difference: Estimate,
    /// The same by the first arm's figure; absent where that is 0.
    pub relative: Option<Estimate>,
    /// P value of no difference.
    pub p: f64,
    /// The same after Holm's correction for everything in the report.
    pub p_holm: f64,
    /// Whether that is below 5 %.
    pub significant: bool,
    /// Least relative effect that would be found in 80 of 100 such experiments, looked at once.
    pub detectable: Option<f64>,
    /// Listeners of both arms that would be needed for an effect of 1 %.
    pub listeners_for_a_hundredth: Option<f64>,
    /// Where the measure is a guardrail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<Guard>,
}

/// One measure.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct MeasureReport {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Whether more is better.
    pub more_is_better: bool,
    /// Listeners who count, an arm.
    pub listeners: Vec<usize>,
    /// The figure of each arm, adjusted for what was known before.
    pub arms: Vec<Estimate>,
    /// Part of the variance that the adjustment took away.
    pub explained: f64,
    /// The other arms against the first.
    pub changes: Vec<Change>,
}

/// What came of an experiment.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ExperimentReport {
    /// Its name.
    pub experiment: String,
    /// The arms; the first is what the others are compared with.
    pub arms: Vec<ArmReport>,
    /// P value of the sample-ratio mismatch.
    pub mismatch_p: f64,
    /// Whether it is one, and the report was made all the same.
    pub mismatched: bool,
    /// Listeners in more than one arm, left out.
    pub crossed: u64,
    /// Answers of unknown arms, left out.
    pub strangers: u64,
    /// Unix ms up to which events are known.
    pub until_ms: i64,
    /// Whether intervals hold at one look only.
    pub fixed_horizon: bool,
    /// Measures that can be told.
    pub measures: Vec<MeasureReport>,
    /// Measures of which too little is known: nobody is far enough, or nothing was played.
    pub untold: Vec<&'static str>,
}

/// Tests the sizes of the arms first, then compares them. `tracks`: size of the catalogue.
///
/// # Errors
/// Nobody was exposed, or the arms are not as large as they should be.
pub fn report(
    experiment: &ExperimentConfig,
    exposed: &Exposed,
    lives: &[Lived],
    until_ms: i64,
    tracks: usize,
    settings: &Settings,
) -> Result<ExperimentReport, ExperimentError> {
    if lives.is_empty() {
        return Err(ExperimentError::Nobody(experiment.name.clone()));
    }
    let arms = arms(experiment, exposed, lives, tracks);
    let counts: Vec<u64> = arms.iter().map(|arm| arm.listeners).collect();
    let shares: Vec<f64> = experiment.arms.iter().map(|arm| f64::from(arm.weight)).collect();
    let mismatch = mismatch_p(&counts, &shares);
    let mismatched = mismatch < settings.mismatch;
    if mismatched && !settings.despite_mismatch {
        let list = |texts: Vec<String>| texts.join(", ");
        return Err(ExperimentError::Mismatch {
            counts: list(counts.iter().map(u64::to_string).collect()),
            expected: list(arms.iter().map(|arm| format!("{:.0}", arm.expected)).collect()),
            p: mismatch,
        });
    }
    let told: Vec<(Measure, Option<MeasureReport>)> =
        MEASURES.iter().map(|one| (*one, measure(one, experiment, lives, settings))).collect();
    let untold = told.iter().filter(|(_, report)| report.is_none()).map(|(one, _)| one.name).collect();
    let mut measures: Vec<MeasureReport> = told.into_iter().filter_map(|(_, report)| report).collect();
    let p: Vec<f64> = measures.iter().flat_map(|measure| &measure.changes).map(|change| change.p).collect();
    for (change, p) in measures.iter_mut().flat_map(|measure| &mut measure.changes).zip(holm(&p)) {
        (change.p_holm, change.significant) = (p, p < ALPHA);
    }
    Ok(ExperimentReport {
        experiment: experiment.name.clone(),
        arms,
        mismatch_p: mismatch,
        mismatched,
        crossed: exposed.crossed,
        strangers: exposed.strangers,
        until_ms,
        fixed_horizon: settings.fixed_horizon,
        measures,
        untold,
    })
}

fn arms(experiment: &ExperimentConfig, exposed: &Exposed, lives: &[Lived], tracks: usize) -> Vec<ArmReport> {
    let counts = |at: usize| exposed.served[at].values().copied().collect::<Vec<u64>>();
    let least = (0..experiment.arms.len()).map(|at| counts(at).iter().sum::<u64>()).min().unwrap_or(0);
    let total: u32 = experiment.arms.iter().map(|arm| arm.weight).sum();
    let arm = |(at, arm): (usize, &crate::config::ArmConfig)| ArmReport {
        name: arm.name.clone(),
        listeners: lives.iter().filter(|life| life.arm == at).count() as u64,
        expected: lives.len() as f64 * f64::from(arm.weight) / f64::from(total.max(1)),
        answers: exposed.answers[at],
        coverage: distinct_among(&counts(at), least) / tracks.max(1) as f64,
    };
    experiment.arms.iter().enumerate().map(arm).collect()
}

/// One measure of all arms; `None` where an arm has too little to tell.
fn measure(
    measure: &Measure,
    experiment: &ExperimentConfig,
    lives: &[Lived],
    settings: &Settings,
) -> Option<MeasureReport> {
    let units = |arm: usize| -> Vec<Unit> {
        let theirs = lives.iter().filter(|life| life.arm == arm);
        theirs.filter_map(|life| Some(Unit { sums: (measure.of)(life)?, before: life.before })).collect()
    };
    let arms: Vec<Vec<Unit>> = (0..experiment.arms.len()).map(units).collect();
    let adjusted = adjust(&arms)?;
    let look = Look::new(settings);
    let first = *adjusted.arms.first()?;
    let margin = settings.guardrails.get(measure.name).copied();
    let changes = experiment.arms.iter().zip(&adjusted.arms).skip(1).map(|(arm, own)| {
        let difference = minus(*own, 1.0, first);
        let relative = relative(*own, first);
        let detectable = relative.map(|relative| detectable(relative.variance, ALPHA, POWER));
        Change {
            arm: arm.name.clone(),
            difference: look.interval(difference),
            relative: relative.map(|relative| look.interval(relative)),
            p: look.p(difference),
            p_holm: 1.0,
            significant: false,
            detectable,
            listeners_for_a_hundredth: relative.map(|of| units_needed(of.variance, of.units, SMALL, ALPHA, POWER)),
            guard: margin
                .map(|margin| Guard { margin, verdict: look.verdict(*own, first, margin, measure.more_is_better) }),
        }
    });
    Some(MeasureReport {
        name: measure.name,
        about: measure.about,
        more_is_better: measure.more_is_better,
        listeners: arms.iter().map(Vec::len).collect(),
        changes: changes.collect(),
        arms: adjusted.arms.iter().map(|arm| look.interval(*arm)).collect(),
        explained: adjusted.explained,
    })
}

/// `own / first - 1` by the delta method; `None` where the first is 0.
fn relative(own: Measured, first: Measured) -> Option<Measured> {
    let square = first.value * first.value;
    (square > 0.0).then(|| Measured {
        value: own.value / first.value - 1.0,
        variance: own.variance / square + own.value * own.value * first.variance / (square * square),
        units: own.units + first.units,
    })
}

/// How often one looks.
#[derive(Debug, Clone, Copy)]
enum Look {
    Once,
    Always(Sequence),
}

impl Look {
    fn new(settings: &Settings) -> Self {
        if settings.fixed_horizon { Self::Once } else { Self::Always(Sequence::new(ALPHA, settings.planned)) }
    }

    fn interval(self, figure: Measured) -> Estimate {
        match self {
            Self::Once => normal_interval(figure.value, figure.variance, ALPHA),
            Self::Always(sequence) => sequence.interval(figure),
        }
    }

    fn p(self, figure: Measured) -> f64 {
        match self {
            Self::Once => normal_p(figure.value, figure.variance),
            Self::Always(sequence) => sequence.p(figure),
        }
    }

    /// Non-inferiority: whether the arm is surely no worse than the first one less the margin.
    fn verdict(self, own: Measured, first: Measured, margin: f64, more_is_better: bool) -> &'static str {
        let sign = if more_is_better { 1.0 } else { -1.0 };
        let spare = minus(own, 1.0 - sign * margin, first);
        let Estimate { low, high, .. } = self.interval(Measured { value: sign * spare.value, ..spare });
        match (low > 0.0, high < 0.0) {
            (true, _) => "holds",
            (_, true) => "broken",
            (false, false) => "open",
        }
    }
}
