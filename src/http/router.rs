//! The table of routes: the one place that says which handler answers what.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::middleware::{Compress, from_fn};
use actix_web::{App, Error, HttpResponse, Route, web};

use super::drain::Drain;
use super::envelope::envelope;
use super::handlers::{admin, events, listeners, ops, recommend, tracks};
use super::problem::ApiError;
use super::service::Service;
use super::state::HttpState;

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

/// Every route, grouped by path.
pub fn endpoints() -> Vec<Endpoint> {
    macro_rules! table {
        ($($method:ident $path:literal => $handler:path;)*) => {
            vec![$(Endpoint {
                method: stringify!($method),
                path: $path,
                route: || Route::new().method(actix_web::http::Method::$method).to($handler),
            }),*]
        };
    }
    table! {
        POST "/v1/next-tracks" => recommend::next_tracks;
        POST "/v1/rank" => recommend::rank;
        POST "/v1/explain" => recommend::explain;
        POST "/v1/recommendations/{id}/replay" => recommend::replay;
        GET "/v1/recommendations/{id}/trace" => recommend::trace;
        POST "/v1/events" => events::ingest;
        GET "/v1/sessions/{id}" => listeners::session;
        DELETE "/v1/users/{id}" => listeners::erase;
        GET "/v1/tracks/{id}" => tracks::track;
        PUT "/v1/tracks/{id}" => tracks::put;
        DELETE "/v1/tracks/{id}" => tracks::take_down;
        GET "/v1/tracks/{id}/similar" => tracks::similar;
        GET "/v1/top" => tracks::top;
        GET "/admin/bundles" => admin::bundles;
        POST "/admin/bundles/rollback" => admin::roll_back;
        POST "/admin/bundles/{name}/activate" => admin::activate;
        GET "/admin/captures" => admin::captures;
        GET "/admin/knobs" => admin::knobs;
        PUT "/admin/knobs" => admin::set_knobs;
        GET "/healthz" => ops::healthz;
        GET "/livez" => ops::livez;
        GET "/readyz" => ops::readyz;
        GET "/metrics" => ops::metrics;
        GET "/openapi.json" => ops::openapi;
        GET "/" => ops::console;
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
