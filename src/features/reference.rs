//! What the ranker's inputs and heads looked like in training, and what they look like elsewhere.

use super::schema::VERSION;
use super::watched::{Block, Watched, watched};
use crate::statistics::{Divergence, bin_of, divergence, quantile_edges};

/// Version of the file.
const FORMAT: u32 = 1;
/// Bins of about equal weight.
const BINS: usize = 10;

/// The distribution of one number in training.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReferenceColumn {
    /// Name of the head or column.
    pub name: String,
    /// Edges between its bins, rising; a bin holds what is not above its edge.
    pub edges: Vec<f32>,
    /// Weight of each bin; one more than edges.
    pub weights: Vec<f64>,
    /// Mean.
    pub mean: f64,
}

/// Distributions of the ranker's inputs and heads over the candidates that it was trained on, as it scored them: what a bundle
/// compares its requests with (`reference.json`).
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reference {
    format: u32,
    feature_version: u32,
    /// Groups of candidates: the weight of a user column.
    pub answers: u64,
    /// Candidates.
    pub rows: u64,
    /// All that is watched, in order.
    pub columns: Vec<ReferenceColumn>,
}

/// How one number differs from training.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct ColumnDrift {
    /// Name of the head or column.
    pub name: &'static str,
    /// Where it stands.
    pub block: Block,
    /// The difference of the distributions.
    #[serde(flatten)]
    pub divergence: Divergence,
    /// Its mean.
    pub mean: f64,
    /// Its mean in training.
    pub expected_mean: f64,
}

/// Values of everything watched, for a reference to be made of. About 4 bytes a number.
#[derive(Debug, Default)]
pub struct Sample {
    answers: u64,
    rows: u64,
    columns: Vec<Vec<(f32, f64)>>,
}

/// One candidate as the ranker saw it.
#[derive(Debug, Clone, Copy)]
pub struct SeenRow<'a> {
    /// What it said, `[tasks]`.
    pub tasks: &'a [f32],
    /// The item's row, `[I + dim]`.
    pub item: &'a [f32],
    /// The row of user by item, `[X]`.
    pub cross: &'a [f32],
    /// Candidates that it stands for.
    pub weight: f64,
}

impl SeenRow<'_> {
    /// A number of the row; `None` of the user's.
    fn number(&self, of: &Watched) -> Option<f32> {
        match of.block {
            Block::Head => self.tasks.get(of.at),
            Block::Item => self.item.get(of.at),
            Block::Cross => self.cross.get(of.at),
            Block::User => None,
        }
        .copied()
    }
}

impl Sample {
    /// Takes an answer: its user's row and its candidates.
    pub fn add(&mut self, user: &[f32], rows: &[SeenRow<'_>]) {
        let all = watched();
        self.columns.resize_with(all.len(), Vec::new);
        self.answers += 1;
        self.rows += rows.len() as u64;
        for (of, values) in all.iter().zip(&mut self.columns) {
            match of.block {
                Block::User => values.extend(user.get(of.at).map(|value| (*value, 1.0))),
                Block::Head | Block::Item | Block::Cross => values.extend(
                    rows.iter().filter(|row| row.weight > 0.0).filter_map(|row| Some((row.number(of)?, row.weight))),
                ),
            }
        }
    }

    /// The reference; `None` of nothing. Numbers that are not finite are left out.
    pub fn reference(self) -> Option<Reference> {
        let mut columns = Vec::new();
        for (of, mut values) in watched().into_iter().zip(self.columns) {
            values.retain(|(value, _)| value.is_finite());
            let edges = quantile_edges(&mut values, BINS);
            let (mut weights, mut sum) = (vec![0.0; edges.len() + 1], 0.0);
            for (value, weight) in &values {
                weights[bin_of(&edges, *value)] += weight;
                sum += f64::from(*value) * weight;
            }
            let total: f64 = weights.iter().sum();
            if total <= 0.0 {
                return None;
            }
            columns.push(ReferenceColumn { name: of.name.to_owned(), edges, weights, mean: sum / total });
        }
        let (format, feature_version) = (FORMAT, VERSION);
        (!columns.is_empty()).then_some(Reference {
            format,
            feature_version,
            answers: self.answers,
            rows: self.rows,
            columns,
        })
    }
}

impl Reference {
    /// Parses `reference.json`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let reference: Self = serde_json::from_slice(text).map_err(|error| error.to_string())?;
        if (reference.format, reference.feature_version) != (FORMAT, VERSION) {
            return Err(format!(
                "format {} of features {}, this build reads format {FORMAT} of features {VERSION}",
                reference.format, reference.feature_version
            ));
        }
        let names = reference.columns.iter().map(|column| column.name.as_str());
        if !names.eq(watched().iter().map(|of| of.name)) {
            return Err("other columns than those that this build watches".into());
        }
        match reference.columns.iter().find(|column| !column.is_sound()) {
            Some(column) => Err(format!("column {}: no bins", column.name)),
            None => Ok(reference),
        }
    }
}

