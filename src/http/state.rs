//! What handlers share.

use std::sync::Arc;

use super::drain::Drain;
use super::router::{Endpoint, endpoints};
use super::service::Service;
use crate::config::Scope;

/// Shared by all workers of a server.
pub struct HttpState {
    service: Arc<dyn Service>,
    drain: Arc<Drain>,
    endpoints: Vec<Endpoint>,
}

impl HttpState {
    /// Puts the parts together.
    pub fn new(service: Arc<dyn Service>, drain: Arc<Drain>) -> Self {
        Self { service, drain, endpoints: endpoints() }
    }

    /// The engine.
    pub fn service(&self) -> &dyn Service {
        &*self.service
    }

    /// What a key must allow to ask a route; `None` where anybody may, and where there is no such route.
    pub(super) fn scope(&self, method: &str, pattern: &str) -> Option<Scope> {
        self.endpoints.iter().find(|one| one.path == pattern && one.method == method)?.scope
    }

    /// The shutdown's state.
    pub fn drain(&self) -> &Drain {
        &self.drain
    }
}
