//! `reference.json`: what the ranker's inputs and heads looked like over the rows that it was trained on.

use std::path::Path;

use super::BundleError;
use super::scored_rows::{TrainingRow, each_scored};
use crate::features::schema::TASKS;
use crate::features::{ITEM_LEN, Reference, Sample, SeenRow, USER_LEN};
use crate::inference::Model;

/// Twice as many answers are in memory at most, some 15 KB each; of more, an even part in the order of the table.
const MOST_ANSWERS: usize = 2_048;

/// The reference of the rows that a ranker was trained on, scored by that ranker; `None` where the directory has none.
///
/// # Errors
/// Rows that cannot be read or are not of this ranker's shape, or a ranker that does not run.
pub(super) fn of_rows(rows: &Path, ranker: &Model) -> Result<Option<Reference>, BundleError> {
    let (mut seen, mut kept) = (0usize, Vec::new());
    // One in so many is kept; both closures look at it.
    let every = std::cell::Cell::new(1usize);
    each_scored(
        rows,
        ranker,
        |_| {
            seen += 1;
            (seen - 1).is_multiple_of(every.get())
        },
        |rows, tasks| {
            kept.push(Scored::new(rows, tasks));
            if kept.len() == 2 * MOST_ANSWERS {
                halve(&mut kept);
                every.set(2 * every.get());
            }
        },
    )?;
    let mut sample = Sample::default();
    kept.iter().for_each(|answer| answer.add_to(&mut sample));
    Ok(sample.reference())
}

/// Keeps every other one, the first too.
fn halve<T>(values: &mut Vec<T>) {
    let mut keep = false;
    values.retain(|_| {
        keep = !keep;
        keep
    });
}

/// One answer, scored.
struct Scored {
    rows: Vec<TrainingRow>,
    tasks: Vec<f32>,
}

impl Scored {
    /// Only the first numbers of a row are looked at, and the user's once; the rest is most of its memory.
    fn new(mut rows: Vec<TrainingRow>, tasks: &[f32]) -> Self {
        for (at, row) in rows.iter_mut().enumerate() {
            for (numbers, len) in [(&mut row.user, if at == 0 { USER_LEN } else { 0 }), (&mut row.item, ITEM_LEN)] {
                numbers.truncate(len);
                numbers.shrink_to_fit();
            }
        }
        Self { rows, tasks: tasks.to_vec() }
    }

    /// Its rows as the ranker saw them; the weights' mean is 1, so that every answer counts by its rows.
    fn add_to(&self, sample: &mut Sample) {
        let Some(first) = self.rows.first() else { return };
        let total: f64 = self.rows.iter().map(weight).sum();
        let counted = self.rows.iter().filter(|row| weight(row) > 0.0).count() as f64;
        let scale = if total > 0.0 { counted / total } else { 0.0 };
        let seen = self.rows.iter().zip(self.tasks.chunks_exact(TASKS.len())).map(|(row, tasks)| SeenRow {
            tasks,
            item: &row.item,
            cross: &row.cross,
            weight: weight(row) * scale,
        });
        sample.add(&first.user, &seen.collect::<Vec<_>>());
    }
}

