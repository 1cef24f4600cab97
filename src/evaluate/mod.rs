//! Offline evaluation through the serving code: real events are replayed in time order, and at sampled moments of the test
//! period the pipelines answer as they would have, just before the listener chose. Metrics are pure functions; baselines
//! are retrievers in the same framework, asked at the same moments.

mod auc;
mod baselines;
mod bootstrap;
mod calibration;
mod chart;
mod dial_chart;
mod flat_json;
mod heads;
mod heard;
mod lists;
mod moments;
mod page;
mod pairs;
mod ranking;
mod report;
mod run;
mod slices;
mod spread;
pub(crate) mod svg;
mod table;
mod tally;

pub use auc::{ScoredRow, auc, sort as sort_rows, weighted_auc};
pub use baselines::{GlobalPopular, MarketPopular, RecentArtists};
pub use bootstrap::percentile_interval;
pub use calibration::{Decile, calibration_error, log_loss};
pub use chart::bar_chart;
pub use dial_chart::{DIALS, Dial, dial_chart};
pub use flat_json::flat_json;
pub use heads::{LabelledPlay, head_report};
pub use lists::ListMeasures;
pub use moments::Moments;
pub(crate) use page::STYLE;
pub use page::html_page;
pub use pairs::PairReport;
pub use ranking::{gini, ndcg_at, recall_at, reciprocal_rank_at};
pub use report::{ByListener, Dials, EvalReport, HeadReport, MetricReport, OtherMoments, SystemReport};
pub use run::{EvalConfig, Progress, System, run};
pub use slices::SliceReport;
pub use table::text_table;
