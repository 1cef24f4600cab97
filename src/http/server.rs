//! The server: listeners, workers, signals and the graceful end.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
#[cfg(unix)]
use std::sync::atomic::AtomicBool;
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

/// Binds `server.listen`, and `server.admin_listen` for operators: if given, admin routes are only there.
///
/// # Errors
/// If an address cannot be bound; the text names it.
pub fn bind(service: Arc<dyn Service>) -> io::Result<Bound> {
    let config = &service.config().server;
    let clients = listener("server.listen", config.listen)?;
    let operators = config.admin_listen.map(|admin| listener("server.admin_listen", admin)).transpose()?;
    Ok(Bound { service, clients, operators, drain: Arc::default(), stop: Arc::default() })
}

/// Whom the first listener serves: admin routes are never open to a network by accident.
fn audience(clients: &TcpListener, has_operators: bool) -> Audience {
    let private = clients.local_addr().is_ok_and(|address| address.ip().is_loopback());
    if has_operators || !private { Audience::Clients } else { Audience::Everyone }
}

fn listener(key: &str, address: SocketAddr) -> io::Result<TcpListener> {
    TcpListener::bind(address)
        .map_err(|error| io::Error::new(error.kind(), format!("{key}: cannot listen on {address}: {error}")))
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
    /// `server.drain_s` to end. A second signal ends the process at once, see [`Signals`]. Must run on an actix runtime.
    ///
    /// # Errors
    /// If a listener fails.
    pub async fn run(self, signals: Signals) -> io::Result<()> {
        let Self { service, clients, operators, drain, stop } = self;
        let half_drain = Duration::from_secs(service.config().server.drain_s) / 2;
        let (closing, closed) = watch::channel(false);
        let conductor = actix_web::rt::spawn({
            let drain = Arc::clone(&drain);
            async move {
                tokio::select! {
                    () = stop.notified() => {}
                    () = signals.received() => {}
                }
                tracing::info!(
                    "shutting down: /readyz says so, requests at work are finished; a second signal does not wait"
                );
                drain.begin();
                drain.until_told(half_drain).await;
                // Nobody listens any more when both servers have failed.
                let _ = closing.send(true);
            }
        });
        let workers = service.config().server.workers;
        let audience = audience(&clients, operators.is_some());
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

/// What a signal calls.
#[cfg(unix)]
type Handler = Box<dyn FnMut()>;

/// SIGTERM and SIGINT, from the moment this value is made: one that comes while the engine still starts is not lost. On
/// Unix a second one, whatever is being waited for, ends the process with the exit code 128 + its number, as `kill -9`
/// would: what was acknowledged is in the event log. SIGHUP is left to the system, which ends the process, but for
/// [`Signals::reloading`].
pub struct Signals {
    #[cfg(unix)]
    streams: io::Result<[tokio::signal::unix::Signal; 2]>,
    #[cfg(unix)]
    hangup: Option<(tokio::signal::unix::Signal, Option<Handler>)>,
}

impl Signals {
    /// Begins to listen. Must be called on an actix runtime.
    #[cfg(unix)]
    pub fn listen() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        let open = || {
            let streams = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
            the_second_ends()?;
            Ok(streams)
        };
        Self { streams: open(), hangup: None }
    }

    /// Begins to listen for SIGHUP too. One that comes before [`Signals::on_hangup`] waits for it.
    #[cfg(unix)]
    pub fn reloading(self) -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::hangup()) {
            Ok(stream) => Self { hangup: Some((stream, None)), ..self },
            Err(error) => {
                tracing::error!(%error, "SIGHUP cannot be received: it ends this process");
                self
            }
        }
    }

    /// Does nothing where there is no SIGHUP.
    #[cfg(not(unix))]
    pub fn reloading(self) -> Self {
        self
    }

    /// Calls `reload` at each SIGHUP, on the thread that [`Bound::run`] was called on.
    #[cfg(unix)]
    pub fn on_hangup(mut self, reload: impl FnMut() + 'static) -> Self {
        if let Some((_, called)) = &mut self.hangup {
            *called = Some(Box::new(reload));
        }
        self
    }

    /// Does nothing where there is no SIGHUP.
    #[cfg(not(unix))]
    pub fn on_hangup(self, _: impl FnMut() + 'static) -> Self {
        self
    }

    /// Begins to listen. Must be called on an actix runtime.
    #[cfg(not(unix))]
    pub fn listen() -> Self {
        Self {}
    }

    /// Ends when the process is asked to end; reloads until then.
    #[cfg(unix)]
    async fn received(self) {
        let Self { streams, hangup } = self;
        let asked_to_stop = async {
            match streams {
                Ok([mut terminate, mut interrupt]) => {
                    tokio::select! {
                        _ = terminate.recv() => {}
                        _ = interrupt.recv() => {}
                    }
                }
                Err(error) => deaf(&error).await,
            }
        };
        let hung_up = async {
            if let Some((mut stream, Some(mut reload))) = hangup {
                while stream.recv().await.is_some() {
                    reload();
                }
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = asked_to_stop => {}
            () = hung_up => {}
        }
    }

    #[cfg(not(unix))]
    async fn received(self) {
        if let Err(error) = tokio::signal::ctrl_c().await {
            deaf(&error).await;
        }
    }
}

/// A handler runs its actions in this order: only a signal that finds another before it ends the process.
#[cfg(unix)]
fn the_second_ends() -> io::Result<()> {
    use signal_hook::consts::{SIGINT, SIGTERM};
    use signal_hook::flag;
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&asked))?;
        flag::register(signal, Arc::clone(&asked))?;
    }
    Ok(())
}

async fn deaf(error: &io::Error) {
    tracing::error!(%error, "signals cannot be received: only killing ends this process");
    std::future::pending::<()>().await;
}
