//! How long after `POST /v1/events` an event is visible: 1,000 events a second for 20 s against the real server.
//!
//! `cargo bench --bench events -- [RATE] [SECONDS]`. Open loop: every event has its moment, and time is counted from that
//! moment, however late the client gets to it. Each event is one request; after its 202 the session is read back and must
//! hold it. Client and server share the machine.

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use segue::config::Config;
use segue::startup;

const CONNECTIONS: usize = 8;

fn main() -> Result<()> {
    let numbers: Vec<u64> = std::env::args().skip(1).filter_map(|arg| arg.parse().ok()).collect();
    let rate = numbers.first().copied().unwrap_or(1_000).max(CONNECTIONS as u64);
    let seconds = numbers.get(1).copied().unwrap_or(20).max(1);
    println!("{}", support::hardware());
    let data = std::env::temp_dir().join(format!("segue-bench-{}", std::process::id()));
    let address = server(data.clone())?;
    let start = Instant::now() + Duration::from_millis(200);
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|client| std::thread::spawn(move || drive(address, client, rate, seconds, start)))
        .collect();
    let (mut acks, mut seen) = (Vec::new(), Vec::new());
    for client in clients {
        let times = client.join().map_err(|_| anyhow::anyhow!("a client panicked"))??;
        acks.extend(times.iter().map(|(ack, _)| *ack));
        seen.extend(times.iter().map(|(_, seen)| *seen));
    }
    println!("{} events at {rate}/s, every one read back", acks.len());
    println!("| ms | P50 | P99 | P99.9 | max |\n|---|---|---|---|---|");
    for (what, times) in [("acknowledged and applied", &mut acks), ("read back by the next request", &mut seen)] {
        let at: Vec<String> =
            [0.5, 0.99, 0.999, 1.0].iter().map(|q| format!("{:.2}", support::quantile(times, *q))).collect();
        println!("| {what} | {} |", at.join(" | "));
    }
    // The server still holds the files; it ends with this process.
    Ok(std::fs::remove_dir_all(data)?)
}

/// Starts the server on a thread of this process; it ends with it.
fn server(data: PathBuf) -> Result<SocketAddr> {
    let (tell, told) = mpsc::channel();
    let mut config = Config::default();
    config.server.listen = ([127, 0, 0, 1], 0).into();
    config.events.data_dir = data;
    std::thread::spawn(move || {
        let bundle = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
        let ended = startup::serve(config, &bundle, None, |_| {}, |_, address| _ = tell.send(address));
        if let Err(error) = ended {
            eprintln!("server: {error}");
        }
    });
    told.recv().context("the server did not start")
}

/// Sends this client's share of the events; ms from each event's moment to its 202 and to having been read back.
fn drive(address: SocketAddr, client: usize, rate: u64, seconds: u64, start: Instant) -> Result<Vec<(f64, f64)>> {
    let mut http = Client::connect(address)?;
    let mut times = Vec::new();
    for event in (client as u64..rate * seconds).step_by(CONNECTIONS) {
        let due = start + Duration::from_secs_f64(event as f64 / rate as f64);
        let now = Instant::now();
        if due > now {
            std::thread::park_timeout(due - now);
        }
        let (session, play) = (event / 50 * CONNECTIONS as u64 + client as u64, event % 50 / CONNECTIONS as u64);
        let at = jiff::Timestamp::now();
        let body = format!(
            r#"{{"events":[{{"event_id":"b{event}","user_id":"u{session}","session_id":"s{session}","track_id":"t{play}","type":"skip","played_ms":4000,"client_ts":"{at}"}}]}}"#
        );
        let (status, answer) = http.send("POST", "/v1/events", &body)?;
        let ack = due.elapsed().as_secs_f64() * 1e3;
        ensure!(status == 202 && answer.contains("accepted"), "{status} {answer}");
        let (status, answer) = http.send("GET", &format!("/v1/sessions/s{session}"), "")?;
        let seen = due.elapsed().as_secs_f64() * 1e3;
        ensure!(status == 200 && answer.contains(&format!("\"t{play}\"")), "not visible: {status} {answer}");
        times.push((ack, seen));
    }
    Ok(times)
}

/// One kept-alive connection.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    fn send(&mut self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let length = body.len();
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: segue\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        self.stream.get_mut().write_all(request.as_bytes())?;
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).and_then(|code| code.parse().ok()).context("no status line")?;
        let mut length = 0;
        loop {
            line.clear();
            if self.stream.read_line(&mut line)? == 0 {
                bail!("the connection closed");
            }
            let Some((name, value)) = line.trim_end().split_once(": ") else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, String::from_utf8(body)?))
    }
}
