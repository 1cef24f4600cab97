//! Configuration: one documented struct a concern. `config/segue.toml` shows every key with its default; `load` reports
//! every fault at once and refuses unknown keys.

mod sections;

pub use sections::{
    Config, Device, Engine, EventsConfig, FilterConfig, IndexConfig, InferenceConfig, LaneConfig, LogConfig, LogFormat,
    OnMissingDevice, RetrievalConfig, ServerConfig, SignalConfig, StateConfig,
};
