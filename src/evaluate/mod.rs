//! Offline evaluation through the serving code: real events are replayed in time order, and at sampled moments of the test
//! period the pipelines answer as they would have, just before the listener chose. Metrics are pure functions; baselines
//! are retrievers in the same framework, asked at the same moments.

mod auc;
mod baselines;
mod bootstrap;
mod chart;
mod heads;
mod moments;
mod ranking;
mod report;
mod run;
mod table;
mod tally;

pub use auc::{ScoredRow, auc, weighted_auc};
pub use baselines::{GlobalPopular, MarketPopular, RecentArtists};
pub use bootstrap::percentile_interval;
pub use chart::bar_chart;
pub use heads::LabelledPlay;
pub use moments::Moments;
pub use ranking::{gini, ndcg_at, recall_at, reciprocal_rank_at};
pub use report::{Estimate, EvalReport, HeadReport, MetricReport, SystemReport};
pub use run::{EvalConfig, Progress, System, run};
pub use table::text_table;
