//! Features: the one definition for serving, logging and training.

pub mod schema;
