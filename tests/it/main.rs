//! Tests of the crate through its public doors, and of the sources' own rules.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "what a test is built on must be there")]

mod app_answers;
mod app_catalogue;
mod app_concurrency;
mod app_drift;
mod app_durable;
mod app_events;
mod app_experiments;
mod app_explain;
mod app_fuzz;
mod app_intents;
mod app_ladder;
mod app_listeners;
mod app_next_tracks;
mod app_replay;
mod app_rules;
mod app_skips;
mod app_support;
mod app_swap;
mod app_wiring;
mod config;
mod experiment;
mod http_bad_input;
mod http_events;
mod http_fuzz;
mod http_protocol;
mod http_server;
mod http_support;
mod layering;
mod load;
mod ope;
mod ops_binary;
mod ops_dashboard;
mod simulate;
mod sources;
