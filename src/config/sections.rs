//! The sections of `segue.toml`. Ranges are checked by `check`, not by the types.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::{
    BundlesConfig, DriftConfig, ExperimentConfig, ExplorationConfig, FeatureLogConfig, GuardrailConfig, IntentConfig,
    KeyConfig, RerankConfig, RetrainConfig, RetrievalConfig, RuleConfig, SignalConfig, TraceConfig,
};
use crate::domain::Knobs;

/// Everything that can be configured.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The bundle to serve. Absent: must be given by flag.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<PathBuf>,
    /// Bundles that can be activated while the server runs.
    pub bundles: BundlesConfig,
    /// How far such a bundle may differ.
    pub guardrail: GuardrailConfig,
    /// HTTP.
    pub server: ServerConfig,
    /// Threads of the request path.
    pub lanes: LaneConfig,
    /// The vector index.
    pub index: IndexConfig,
    /// ONNX Runtime.
    pub inference: InferenceConfig,
    /// Quotas of the retrievers.
    pub retrieval: RetrievalConfig,
    /// Filters that are a matter of policy.
    pub filters: FilterConfig,
    /// What the ranker looks at.
    pub ranking: RankingConfig,
    /// How the list is put together from the ranking.
    pub rerank: RerankConfig,
    /// Business rules, in order. Default none.
    pub rules: Vec<RuleConfig>,
    /// Experiments, in order. Default none.
    pub experiments: Vec<ExperimentConfig>,
    /// What the session's intent turns, in any order. Default none.
    pub intents: Vec<IntentConfig>,
    /// API keys. Default none: whoever reaches the server may do everything.
    pub keys: Vec<KeyConfig>,
    /// Places for tracks of which little is known.
    pub exploration: ExplorationConfig,
    /// How events are read as verdicts.
    pub signals: SignalConfig,
    /// Live state.
    pub state: StateConfig,
    /// Tracks that come between two bundles.
    pub catalogue: CatalogueConfig,
    /// Bounds of `POST /v1/events`, and the log behind it.
    pub events: EventsConfig,
    /// What the ranker saw, for training.
    pub feature_log: FeatureLogConfig,
    /// How requests differ from what the bundle was trained on.
    pub drift: DriftConfig,
    /// When a new ranker is asked for.
    pub retrain: RetrainConfig,
    /// Answers that are kept with how they came about.
    pub trace: TraceConfig,
    /// Blend and re-ranking at start; changeable while it runs.
    pub knobs: Knobs,
    /// Logs.
    pub log: LogConfig,
}

/// `[ranking]`.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RankingConfig {
    /// Candidates that the ranker looks at, the best by the bundle's first phase; 0 = all, as where the bundle has none.
    /// Default 0, range 0..10,000.
    pub first_phase: usize,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Address and port. Default 127.0.0.1:8080; port 0 = any free port.
    pub listen: SocketAddr,
    /// Address and port of the admin routes, with the probes and metrics. Absent: they are on `listen` where that can be
    /// reached from this machine only, and nowhere otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub admin_listen: Option<SocketAddr>,
    /// Threads that parse and write HTTP. Default 0 = one a core, range 0..256.
    pub workers: usize,
    /// Largest body taken, bytes. Default 1 MiB, range 1 KiB..16 MiB.
    pub body_limit_bytes: usize,
    /// Time for one request from arrival to answer, ms. Default 200, range 1..60,000. A client can only shorten it.
    pub budget_ms: u64,
    /// Time that requests at work get on shutdown, s. Default 10, range 0..300.
    pub drain_s: u64,
    /// Most `exclude_track_ids`, `seed_*_ids` and own candidates of one request. Default 1,000, range 1..10,000.
    pub max_list_len: usize,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin_listen: None,
            workers: 0,
            body_limit_bytes: 1 << 20,
            budget_ms: 200,
            drain_s: 10,
            max_list_len: 1_000,
        }
    }
}

/// `[lanes]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LaneConfig {
    /// Lanes. Default 0 = one a core, range 0..1,024.
    pub count: usize,
    /// Requests that may wait for a lane. Default 256, range 1..65,536.
    pub queue_capacity: usize,
    /// What a request may wait for a lane when all are busy, ms: the in-flight limit follows it. Default 25, range 1..60,000.
    pub wait_target_ms: u64,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self { count: 0, queue_capacity: 256, wait_target_ms: 25 }
    }
}

/// Which index engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// By size: `exact` up to `index.exact_below` tracks, `lists` above.
    Auto,
    /// Scan of all vectors.
    Exact,
    /// Scan of the cells that matter.
    Lists,
    /// `hnsw_rs` over the tracks.
    Hnsw,
}

