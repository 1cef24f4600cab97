//! The HTTP surface. Handlers parse, validate, call the [`Service`] and render; the engine behind it is none of their
//! business. Every error is a problem document (RFC 9457), everything a client can size is bounded before it is
//! allocated, and no handler does work that a lane should do.

mod drain;
mod envelope;
mod event_body;
mod extract;
mod guard;
mod handlers;
mod json;
mod openapi;
mod problem;
mod router;
mod server;
mod service;
mod state;
#[cfg(test)]
mod testing;
pub mod wire;

pub use drain::Drain;
pub use extract::{CRITICALITY, REQUEST_TIMEOUT};
pub use openapi::document;
pub use problem::{ApiError, FieldError, PROBLEM_JSON, Problem};
pub use router::{Audience, Endpoint, app, endpoints};
pub use server::{Bound, Signals, Stopper, bind};
pub use service::{ChangeFault, IngestError, Reply, ServedBundle, Service, SwapFault, Traced};
pub use state::HttpState;

/// Header that names the rung an answer came from.
pub const RUNG: &str = "X-Segue-Rung";
