//! HTTP/1.1 to one server over connections that are kept open.

use std::cell::RefCell;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::str::FromStr;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::LoadError;

/// The header with the rung of an answer.
const RUNG: &str = "x-segue-rung";

/// A server's address. Plain HTTP: a proxy in between would be measured with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Host and port, as the header `Host` has it.
    pub authority: String,
    host: HeaderValue,
}

impl FromStr for Target {
    type Err = LoadError;

    fn from_str(text: &str) -> Result<Self, LoadError> {
        let wrong = || LoadError::Target(text.to_owned());
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let (host, port) = authority.rsplit_once(':').ok_or_else(wrong)?;
        if host.is_empty() || host.contains('/') || port.parse::<u16>().is_err() {
            return Err(wrong());
        }
        let header = HeaderValue::from_str(authority).map_err(|_| wrong())?;
        Ok(Self { authority: authority.to_owned(), host: header })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority)
    }
}

impl Target {
    /// A fault of this server.
    pub(super) fn fault(&self, fault: impl ToString) -> LoadError {
        LoadError::Server { target: self.authority.clone(), fault: fault.to_string() }
    }
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// The rung it was served from, where the server says.
    pub rung: Option<String>,
    /// The body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// None within the time.
    #[error("no answer within {0:?}")]
    TimedOut(Duration),
    /// No connection.
    #[error("cannot connect: {0}")]
    Connect(#[from] std::io::Error),
    /// A connection that broke, or something that is not HTTP.
    #[error("{0}")]
    Http(#[from] hyper::Error),
    /// A path that is no path.
    #[error("{0}")]
    Request(#[from] hyper::http::Error),
}

/// Connections of one thread. A request takes one that is free, else opens one, else waits; its time-out counts from the
/// call.
pub struct Client {
    target: Target,
    patience: Duration,
    idle: RefCell<Vec<SendRequest<String>>>,
    places: Semaphore,
}

impl Client {
    /// At most that many connections, at least one.
    pub fn new(target: &Target, connections: usize, patience: Duration) -> Self {
        Self {
            target: target.clone(),
            patience,
            idle: RefCell::default(),
            places: Semaphore::new(connections.clamp(1, Semaphore::MAX_PERMITS)),
        }
    }

    /// # Errors
    /// If it cannot connect, no answer comes in time, or what comes is not HTTP.
    pub async fn get(&self, path: &str) -> Result<Reply, ClientError> {
        self.send(Method::GET, path, String::new()).await
    }

    /// Posts JSON.
    ///
    /// # Errors
    /// If it cannot connect, no answer comes in time, or what comes is not HTTP.
    pub async fn post(&self, path: &str, json: String) -> Result<Reply, ClientError> {
        self.send(Method::POST, path, json).await
    }

    async fn send(&self, method: Method, path: &str, json: String) -> Result<Reply, ClientError> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.target.host.clone())
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .body(json)?;
        let exchange = self.exchange(request);
        tokio::time::timeout(self.patience, exchange).await.unwrap_or(Err(ClientError::TimedOut(self.patience)))
    }

    /// One request and its answer. A kept connection that the server has closed meanwhile gives the request back, unsent, and
    /// it goes on a new one.
    async fn exchange(&self, mut request: Request<String>) -> Result<Reply, ClientError> {
        // Nobody closes the semaphore.
        let _place = self.places.acquire().await;
        loop {
            let kept = self.idle.borrow_mut().pop();
            let is_kept = kept.is_some();
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.connect().await?,
            };
            match connection.try_send_request(request).await {
                Ok(response) => {
                    let reply = read(response).await?;
                    if connection.ready().await.is_ok() {
                        self.idle.borrow_mut().push(connection);
                    }
                    return Ok(reply);
                }
                Err(mut error) => match error.take_message().filter(|_| is_kept) {
                    Some(unsent) => request = unsent,
                    None => return Err(error.into_error().into()),
                },
            }
        }
    }

    async fn connect(&self) -> Result<SendRequest<String>, ClientError> {
        let stream = TcpStream::connect(&self.target.authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // Its errors come back with the request that met them.
        tokio::task::spawn_local(connection);
        Ok(sender)
    }
}

async fn read(response: Response<Incoming>) -> Result<Reply, ClientError> {
    let status = response.status().as_u16();
    let rung = response.headers().get(RUNG).and_then(|rung| rung.to_str().ok()).map(str::to_owned);
    let mut incoming = response.into_body();
    let mut body = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut incoming).poll_frame(context)).await {
        if let Ok(data) = frame?.into_data() {
            body.extend_from_slice(&data);
        }
    }
    Ok(Reply { status, rung, body })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_host_and_port() {
        for text in ["127.0.0.1:8080", "http://127.0.0.1:8080/", "http://127.0.0.1:8080"] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), "127.0.0.1:8080");
        }
        for text in ["localhost", "https://segue:1", ":80", "a/b:1", "http://a:99999", "a b\n:1"] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains("expected HOST:PORT"), "{error}");
        }
    }
}
