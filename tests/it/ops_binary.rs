//! The binary as a process: how signals end it, and what it lets out about listeners.
#![cfg(unix)]

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};

use tempfile::TempDir;

/// `segue serve` over the demo bundle on a free port, with its events in a folder of its own.
struct Running {
    child: Child,
    address: SocketAddr,
    lines: Receiver<String>,
    /// What it has logged so far.
    log: String,
    _data: TempDir,
}

impl Running {
    fn start(settings: &[&str]) -> Self {
        let arguments: Vec<&str> = settings.iter().flat_map(|setting| ["--set", *setting]).collect();
        Self::with(&arguments)
    }

    fn with(arguments: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_segue"));
        command.current_dir(env!("CARGO_MANIFEST_DIR"));
        command.args(["serve", "--bundle", "models/demo", "--listen", "127.0.0.1:0", "--set", "log.format=json"]);
        command.args(["--set", &format!("events.data_dir={}", data.path().display())]);
        command.args(arguments);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (send, lines) = channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| send.send(line)));
        let unset = SocketAddr::from(([0, 0, 0, 0], 0));
        let mut running = Self { child, address: unset, lines, log: String::new(), _data: data };
        let ready = running.wait_for("\"ready\"");
        let ready: serde_json::Value = serde_json::from_str(&ready).unwrap();
        running.address = ready["fields"]["address"].as_str().unwrap().parse().unwrap();
        running
    }

    /// The first new line of the log that holds this.
    fn wait_for(&mut self, part: &str) -> String {
        loop {
            let line = self.lines.recv();
            assert!(line.is_ok(), "no {part} in the log:\n{}", self.log);
            let line = line.unwrap();
            writeln!(self.log, "{line}").unwrap();
            if line.contains(part) {
                return line;
            }
        }
    }

    /// Sends bytes and reads until this is in the answer, or all of it.
    fn exchange(&self, request: &str, until: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let (mut reply, mut part) = (Vec::new(), [0; 4096]);
        loop {
            let read = stream.read(&mut part).unwrap();
            reply.extend_from_slice(&part[..read]);
            let text = String::from_utf8_lossy(&reply);
            if read == 0 || !until.is_empty() && text.contains(until) {
                return (stream, text.into_owned());
            }
        }
    }

    fn ask(&self, line: &str, headers: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("{line} HTTP/1.1\r\nHost: segue\r\nConnection: close\r\n{headers}Content-Length: {length}");
        self.exchange(&format!("{head}\r\nContent-Type: application/json\r\n\r\n{body}"), "").1
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// How it ended, and all that it logged.
    fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().unwrap();
        let rest: Vec<String> = self.lines.iter().collect();
        (status, std::mem::take(&mut self.log) + &rest.join("\n"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn ops_one_signal_drains() {
    for name in ["-TERM", "-INT"] {
        let running = Running::start(&[]);
        running.signal(name);
        let (status, log) = running.ended();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(log.contains("drained and stopped"), "{log}");
    }
}

#[test]
fn ops_a_second_signal_does_not_wait() {
    let mut running = Running::start(&["server.drain_s=300"]);
    let half = "POST /v1/events HTTP/1.1\r\nHost: segue\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n\
                Content-Length: 1000\r\n\r\n";
    // The server has taken the request and waits for its body.
    let (held, _) = running.exchange(half, "100 Continue");
    running.signal("-TERM");
    running.wait_for("shutting down");
    running.signal("-TERM");
    let (status, log) = running.ended();
    assert_eq!(status.code(), Some(143), "{log}");
    assert!(!log.contains("drained and stopped"), "{log}");
    drop(held);
}

#[test]
fn ops_hangup_reads_the_configuration_again() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("segue.toml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("[knobs.blend]\nskip = 0.4");
    let mut running = Running::with(&["--config", file.to_str().unwrap()]);
    let skip = |running: &Running| {
        let reply = running.ask("GET /admin/knobs", "", "");
        let body: serde_json::Value = serde_json::from_str(reply.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        body["blend"]["skip"].as_f64().unwrap()
    };
    assert!((skip(&running) - 0.4).abs() < 1e-6);
    write(
        "[knobs.blend]\nskip = 0.9\n[lanes]\nqueue_capacity = 17\n[log]\nlevel = \"debug\"\n\
           [[rules]]\nname = \"no-t1\"\naction = \"block\"\ntracks = [\"t1\"]",
    );
    running.signal("-HUP");
    for (part, level, key, after) in [
        ("\"reloaded\"", "INFO", "knobs.blend.skip", "0.9"),
        ("a restart takes it over", "WARN", "lanes.queue_capacity", "17"),
        ("\"reloaded\"", "INFO", "log.level", "\"debug\""),
        ("\"reloaded\"", "INFO", "rules", "1 (no-t1)"),
    ] {
        let line: serde_json::Value = serde_json::from_str(&running.wait_for(part)).unwrap();
        let fields = &line["fields"];
        assert_eq!((&line["level"], &fields["key"]), (&level.into(), &key.into()));
        assert!(fields["after"].as_str().unwrap().starts_with(after), "{line}");
    }
    running.wait_for("the configuration was read again");
    assert!((skip(&running) - 0.9).abs() < 1e-6);
    let why = running.ask("POST /v1/explain", "", r#"{"user_id":"u1","track_id":"t1"}"#);
    assert!(why.contains(r#""outcome":"filtered""#) && why.contains(r#""stage":"rule""#), "{why}");
    write("[knobs.blend]\nskip = 0.1\n[lanes]\nquantity = 3");
    running.signal("-HUP");
    assert!(running.wait_for("nothing was reloaded").contains("lanes.quantity"));
    assert!((skip(&running) - 0.9).abs() < 1e-6);
    running.signal("-TERM");
    let (status, log) = running.ended();
    assert_eq!(status.code(), Some(0), "{log}");
}

/// Listeners, sessions and secrets of clients, planted wherever a request can hold them, appear in no log line and no
/// metric. (`X-Request-Id` is what a client gives to be found in logs by.)
#[test]
fn ops_nothing_of_a_listener_is_logged_or_counted() {
    let running = Running::start(&["log.level=trace", "events.capture_every=1"]);
    let secret = "Authorization: Bearer canary-key\r\nCookie: id=canary-cookie\r\nX-Api-Key: canary-key\r\n";
    let now = jiff::Timestamp::now();
    let event = |id: &str, track: &str| {
        format!(
            r#"{{"event_id":"canary-{id}","user_id":"canary-user","session_id":"canary-session","track_id":"{track}",
            "type":"skip","played_ms":4000,"client_ts":"{now}"}}"#
        )
    };
    let events = format!(r#"{{"events":[{},{}]}}"#, event("e1", "t171"), event("e2", "unknown-track"));
    let next = r#"{"user_id":"canary-user","session_id":"canary-session","limit":5,"market":"SE"}"#;
    let stray = r#"{"user_id":"canary-user","exclude":["unknown-track"],"limit":"canary-limit"}"#;
    for (line, body, status) in [
        ("POST /v1/events?token=canary-token", events.as_str(), "202"),
        ("POST /v1/events", events.as_str(), "202"),
        ("POST /v1/next-tracks?token=canary-token", next, "200"),
        ("POST /v1/next-tracks", stray, "4"),
        ("POST /v1/next-tracks", "canary-user{", "4"),
        ("POST /v1/explain", next, ""),
        ("GET /v1/recommendations/canary-id/trace", "", "404"),
        ("POST /v1/recommendations/canary-id/replay", "{}", ""),
        ("GET /v1/sessions/canary-session", "", "200"),
        ("GET /v1/tracks/unknown-track", "", "404"),
        ("GET /canary-path?user=canary-user", "", "404"),
        ("DELETE /v1/users/canary-user", "", "2"),
    ] {
        let reply = running.ask(line, secret, body);
        assert!(reply[9..].starts_with(status), "{line}: {reply}");
    }
    let metrics = running.ask("GET /metrics", "", "");
    running.signal("-TERM");
    let (_, log) = running.ended();
    assert!(metrics.contains(r#"route="/v1/users/{id}""#) && metrics.contains("unmatched"), "{metrics}");
    assert!(log.contains("captured") && log.contains(r#""route":"/v1/sessions/{id}""#), "{log}");
    let told: Vec<&str> = log.lines().chain(metrics.lines()).filter(|line| line.contains("canary")).collect();
    assert!(told.is_empty(), "{}", told.join("\n"));
}
