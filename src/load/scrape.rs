//! A server's `/metrics`, as far as costs are read from it.

use std::collections::BTreeMap;

const STAGES: &str = "segue_stage_duration_seconds";

/// Time and executions of each stage since the server's start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scrape {
    /// By stage: seconds, executions.
    pub stages: BTreeMap<String, (f64, u64)>,
}

impl Scrape {
    /// Reads the text format of Prometheus; what is not known is passed over.
    pub fn read(text: &str) -> Self {
        let mut stages: BTreeMap<String, (f64, u64)> = BTreeMap::new();
        for line in text.lines().filter_map(|line| line.strip_prefix(STAGES)) {
            let Some((name, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let stage = |of: &str| name.strip_prefix(of)?.strip_prefix("{stage=\"")?.strip_suffix("\"}");
            if let Some(stage) = stage("_sum") {
                stages.entry(stage.to_owned()).or_default().0 = value;
            } else if let Some(stage) = stage("_count") {
                stages.entry(stage.to_owned()).or_default().1 = value as u64;
            }
        }
        Self { stages }
    }

    /// What came since `before`.
    pub fn since(&self, before: &Self) -> Self {
        let change = |(stage, (seconds, runs)): (&String, &(f64, u64))| {
            let (then, ran) = before.stages.get(stage).copied().unwrap_or_default();
            (stage.clone(), (seconds - then, runs.saturating_sub(ran)))
        };
        Self { stages: self.stages.iter().map(change).collect() }
    }

    /// Seconds in all stages.
    pub fn seconds(&self) -> f64 {
        self.stages.values().map(|(seconds, _)| seconds).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Metrics;

    #[test]
    fn reads_what_the_server_writes() {
        let metrics = Metrics::new().unwrap();
        let told = || Scrape::read(&metrics.render().unwrap());
        metrics.stages.seconds.with_label_values(&["mmoe"]).observe(0.25);
        let before = told();
        assert_eq!(before.stages["mmoe"], (0.25, 1));
        metrics.stages.seconds.with_label_values(&["mmoe"]).observe(0.5);
        metrics.stages.seconds.with_label_values(&["dpp"]).observe(1.0);
        let since = told().since(&before);
        assert_eq!(since.stages.into_iter().collect::<Vec<_>>(), [("dpp".into(), (1.0, 1)), ("mmoe".into(), (0.5, 1))]);
    }

    #[test]
    fn passes_over_what_it_does_not_know() {
        let text = "segue_stage_duration_seconds_sum{stage=\"a\"} x\nother 1\nsegue_stage_duration_seconds_sum 1\n\n";
        assert_eq!(Scrape::read(text), Scrape::default());
    }
}
