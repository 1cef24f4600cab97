//! What handlers share.

use std::sync::Arc;

use super::drain::Drain;
use super::service::Service;

/// Shared by all workers of a server.
pub struct HttpState {
    service: Arc<dyn Service>,
    drain: Arc<Drain>,
}

impl HttpState {
    /// Puts the parts together.
    pub fn new(service: Arc<dyn Service>, drain: Arc<Drain>) -> Self {
        Self { service, drain }
    }

    /// The engine.
    pub fn service(&self) -> &dyn Service {
        &*self.service
    }

    /// The shutdown's state.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }
}