/// Candidates that a row stands for. Of backfilled rows, which do not say, those that were not played are an even draw of what
/// retrieval offered, and the played one is no draw at all.
fn weight(row: &TrainingRow) -> f64 {
    f64::from(row.weight.unwrap_or(if row.played { 0.0 } else { 1.0 }))
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::super::scored_rows::ROWS;
    use super::*;
    use crate::bundle::{Bundle, UpdateConfig, build, fixture, update};
    use crate::config::Config;
    use crate::features::CROSS_LEN;
    use crate::inference::test_runtime;
    use crate::tables::{Column, RowWriter, Type};

    const DIM: usize = 8;

    #[derive(serde::Serialize)]
    struct Written {
        group: i64,
        user_id: &'static str,
        split: &'static str,
        played: bool,
        user: Vec<f32>,
        item: Vec<f32>,
        cross: Vec<f32>,
        label: Vec<f32>,
        mask: Vec<f32>,
        #[serde(skip_serializing_if = "Option::is_none")]
        weight: Option<f32>,
    }

    fn block(len: usize, seed: usize) -> Vec<f32> {
        (0..len).map(|at| ((at * 13 + seed * 29) % 31) as f32 / 31.0).collect()
    }

    /// Groups of four rows, the first of them played.
    fn write(path: &Path, groups: std::ops::Range<usize>, weighted: bool) {
        let mut columns = vec![
            Column::required("group", Type::Int64),
            Column::required("user_id", Type::Utf8),
            Column::required("split", Type::Utf8),
            Column::required("played", Type::Bool),
            Column::required("user", Type::ListFloat32),
            Column::required("item", Type::ListFloat32),
            Column::required("cross", Type::ListFloat32),
            Column::required("label", Type::ListFloat32),
            Column::required("mask", Type::ListFloat32),
        ];
        columns.extend(weighted.then(|| Column::required("weight", Type::Float32)));
        let mut writer = RowWriter::create(path, &columns).unwrap();
        for group in groups {
            for row in 0..4 {
                let seed = group * 4 + row;
                writer
                    .write(Written {
                        group: group as i64,
                        user_id: "u",
                        split: "train",
                        played: row == 0,
                        user: block(USER_LEN + DIM, group),
                        item: block(ITEM_LEN + DIM, seed + 1),
                        cross: block(CROSS_LEN, seed + 2),
                        label: vec![0.0; 3],
                        mask: vec![1.0; 3],
                        weight: weighted.then_some([1.0, 1.0, 20.0, 2.0][row]),
                    })
                    .unwrap();
            }
        }
        writer.finish().unwrap();
    }

    fn bundle(root: &Path) -> Bundle {
        let config = fixture::config(root);
        build(&config, &test_runtime(), &mut |_| {}).unwrap();
        Bundle::load(&config.out, &Config::default(), &test_runtime()).unwrap()
    }

    /// Mean of `same_artist` by hand.
    fn mean(groups: usize, weights: [f64; 4]) -> f64 {
        let (mut sum, mut total) = (0.0, 0.0);
        for seed in 0..groups * 4 {
            let weight = weights[seed % 4];
            sum += weight * f64::from(block(CROSS_LEN, seed + 2)[9]);
            total += weight;
        }
        sum / total
    }

    #[test]
    fn a_build_notes_what_the_training_rows_looked_like() {
        for (weighted, weights) in [(false, [0.0, 1.0, 1.0, 1.0]), (true, [1.0, 1.0, 20.0, 2.0])] {
            let root = tempfile::tempdir().unwrap();
            fixture::write_sources(root.path());
            write(&root.path().join(ROWS), 0..30, weighted);
            let reference = bundle(root.path()).reference.unwrap();
            assert_eq!((reference.answers, reference.rows), (30, 120));
            let column = reference.columns.iter().find(|column| column.name == "same_artist").unwrap();
            assert!((column.mean - mean(30, weights)).abs() < 1e-6, "{column:?}");
            assert!(reference.columns[..3].iter().all(|head| head.mean > 0.0 && head.mean < 1.0));
        }
    }

    #[test]
    fn rows_in_parts_are_read_and_rows_of_another_shape_refused() {
        let root = tempfile::tempdir().unwrap();
        fixture::write_sources(root.path());
        let (rows, parts) = (root.path().join(ROWS), root.path().join("parts"));
        std::fs::create_dir_all(parts.join(ROWS)).unwrap();
        write(&rows, 0..10, false);
        write(&parts.join(ROWS).join("1-of-2.parquet"), 0..4, false);
        write(&parts.join(ROWS).join("2-of-2.parquet"), 4..10, false);
        let ranker = bundle(root.path()).ranker.unwrap();
        assert_eq!(of_rows(&parts, &ranker).unwrap(), of_rows(root.path(), &ranker).unwrap());
        assert_eq!(of_rows(&root.path().join("nowhere"), &ranker).unwrap(), None);
        let runtime = test_runtime();
        let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
        let other = Bundle::load(&demo, &Config::default(), &runtime).unwrap().ranker.unwrap();
        assert!(of_rows(root.path(), &other).unwrap_err().to_string().contains("rows of another model"));
    }

    #[test]
    fn an_even_part_of_many_answers_is_kept() {
        let root = tempfile::tempdir().unwrap();
        fixture::write_sources(root.path());
        write(&root.path().join(ROWS), 0..2 * MOST_ANSWERS + 7, false);
        let reference = bundle(root.path()).reference.unwrap();
        assert_eq!(reference.answers as usize, MOST_ANSWERS + 4, "every other one");
    }

    #[test]
    fn an_update_changes_the_ranker_and_its_reference_alone() {
        let root = tempfile::tempdir().unwrap();
        fixture::write_sources(root.path());
        write(&root.path().join(ROWS), 0..12, false);
        let old = bundle(root.path());
        let models = root.path().join("models");
        std::fs::create_dir(&models).unwrap();
        std::fs::copy(old.directory.join("ranker.onnx"), models.join("ranker.onnx")).unwrap();
        std::fs::write(models.join("training.json"), r#"{"ranker_complete_auc": 0.7}"#).unwrap();
        write(&root.path().join(ROWS), 5..40, false);
        let config = UpdateConfig {
            from: old.directory.clone(),
            models,
            rows: root.path().to_owned(),
            out: root.path().join("next"),
            version: None,
        };
        let manifest = update(&config, &test_runtime()).unwrap();
        let new = Bundle::load(&config.out, &Config::default(), &test_runtime()).unwrap();
        assert_eq!((&new.manifest, new.reference.as_ref().unwrap().answers), (&manifest, 35));
        let digests = |of: &Bundle| -> BTreeMap<String, String> {
            of.manifest.files.iter().map(|file| (file.name.clone(), file.sha256.clone())).collect()
        };
        let (before, after) = (digests(&old), digests(&new));
        let changed: Vec<&String> = after.keys().filter(|name| before.get(*name) != after.get(*name)).collect();
        assert_eq!(changed, ["reference.json"]);
        assert_ne!(manifest.version, old.manifest.version);
        assert_eq!(manifest.as_of_ms, old.manifest.as_of_ms);
        assert!(manifest.training.contains_key("ranker_complete_auc"));
        assert!(crate::bundle::read_ranker(&config.out, &test_runtime()).unwrap().is_some());
        let read = crate::bundle::read_reference(&config.out, &manifest).unwrap();
        assert_eq!(read.as_ref(), new.reference.as_deref());
        std::fs::write(config.out.join("reference.json"), "{}").unwrap();
        assert!(crate::bundle::read_reference(&config.out, &manifest).unwrap_err().to_string().contains("truncated"));
        assert!(update(&config, &test_runtime()).unwrap_err().to_string().contains("never overwritten"));
    }
}
