//! Configuration: one documented struct a concern. `config/segue.toml` shows every key with its default; `load` reports
//! every fault at once and refuses unknown keys.

mod bundles;
mod check;
mod differences;
mod digest;
mod drift;
mod experiments;
mod exploration;
mod faults;
mod feature_log;
mod feedback;
mod intents;
mod keys;
mod layers;
mod load;
mod rerank;
mod retrieval;
mod rules;
mod schema;
mod sections;
mod signals;
mod trace;

pub use bundles::{BundlesConfig, GuardrailConfig};
pub use differences::{Difference, differences};
pub use digest::{rules_digest, section_digests};
pub use drift::{DriftConfig, RetrainConfig};
pub use experiments::{ArmConfig, ExperimentConfig, Setting, parts as experiment_parts};
pub use exploration::{CompletionConfig, ExplorationConfig};
pub use faults::{ConfigFaults, Fault, Origin, Problem};
pub use feature_log::FeatureLogConfig;
pub use feedback::FeedbackConfig;
pub use intents::IntentConfig;
pub use keys::{HASH_PREFIX, KEY_ID_BYTES, KeyConfig, MostCritical, Scope};
pub use load::{environment, load};
pub use rerank::{DiversityMethod, RerankConfig, SatiationConfig};
pub use retrieval::{QueryShares, RetrievalConfig};
pub use rules::{RuleAction, RuleConfig, rule_conflicts};
pub use sections::{
    CatalogueConfig, Config, Device, Durability, Engine, EventStore, EventsConfig, ExportConfig, FilterConfig,
    FluvioConfig, IndexConfig, InferenceConfig, LaneConfig, LogConfig, LogFormat, OnMissingDevice, RankingConfig,
    ServerConfig, StateConfig,
};
pub use signals::SignalConfig;
pub use trace::TraceConfig;
