//! Tests of the crate through its public doors, and of the sources' own rules.

mod config;
mod http_bad_input;
mod http_events;
mod http_fuzz;
mod http_protocol;
mod http_server;
#[cfg(test)]
mod http_support;
mod layering;
mod sources;
