//! Requests asked again: what is captured of one, how two lists differ, and how the answers to many change.

mod capture;
mod diff;
mod measures;
mod report;

pub use capture::{Capture, CaptureError, CapturedAnswer, CapturedTrack, MadeWith};
pub use diff::{Change, Diff, Place, first_difference};
pub use measures::{kendall_tau, overlap, rank_biased_overlap};
pub use report::{Quantiles, ReplayReport, Tally, text_table};
