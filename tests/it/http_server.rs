//! The server over real sockets: ports, panics, draining.

use std::net::SocketAddr;

use actix_web::rt::spawn;
use segue::http::{Signals, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::http_support::Small;

/// Sends one request on a new connection and reads until it closes; the head and body as text.
async fn exchange(address: SocketAddr, request: &str, body: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let head = format!("{request} HTTP/1.1\r\nHost: segue\r\nConnection: close\r\n");
    let entity = format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    stream.write_all((head + &entity).as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}

#[actix_web::test]
async fn a_panic_costs_one_request() {
    let bound = bind(Small::new()).unwrap();
    let (address, stopper) = (bound.address().unwrap(), bound.stopper());
    let server = spawn(bound.run(Signals::listen()));
    let boom = r#"{"user_id":"u1","surface":"boom"}"#;
    for _ in 0..3 {
        let reply = exchange(address, "POST /v1/next-tracks", boom).await.unwrap();
        assert!(reply.starts_with("HTTP/1.1 500 ") && reply.contains("x-request-id: "), "{reply}");
        assert!(reply.contains("urn:segue:problem:internal") && !reply.contains("a bug"), "{reply}");
    }
    let reply = exchange(address, "POST /v1/next-tracks", r#"{"user_id":"u1"}"#).await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    stopper.stop();
    server.await.unwrap().unwrap();
}

#[actix_web::test]
async fn an_oversized_body_is_refused_before_it_is_sent() {
    let bound = bind(Small::new()).unwrap();
    let (address, stopper) = (bound.address().unwrap(), bound.stopper());
    let server = spawn(bound.run(Signals::listen()));
    let announced =
        "POST /v1/events HTTP/1.1\r\nHost: segue\r\nContent-Type: application/json\r\nContent-Length: 10485760\r\n\r\n";
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(announced.as_bytes()).await.unwrap();
    let mut reply = [0; 12];
    stream.read_exact(&mut reply).await.unwrap();
    assert_eq!(&reply, b"HTTP/1.1 413");
    drop(stream);
    stopper.stop();
    server.await.unwrap().unwrap();
}

#[actix_web::test]
async fn readiness_turns_before_the_listener_closes() {
    let bound = bind(Small::new()).unwrap();
    let (address, stopper) = (bound.address().unwrap(), bound.stopper());
    let server = spawn(bound.run(Signals::listen()));
    let reply = exchange(address, "GET /readyz", "").await.unwrap();
    assert!(reply.starts_with("HTTP/1.1 200 OK"), "{reply}");
    stopper.stop();
    let told = loop {
        let reply = exchange(address, "GET /readyz", "").await.unwrap();
        if !reply.starts_with("HTTP/1.1 200 OK") {
            break reply;
        }
    };
    assert!(told.starts_with("HTTP/1.1 503 ") && told.contains("shutting-down"), "{told}");
    server.await.unwrap().unwrap();
    assert!(exchange(address, "GET /healthz", "").await.is_err(), "nobody listens any more");
}

#[actix_web::test]
async fn operators_can_have_their_own_listener() {
    let bound = bind(Small::with(|server| server.admin_listen = Some(([127, 0, 0, 1], 0).into()))).unwrap();
    let (clients, operators) = (bound.address().unwrap(), bound.admin_address().unwrap().unwrap());
    let stopper = bound.stopper();
    let server = spawn(bound.run(Signals::listen()));
    for (address, request, status) in [
        (clients, "GET /admin/knobs", "404"),
        (clients, "GET /v1/top", "200"),
        (operators, "GET /admin/knobs", "200"),
        (operators, "GET /v1/top", "404"),
        (operators, "GET /metrics", "200"),
        (clients, "GET /metrics", "200"),
    ] {
        let reply = exchange(address, request, "").await.unwrap();
        assert_eq!(&reply[9..12], status, "{request}");
    }
    stopper.stop();
    server.await.unwrap().unwrap();
}

#[actix_web::test]
async fn admin_routes_are_not_open_to_a_network_by_accident() {
    let bound = bind(Small::with(|server| server.listen = ([0, 0, 0, 0], 0).into())).unwrap();
    let (port, stopper) = (bound.address().unwrap().port(), bound.stopper());
    let server = spawn(bound.run(Signals::listen()));
    let address = ([127, 0, 0, 1], port).into();
    for (request, status) in [("GET /admin/knobs", "404"), ("GET /v1/top", "200"), ("GET /healthz", "200")] {
        assert_eq!(&exchange(address, request, "").await.unwrap()[9..12], status, "{request}");
    }
    stopper.stop();
    server.await.unwrap().unwrap();
}

#[test]
fn a_taken_port_is_named() {
    let held = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let taken = held.local_addr().unwrap();
    let error = bind(Small::with(|server| server.admin_listen = Some(taken))).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(&format!("server.admin_listen: cannot listen on {taken}")), "{error}");
}