impl Engine {
    /// As it is written in configuration and manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Exact => "exact",
            Self::Lists => "lists",
            Self::Hnsw => "hnsw",
        }
    }
}

/// `[index]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IndexConfig {
    /// Engine. Default `auto`.
    pub engine: Engine,
    /// Size up to which `auto` scans. Default 10,000 tracks, range 0..10,000,000: until there lists gain nothing that
    /// exact scores would be given up for (`docs/performance.md`).
    pub exact_below: usize,
    /// Rows of a cell, on average (lists). Default 256, range 32..65,536.
    pub cell_rows: usize,
    /// Share of the hits that a search may miss by leaving cells out, as it expects them (lists). Default 0.02, range 0..1;
    /// what is really missed is less, as the bar still rises (`docs/performance.md`).
    pub miss: f32,
    /// Links a node at build (hnsw). Default 16, range 4..64.
    pub connections: usize,
    /// Width of the build's search (hnsw). Default 200, range 8..2,000.
    pub ef_construction: usize,
    /// Width of a query's search over k (hnsw): `ef = k * this`, at least 64. Default 1.2, range 1..10.
    pub ef_factor: f32,
    /// One request in so many is searched for again, exactly, in the background: recall as a metric. A search reads all
    /// vectors. Default 10,000, range 0..1,000,000,000; 0 = off.
    pub probe_every: u64,
}

impl Default for IndexConfig {
    fn default() -> Self {
        Self {
            engine: Engine::Auto,
            exact_below: 10_000,
            cell_rows: 256,
            miss: 0.02,
            connections: 16,
            ef_construction: 200,
            ef_factor: 1.2,
            probe_every: 10_000,
        }
    }
}

/// Where models run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Device {
    /// Any CPU.
    Cpu,
    /// An NVIDIA GPU, through ONNX Runtime's CUDA execution provider.
    Cuda,
}

/// What to do when the configured device is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMissingDevice {
    /// Refuse to start, saying what is missing.
    Error,
    /// Log it and run on the CPU.
    Cpu,
}

/// `[inference]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct InferenceConfig {
    /// ONNX Runtime's shared library. Absent: `ORT_DYLIB_PATH`, then beside the binary, then `.cache/onnxruntime`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
    /// Device. Default `cpu`.
    pub device: Device,
    /// GPU number. Default 0, range 0..255.
    pub device_id: i32,
    /// When the device is not there. Default `error`.
    pub on_missing_device: OnMissingDevice,
}

impl Default for InferenceConfig {
    fn default() -> Self {
        Self { library: None, device: Device::Cpu, device_id: 0, on_missing_device: OnMissingDevice::Error }
    }
}

/// `[filters]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FilterConfig {
    /// Drop what was played in this session. Default true.
    pub played_in_session: bool,
    /// Drop what was served to this session before. Default true.
    pub served_before: bool,
}

impl Default for FilterConfig {
    fn default() -> Self {
        Self { played_in_session: true, served_before: true }
    }
}

/// `[state]`: live sessions and profiles.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StateConfig {
    /// A session with no event for this long, by the events' own times, is over, minutes. Default 30, range 1..1,440.
    pub session_idle_min: u64,
    /// Memory for sessions, MiB; beyond it the least recently used are on disk only, with `events.store = "memory"` nowhere.
    /// Default 1,024, range 1..1,048,576.
    pub sessions_mib: u64,
    /// Memory for listener profiles, MiB; beyond it as with sessions. Default 4,096, range 1..1,048,576.
    pub profiles_mib: u64,
    /// How much older than its listener's newest event one may be and still change the session at hand, s; an older one
    /// counts in the profile alone. Default 300, range 0..31,536,000.
    pub allowed_lateness_s: u64,
    /// Event ids remembered against duplicates. Default 1,000,000, range 1..1,000,000,000.
    pub duplicate_window: u64,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            session_idle_min: 30,
            sessions_mib: 1_024,
            profiles_mib: 4_096,
            allowed_lateness_s: 300,
            duplicate_window: 1_000_000,
        }
    }
}

/// `[catalogue]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CatalogueConfig {
    /// Most tracks that `PUT /v1/tracks/{id}` adds to or replaces in a bundle. Default 100,000, range 0..10,000,000.
    pub max_added: usize,
}

impl Default for CatalogueConfig {
    fn default() -> Self {
        Self { max_added: 100_000 }
    }
}

/// Where accepted events go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventStore {
    /// The event log in `events.data_dir`: a restart loses nothing.
    Disk,
    /// The newest ones in memory: a restart loses all.
    Memory,
}

