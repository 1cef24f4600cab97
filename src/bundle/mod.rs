//! Bundles: the unit of deployment. A directory with models, catalogue, vectors, index and popularity that belong together,
//! never changed once written, every file of it verified before any of it is used (`docs/formats.md`).

mod build;
mod changes;
mod count;
pub mod digest;
mod embed;
mod error;
#[cfg(test)]
pub(crate) mod fixture;
mod inspect;
mod intents;
mod layout;
mod load;
mod manifest;
mod parts;
mod plays;
mod prototypes;
mod prototypes_file;
mod reference;
mod rules;
mod rules_file;
mod scored_rows;
mod session_sample;
mod sources;
mod staging;
#[cfg(test)]
mod tests;
mod update;
pub mod vectors_file;
mod verify;

pub use build::{BuildConfig, DEFAULT_HALF_LIFE_DAYS, Progress, build};
pub use changes::{Change, ChangeLog, Folded};
pub use embed::embed_new;
pub use error::BundleError;
pub use inspect::{intents_table, model_card};
pub use intents::default_rules;
pub use layout::VECTORS;
pub use load::{Bundle, read_ranker, read_reference};
pub use manifest::{FORMAT, FileEntry, MANIFEST, Manifest, ModelEntry, Sizes};
pub use plays::PlayCounter;
pub use scored_rows::{TrainingRow, each_scored};
pub use sources::{AsOf, RowsSchema};
pub use update::{UpdateConfig, update};
pub use verify::{Report, verify};
