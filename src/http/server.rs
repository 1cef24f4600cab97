//! The server: listeners, workers, signals and the graceful end.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpServer;
use tokio::sync::{Notify, watch};

use super::drain::Drain;
use super::router::{Audience, app};
use super::service::Service;

/// Longest wait for the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// How long an idle connection is kept: longer than the pools of common load balancers.
const KEEP_ALIVE: Duration = Duration::from_secs(75);

/// Listeners that are bound and not yet served.
pub struct Bound {
    service: Arc<dyn Service>,
    clients: TcpListener,
    operators: Option<TcpListener>,
    drain: Arc<Drain>,
    stop: Arc<Notify>,
}

/// Ends a server as a signal would.
#[derive(Debug, Clone)]
pub struct Stopper(Arc<Notify>);

impl Stopper {
    /// Begins the graceful end; returns at once.
    pub fn stop(&self) {
        self.0.notify_one();
    }
}

/// Binds `config.server.listen`, and `admin` for operators: if given, admin routes are only there.
///
/// # Errors
/// If an address cannot be bound; the text names it.
pub fn bind(service: Arc<dyn Service>, admin: Option<SocketAddr>) -> io::Result<Bound> {
    let clients = listener(service.config().server.listen)?;
    let operators = admin.map(listener).transpose()?;
    Ok(Bound { service, clients, operators, drain: Arc::default(), stop: Arc::default() })
}

fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("cannot listen on {address}: {error}")))
}

impl Bound {
    /// Where clients connect; the real port also when 0 was asked for.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.clients.local_addr()
    }

    /// Where operators connect, if they have a listener of their own.
    ///
    /// # Errors
    /// If the system does not tell.
    pub fn admin_address(&self) -> io::Result<Option<SocketAddr>> {
        self.operators.as_ref().map(TcpListener::local_addr).transpose()
    }

    /// Something that ends the server from elsewhere.
    pub fn stopper(&self) -> Stopper {
        Stopper(Arc::clone(&self.stop))
    }

    /// Serves until SIGTERM, SIGINT or the [`Stopper`]. Then `/readyz` turns 503; once a load balancer has seen that (at
    /// most half of `server.drain_s`, and only if one ever probed) the listeners close, and requests at work get
    /// `server.drain_s` to end. Must run on an actix runtime.
    ///
    /// # Errors
    /// If a listener fails.
    pub async fn run(self) -> io::Result<()> {
        let Self { service, clients, operators, drain, stop } = self;
        let half_drain = Duration::from_secs(service.config().server.drain_s) / 2;
        let (closing, closed) = watch::channel(false);
        let conductor = actix_web::rt::spawn({
            let drain = Arc::clone(&drain);
            async move {
                asked_to_stop(&stop).await;
                tracing::info!("shutting down: /readyz says so, requests at work are finished");
                drain.begin();
                drain.until_told(half_drain).await;
                // Nobody listens any more when both servers have failed.
                let _ = closing.send(true);
            }
        });
        let workers = service.config().server.workers;
        let audience = if operators.is_some() { Audience::Clients } else { Audience::Everyone };
        let clients = serve(&service, &drain, clients, audience, workers, until_closed(closed.clone()))?;
        let operators = operators
            .map(|listener| serve(&service, &drain, listener, Audience::Operators, 1, until_closed(closed)))
            .transpose()?;
        let operators = async {
            match operators {
                Some(server) => server.await,
                None => Ok(()),
            }
        };
        let ended = tokio::try_join!(clients, operators).map(|((), ())| ());
        conductor.abort();
        ended
    }
}

fn serve(
    service: &Arc<dyn Service>,
    drain: &Arc<Drain>,
    listener: TcpListener,
    audience: Audience,
    workers: usize,
    closed: impl Future<Output = ()> + Send + 'static,
) -> io::Result<actix_web::dev::Server> {
    let (service, drain) = (Arc::clone(service), Arc::clone(drain));
    let drain_s = service.config().server.drain_s;
    let server = HttpServer::new(move || app(Arc::clone(&service), Arc::clone(&drain), audience))
        .client_request_timeout(HEAD_TIME)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(drain_s)
        .shutdown_signal(closed);
    let server = if workers == 0 { server } else { server.workers(workers) };
    Ok(server.listen(listener)?.run())
}

async fn until_closed(mut closed: watch::Receiver<bool>) {
    // An error means that the conductor is gone; then there is nothing to wait for.
    let _ = closed.wait_for(|closed| *closed).await;
}

async fn asked_to_stop(stop: &Notify) {
    tokio::select! {
        () = stop.notified() => {}
        () = signalled() => {}
    }
}

#[cfg(unix)]
async fn signalled() {
    use tokio::signal::unix::{SignalKind, signal};
    match (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) {
        (Ok(mut terminate), Ok(mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        (Err(error), _) | (_, Err(error)) => {
            tracing::error!(%error, "signals cannot be received: only killing ends this process");
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(not(unix))]
async fn signalled() {
    if let Err(error) = tokio::signal::ctrl_c().await {
        tracing::error!(%error, "signals cannot be received: only killing ends this process");
        std::future::pending::<()>().await;
    }
}
