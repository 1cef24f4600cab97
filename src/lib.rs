//! Segue answers one question for a music service: *what should this listener hear next?*
//!
//! One process holds the vector index, the neural models (ONNX Runtime) and the live session state, and runs every
//! request through one staged pipeline inside its deadline. `ARCHITECTURE.md` is the map.

pub mod app;
pub mod archive;
pub mod arms;
pub mod audio;
pub mod backfill;
pub mod bundle;
pub mod capacity;
pub mod cli;
pub mod config;
pub mod domain;
pub mod drift;
pub mod evaluate;
pub mod events;
pub mod experiment;
pub mod feature_log;
pub mod features;
pub mod http;
pub mod import;
pub mod index;
pub mod index_bench;
pub mod inference;
pub mod load;
pub mod metrics;
pub mod ope;
pub mod pipeline;
pub mod replay;
pub mod security;
pub mod simulate;
pub mod stages;
pub mod startup;
pub mod statistics;
pub mod store;
pub mod tables;
pub mod vault;
pub mod world;
