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
mod rules;
mod rules_file;
mod session_sample;
mod sources;
mod staging;
#[cfg(test)]
mod tests;
pub mod vectors_file;
mod verify;

pub use build::{BuildConfig, DEFAULT_HALF_LIFE_DAYS, Progress, build};
pub use changes::{Change, ChangeLog, Folded};
pub use embed::embed_new;
pub use error::BundleError;
pub use inspect::{intents_table, model_card};
pub use intents::default_rules;
pub use layout::VECTORS;
pub use load::Bundle;
pub use manifest::{FORMAT, FileEntry, MANIFEST, Manifest, ModelEntry, Sizes};
pub use plays::PlayCounter;
pub use sources::{AsOf, RowsSchema};
pub use verify::{Report, verify};