impl ReferenceColumn {
    fn is_sound(&self) -> bool {
        let rising = self.edges.iter().all(|edge| edge.is_finite()) && self.edges.is_sorted_by(|a, b| a < b);
        let counted = self.weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0);
        let total: f64 = self.weights.iter().sum();
        let fits = self.edges.len() <= 2 * BINS && self.weights.len() == self.edges.len() + 1;
        rising && counted && fits && total > 0.0 && self.mean.is_finite()
    }
}

/// Weights of everything watched in the bins of a reference. About 10 KB.
#[derive(Debug, Clone, PartialEq)]
pub struct Spread {
    watched: std::sync::Arc<[Watched]>,
    edges: std::sync::Arc<[Vec<f32>]>,
    weights: Vec<Vec<f64>>,
    sums: Vec<f64>,
    /// Answers counted.
    pub answers: u64,
}

impl Spread {
    /// Nothing yet.
    pub fn new(reference: &Reference) -> Self {
        let edges: std::sync::Arc<[Vec<f32>]> = reference.columns.iter().map(|column| column.edges.clone()).collect();
        let weights = edges.iter().map(|edges| vec![0.0; edges.len() + 1]).collect();
        Self { watched: watched().into(), sums: vec![0.0; edges.len()], edges, weights, answers: 0 }
    }

    /// Counts an answer by its user's row, `[U + ..]`. No allocation.
    pub fn answer(&mut self, user: &[f32]) {
        self.answers += 1;
        self.count(|of| if of.block == Block::User { user.get(of.at).copied() } else { None }, 1.0);
    }

    /// Counts a candidate. No allocation.
    pub fn row(&mut self, row: &SeenRow<'_>) {
        self.count(|of| row.number(of), row.weight);
    }

    fn count(&mut self, number: impl Fn(&Watched) -> Option<f32>, weight: f64) {
        for (at, of) in self.watched.iter().enumerate() {
            if let Some(value) = number(of).filter(|value| value.is_finite()) {
                self.weights[at][bin_of(&self.edges[at], value)] += weight;
                self.sums[at] += weight * f64::from(value);
            }
        }
    }

    /// Adds what another one of the same reference counted.
    pub fn add(&mut self, other: &Self) {
        self.answers += other.answers;
        for (own, other) in self.weights.iter_mut().flatten().zip(other.weights.iter().flatten()) {
            *own += other;
        }
        self.sums.iter_mut().zip(&other.sums).for_each(|(own, other)| *own += other);
    }

    /// Counts nothing any more.
    pub fn clear(&mut self) {
        self.answers = 0;
        self.weights.iter_mut().flatten().for_each(|weight| *weight = 0.0);
        self.sums.fill(0.0);
    }

    /// How everything counted differs from the reference that this was made for; what was not counted is left out.
    pub fn against(&self, reference: &Reference) -> Vec<ColumnDrift> {
        let columns = self.watched.iter().zip(&reference.columns).zip(self.weights.iter().zip(&self.sums));
        let drift = |((of, expected), (weights, sum)): ((&Watched, &ReferenceColumn), (&Vec<f64>, &f64))| {
            Some(ColumnDrift {
                name: of.name,
                block: of.block,
                divergence: divergence(&expected.weights, weights)?,
                mean: sum / weights.iter().sum::<f64>(),
                expected_mean: expected.mean,
            })
        };
        columns.filter_map(drift).collect()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::features::{CROSS_LEN, ITEM_LEN, USER_LEN};
    use proptest::prelude::*;

    /// An answer of made-up rows, whose numbers lie around `centre`.
    pub(crate) struct Answer {
        pub(crate) user: Vec<f32>,
        pub(crate) rows: Vec<(Vec<f32>, Vec<f32>, Vec<f32>)>,
    }

    impl Answer {
        pub(crate) fn new(number: usize, centre: f32) -> Self {
            let value = |at: usize, of: usize| centre + ((number * 31 + at * 17 + of * 7) % 97) as f32 / 97.0;
            let row = |at| {
                let block = |len: usize, of: usize| (0..len).map(|column| value(at, of + column)).collect();
                (block(3, 0), block(ITEM_LEN, 40), block(CROSS_LEN, 80))
            };
            Self { user: (0..USER_LEN).map(|at| value(at, 3)).collect(), rows: (0..6).map(row).collect() }
        }

        pub(crate) fn seen(&self) -> Vec<SeenRow<'_>> {
            self.rows.iter().map(|(tasks, item, cross)| SeenRow { tasks, item, cross, weight: 1.0 }).collect()
        }
    }

