//! Context sources, in wiring order: session, profile, user vector, intent.

mod intent;
mod profile;
mod session;
mod user_vector;

pub use intent::IntentSource;
pub use profile::ProfileSource;
pub use session::SessionSource;
pub use user_vector::UserVectorSource;
