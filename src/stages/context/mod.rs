//! Context sources, in wiring order: session, profile, user vector, intent.

mod intent;

pub use intent::IntentSource;
