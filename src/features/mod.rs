//! Features: the one definition for serving, logging and training. Events change state through one [`Reducer`], and
//! state becomes numbers through one [`Assembler`]; serving, the feature log and backfill all call these.

pub mod affinity;
mod anchor;
mod antecedents;
mod assembler;
mod beta;
mod bounded;
mod bytes;
mod completion;
mod cross_columns;
mod facts;
mod feedback;
mod heard;
mod history;
pub mod intent;
mod item_columns;
mod kept;
mod layers;
pub mod lifetime;
mod logged;
pub mod moments;
mod numbers;
pub mod profile;
mod reducer;
mod reference;
pub mod schema;
mod seen;
pub mod session;
mod signals;
pub mod skips;
mod state;
mod tally;
#[cfg(test)]
pub(crate) mod testing;
mod user_columns;
mod watched;

pub use anchor::{anchor, sounding};
pub use antecedents::{ANTECEDENTS, Antecedents};
pub use assembler::Assembler;
pub use beta::{BetaGrid, CELLS, drawn};
pub use completion::{Completions, Estimate};
pub use cross_columns::CROSS_LEN;
pub use facts::{Sound, duration_ms};
pub use history::{History, SIGNALS_LEN};
pub use item_columns::{ITEM_LEN, ItemColumns, day_of};
pub use logged::{Contest, LoggedAnswer, LoggedRow, Ranked, RankedTap, is_sampled};
pub use reducer::{Applied, ApplyError, EndedPlay, Reducer, local_hour};
#[cfg(test)]
pub(crate) use reference::tests as reference_testing;
pub use reference::{ColumnDrift, Reference, ReferenceColumn, Sample, SeenRow, Spread};
pub use signals::{ASSUMED_DURATION_MS, Verdict, grade, is_terminal};
pub use state::{StateFigures, StateStore};
pub use user_columns::{USER_LEN, user_columns};
pub use watched::Block;