/// When an event counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Durability {
    /// The disk has it: it survives a power cut.
    Fsync,
    /// The operating system has it: it survives this process, and a power cut costs the last seconds.
    Os,
}

/// `[events]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventsConfig {
    /// Most events of one batch. Default 500, range 1..10,000.
    pub max_batch: usize,
    /// How far ahead of the server's clock an event may lie, s. Default 300, range 0..86,400.
    pub max_future_s: u64,
    /// How old an event may be, days. Default 30, range 1..3,650.
    pub max_age_days: u64,
    /// How far a client's clock may be off to be corrected, s, where the client says when it sent (`X-Sent-At-Ms`).
    /// Default 3,153,600,000 (100 years: the difference is known, not guessed), range 0..3,153,600,000; 0 = never.
    pub clock_correction_max_s: u64,
    /// One event in so many is written to the server's log, without ids. Default 0 = none, range 0..1,000,000,000.
    pub capture_every: u64,
    /// Where accepted events go. Default `disk`.
    pub store: EventStore,
    /// Directory of the event log, of sessions and profiles and of the catalogue's changes, made if absent; one server writes
    /// it. Default `segue-data`.
    pub data_dir: PathBuf,
    /// When an event counts as stored. Default `fsync`.
    pub durability: Durability,
    /// How long the log keeps events, days. Default 30, range 1..3,650.
    pub retain_days: u64,
    /// How large the log may grow, MiB; the oldest go first. Default 16,384, range 16..16,777,216.
    pub retain_mib: u64,
    /// Disk for refused events, MiB; the oldest go first, and what is older than `retain_days`. Default 64, range 1..65,536.
    pub dead_letters_mib: u64,
    /// How often what has changed of the live state is written to disk, so that a start reads little of the log, s; earlier
    /// where memory has no room for it. Default 60, range 1..86,400. The log keeps what came since, whatever its bounds.
    pub snapshot_s: u64,
    /// Events to an archive.
    pub export: ExportConfig,
    /// Events to and from other nodes.
    pub fluvio: FluvioConfig,
}

/// `[events.export]`: what `segue events export` does, done by the server; needs `events.store = "disk"`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExportConfig {
    /// The archive: a directory, made if absent, or `s3://bucket/prefix`; each server needs one of its own. Absent: nothing
    /// is exported. With it the log keeps what is not exported yet beyond `retain_days`, but not beyond `retain_mib`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dir: Option<PathBuf>,
    /// How often new events are exported, s. Default 300, range 1..86,400. Each time makes a file for each hour of them.
    pub every_s: u64,
}

impl Default for ExportConfig {
    fn default() -> Self {
        Self { dir: None, every_s: 300 }
    }
}

/// `[events.fluvio]`: needs a build with the feature `fluvio`, and `events.store = "disk"`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FluvioConfig {
    /// Host and port of the cluster's controller (SC). Absent: this node is alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The topic, made if absent. Default `segue-events`.
    pub topic: String,
    /// Partitions of a topic that is made here. Default 8, range 1..1,024. A topic that exists keeps its own.
    pub partitions: u32,
    /// Replicas of a topic that is made here. Default 1, range 1..16.
    pub replicas: u32,
    /// How long the client waits for more before it sends, ms. Default 2, range 0..1,000.
    pub linger_ms: u64,
    /// Largest batch that is sent, KiB. Default 256, range 16..8,192.
    pub batch_kib: usize,
    /// Largest answer that is asked for, KiB; more where a batch does not fit. Default 8,192, range 16..262,144.
    pub fetch_kib: usize,
}

impl Default for FluvioConfig {
    fn default() -> Self {
        Self {
            endpoint: None,
            topic: "segue-events".into(),
            partitions: 8,
            replicas: 1,
            linger_ms: 2,
            batch_kib: 256,
            fetch_kib: 8_192,
        }
    }
}

impl Default for EventsConfig {
    fn default() -> Self {
        Self {
            max_batch: 500,
            max_future_s: 300,
            max_age_days: 30,
            clock_correction_max_s: 3_153_600_000,
            capture_every: 0,
            store: EventStore::Disk,
            data_dir: "segue-data".into(),
            durability: Durability::Fsync,
            retain_days: 30,
            retain_mib: 16_384,
            dead_letters_mib: 64,
            snapshot_s: 60,
            export: ExportConfig::default(),
            fluvio: FluvioConfig::default(),
        }
    }
}

/// How logs look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// Format. Default `text`.
    pub format: LogFormat,
    /// `tracing` filter, e.g. `info` or `segue=debug`. Default `info`.
    pub level: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, level: "info".into() }
    }
}
