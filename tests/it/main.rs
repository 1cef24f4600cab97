//! Tests of the crate through its public doors, and of the sources' own rules.

mod config;
mod layering;
mod sources;