    /// A reference of such answers around 0.
    pub(crate) fn reference(answers: usize) -> Reference {
        let mut sample = Sample::default();
        (0..answers).map(|number| Answer::new(number, 0.0)).for_each(|answer| sample.add(&answer.user, &answer.seen()));
        sample.reference().unwrap()
    }

    fn spread(reference: &Reference, answers: impl IntoIterator<Item = Answer>) -> Spread {
        let mut spread = Spread::new(reference);
        for answer in answers {
            spread.answer(&answer.user);
            answer.seen().iter().for_each(|row| spread.row(row));
        }
        spread
    }

    #[test]
    fn the_same_answers_are_no_drift_and_others_are() {
        let reference = reference(200);
        let read = Reference::parse(&serde_json::to_vec(&reference).unwrap()).unwrap();
        for (read, own) in read.columns.iter().zip(&reference.columns) {
            assert_eq!((&read.edges, &read.weights), (&own.edges, &own.weights));
            assert!((read.mean - own.mean).abs() < 1e-9);
        }
        let worst = |centre: f32| {
            let drift = spread(&reference, (0..200).map(|number| Answer::new(number, centre))).against(&reference);
            assert_eq!(drift.len(), watched().len());
            assert!(drift.iter().all(|of| (of.mean - of.expected_mean - f64::from(centre)).abs() < 1e-3));
            drift.iter().map(|of| of.divergence.psi).fold(0.0, f64::max)
        };
        assert!(worst(0.0) < 1e-9, "{}", worst(0.0));
        assert!(worst(0.4) > 0.5, "{}", worst(0.4));
    }

    #[test]
    fn a_file_that_does_not_fit_is_refused() {
        let with = |change: &dyn Fn(&mut Reference)| {
            let mut changed = reference(20);
            change(&mut changed);
            Reference::parse(&serde_json::to_vec(&changed).unwrap()).unwrap_err()
        };
        assert!(with(&|of| of.format = 2).contains("format 2"));
        assert!(with(&|of| of.feature_version += 1).contains("features"));
        assert!(with(&|of| _ = of.columns.pop()).contains("other columns"));
        for change in [
            (|of: &mut ReferenceColumn| of.edges.reverse()) as fn(&mut ReferenceColumn),
            |of| _ = of.weights.pop(),
            |of| of.weights.fill(0.0),
            |of| of.weights[0] = -1.0,
        ] {
            assert!(with(&|of| change(&mut of.columns[4])).contains("no bins"));
        }
        assert!(Reference::parse(b"{}").is_err());
        assert!(Sample::default().reference().is_none());
    }

    #[test]
    fn a_number_that_is_none_counts_for_nothing() {
        let reference = reference(20);
        let mut odd = Answer::new(1, 0.0);
        (odd.user[0], odd.rows[0].0[0]) = (f32::NAN, f32::INFINITY);
        let found = spread(&reference, [odd]);
        let total = |at: usize| found.weights[at].iter().sum::<f64>();
        assert_eq!([total(0), total(1), total(3), total(4)], [5.0, 6.0, 0.0, 1.0]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        /// Counted in parts and added, or at once: the same. And a bin holds what a scan of all values finds in it.
        #[test]
        fn parts_add_up_to_the_whole(cut in 0usize..60, centre in -0.5f32..0.5) {
            static REFERENCE: std::sync::LazyLock<Reference> = std::sync::LazyLock::new(|| reference(50));
            let reference = &*REFERENCE;
            let answers = |from: usize, to: usize| (from..to).map(move |number| Answer::new(number, centre));
            let whole = spread(reference, answers(0, 60));
            let mut parts = spread(reference, answers(0, cut));
            parts.add(&spread(reference, answers(cut, 60)));
            prop_assert_eq!(&parts.weights, &whole.weights);
            prop_assert_eq!(parts.answers, 60);
            for (at, of) in watched().iter().enumerate().filter(|(_, of)| of.block == Block::Cross) {
                let edges = &reference.columns[at].edges;
                let mut naive = vec![0.0; edges.len() + 1];
                for answer in answers(0, 60) {
                    for (_, _, cross) in &answer.rows {
                        naive[edges.iter().position(|edge| cross[of.at] <= *edge).unwrap_or(edges.len())] += 1.0;
                    }
                }
                prop_assert_eq!(&whole.weights[at], &naive);
            }
            parts.clear();
            prop_assert_eq!(parts, Spread::new(reference));
        }
    }
}
