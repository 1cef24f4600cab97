//! The table of routes: the one place that says which handler answers what.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, Error, HttpResponse, Route, web};

use super::drain::Drain;
use super::envelope::envelope;
use super::guard::guard;
use super::handlers::{admin, events, listeners, ops, recommend, tracks};
use super::problem::ApiError;
use super::service::Service;
use super::state::HttpState;
use crate::config::Scope;

/// Who a listener serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Audience {
    /// Clients; admin routes have a listener of their own.
    Clients,
    /// Operators; only `/admin` and the probes.
    Operators,
    /// Both on one listener.
    Everyone,
}

/// One method of one path.
#[derive(Debug, Clone, Copy)]
pub struct Endpoint {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// The pattern, as in the OpenAPI document.
    pub path: &'static str,
    /// What an API key must allow, where keys are configured; `None`: anybody may ask.
    pub scope: Option<Scope>,
    route: fn() -> Route,
}

impl Endpoint {
    fn serves(&self, audience: Audience) -> bool {
        let admin = self.path.starts_with("/admin/");
        match audience {
            Audience::Clients => !admin,
            Audience::Operators => admin || ops::PATHS.contains(&self.path),
            Audience::Everyone => true,
        }
    }
}

const ANYBODY: Option<Scope> = None;
const READ: Option<Scope> = Some(Scope::Read);
const INGEST: Option<Scope> = Some(Scope::Ingest);
const ADMIN: Option<Scope> = Some(Scope::Admin);

/// Every route, grouped by path.
pub fn endpoints() -> Vec<Endpoint> {
    macro_rules! table {
        ($($scope:ident $method:ident $path:literal => $handler:path;)*) => {
            vec![$(Endpoint {
                method: stringify!($method),
                path: $path,
                scope: $scope,
                route: || Route::new().method(actix_web::http::Method::$method).to($handler),
            }),*]
        };
    }
    table! {
        READ POST "/v1/next-tracks" => recommend::next_tracks;
        READ POST "/v1/rank" => recommend::rank;
        READ POST "/v1/explain" => recommend::explain;
        READ POST "/v1/recommendations/{id}/replay" => recommend::replay;
        READ GET "/v1/recommendations/{id}/trace" => recommend::trace;
        INGEST POST "/v1/events" => events::ingest;
        READ GET "/v1/sessions/{id}" => listeners::session;
        ADMIN DELETE "/v1/users/{id}" => listeners::erase;
        READ GET "/v1/tracks/{id}" => tracks::track;
        ADMIN PUT "/v1/tracks/{id}" => tracks::put;
        ADMIN DELETE "/v1/tracks/{id}" => tracks::take_down;
        READ GET "/v1/tracks/{id}/similar" => tracks::similar;
        READ GET "/v1/top" => tracks::top;
        ADMIN GET "/admin/bundles" => admin::bundles;
        ADMIN POST "/admin/bundles/rollback" => admin::roll_back;
        ADMIN POST "/admin/bundles/{name}/activate" => admin::activate;
        ADMIN GET "/admin/captures" => admin::captures;
        ADMIN GET "/admin/knobs" => admin::knobs;
        ADMIN PUT "/admin/knobs" => admin::set_knobs;
        ANYBODY GET "/healthz" => ops::healthz;
        ANYBODY GET "/livez" => ops::livez;
        ANYBODY GET "/readyz" => ops::readyz;
        READ GET "/metrics" => ops::metrics;
        ANYBODY GET "/openapi.json" => ops::openapi;
        ANYBODY GET "/" => ops::console;
    }
}

/// Builds the application of one worker.
pub fn app(
    service: Arc<dyn Service>,
    drain: Arc<Drain>,
    audience: Audience,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = Error,
        InitError = (),
    > + use<>,
> {
    let limit = service.config().server.body_limit_bytes;
    App::new()
        .app_data(web::Data::new(HttpState::new(service, drain)))
        .app_data(web::PayloadConfig::new(limit))
        .configure(|config| mount(config, audience))
        .default_service(web::to(|| refuse(ApiError::NoRoute)))
        .wrap(from_fn(guard))
        .wrap(Compress::default())
        .wrap(from_fn(envelope))
}

fn mount(config: &mut web::ServiceConfig, audience: Audience) {
    let table: Vec<_> = endpoints().into_iter().filter(|endpoint| endpoint.serves(audience)).collect();
    for methods in table.chunk_by(|a, b| a.path == b.path) {
        let allow: Vec<_> = methods.iter().map(|endpoint| endpoint.method).collect();
        let allow = allow.join(", ");
        let resource = methods
            .iter()
            .fold(web::resource(methods[0].path), |resource, endpoint| resource.route((endpoint.route)()))
            .default_service(web::to(move || refuse(ApiError::MethodNotAllowed(allow.clone()))));
        config.service(resource);
    }
}

fn refuse(error: ApiError) -> std::future::Ready<Result<HttpResponse<BoxBody>, ApiError>> {
    std::future::ready(Err(error))
}
