//! What a trigger does: a file, a request, a command.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::Fired;
use crate::config::RetrainConfig;
use crate::statistics::Estimate;

/// The variable that names the file of what was told, for the command.
const VARIABLE: &str = "SEGUE_RETRAIN";
/// Time for each step of a request.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most bytes of an answer that are read: its first line is all that counts.
const MOST_ANSWER: u64 = 4_096;

/// What is told of a trigger.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Told {
    /// When it went off, Unix ms.
    pub at_ms: i64,
    /// Why, and since when.
    #[serde(flatten)]
    pub fired: Fired,
    /// The bundle that it is about.
    pub bundle: String,
    /// AUC of the head `complete`.
    pub auc: Option<Estimate>,
    /// Population stability index of the head that differs most.
    pub psi: Option<f64>,
}

/// An action that failed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// A file could not be written.
    #[error("{}: {fault}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        fault: std::io::Error,
    },
    /// The address did not take it.
    #[error("retrain.webhook {address}: {fault}")]
    Webhook {
        /// Which.
        address: String,
        /// Why.
        fault: String,
    },
    /// The command failed.
    #[error("retrain.command: {0}")]
    Command(String),
}

/// Does all that is configured, one after the other, and waits for it; `note` is the file that the command is told of. What
/// fails keeps nothing of the rest from being done. Returns what failed.
pub fn act(config: &RetrainConfig, told: &Told, note: &Path) -> Vec<ActionError> {
    // Numbers and text can always be written.
    let text = serde_json::to_string_pretty(told).unwrap_or_default() + "\n";
    let files = [Some(note), config.file.as_deref()].into_iter().flatten();
    let mut failed: Vec<ActionError> = files.filter_map(|path| write(path, &text).err()).collect();
    let webhook = config.webhook.as_deref().map(|address| post(address, &text));
    let command = config.command.as_deref().map(|command| run(command, note));
    failed.extend([webhook, command].into_iter().flatten().filter_map(Result::err));
    failed
}

/// Writes a file whole or not at all.
///
/// # Errors
/// The disk's.
pub fn write(path: &Path, text: &str) -> Result<(), ActionError> {
    let partial = PathBuf::from(format!("{}.partial", path.display()));
    let written = std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, path));
    written.map_err(|fault| ActionError::File { path: path.to_owned(), fault })
}

fn run(command: &str, note: &Path) -> Result<(), ActionError> {
    let status = Command::new("sh").arg("-c").arg(command).env(VARIABLE, note).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(ActionError::Command(format!("{command}: {status}"))),
        Err(error) => Err(ActionError::Command(format!("sh: {error}"))),
    }
}

/// Posts JSON over plain HTTP; any answer of 200 to 299 will do.
fn post(address: &str, json: &str) -> Result<(), ActionError> {
    let fault =
        |fault: &dyn std::fmt::Display| ActionError::Webhook { address: address.into(), fault: fault.to_string() };
    let rest = address
        .strip_prefix("http://")
        .ok_or_else(|| fault(&"expected http://HOST:PORT/PATH; for https use retrain.command with curl"))?;
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = if authority.contains(':') { authority.to_owned() } else { format!("{authority}:80") };
    let place = host.to_socket_addrs().map_err(|e| fault(&e))?.next().ok_or_else(|| fault(&"no such host"))?;
    let exchange = || {
        let mut stream = TcpStream::connect_timeout(&place, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        let head = format!(
            "POST /{path} HTTP/1.1\r\nHost: {authority}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            json.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(json.as_bytes())?;
        let mut line = Vec::new();
        BufReader::new(stream.take(MOST_ANSWER)).read_until(b'\n', &mut line)?;
        Ok::<_, std::io::Error>(String::from_utf8_lossy(&line).trim_end().to_owned())
    };
    let line = exchange().map_err(|e| fault(&e))?;
    match line.split(' ').nth(1) {
        Some(status) if line.starts_with("HTTP/1.") && status.len() == 3 && status.starts_with('2') => Ok(()),
        _ => Err(fault(&format!("answered {line:?}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::Reason;
    use std::net::TcpListener;

    fn told() -> Told {
        let fired = Fired { reason: Reason::Auc, since_ms: 5 };
        let auc = Some(Estimate { value: 0.5, low: 0.4, high: 0.55 });
        Told { at_ms: 9, fired, bundle: "b".into(), auc, psi: None }
    }

    /// Answers one request with this status line; gives back what was sent.
    fn server(answer: &'static str) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/hook?x=1", listener.local_addr().unwrap());
        let serve = move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut seen = Vec::new();
            let mut piece = [0; 1_024];
            while !String::from_utf8_lossy(&seen).trim_end().ends_with('}') {
                let read = stream.read(&mut piece).unwrap();
                seen.extend_from_slice(&piece[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            String::from_utf8(seen).unwrap()
        };
        (address, std::thread::spawn(serve))
    }

    #[test]
    fn everything_configured_is_done_and_what_fails_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (webhook, seen) = server("HTTP/1.1 204 No Content\r\n\r\n");
        let config = RetrainConfig {
            file: Some(at("file.json")),
            webhook: Some(webhook),
            command: Some(format!("cp \"$SEGUE_RETRAIN\" {}", at("copy.json").display())),
            ..RetrainConfig::default()
        };
        let failed = act(&config, &told(), &at("note.json"));
        assert!(failed.is_empty(), "{failed:?}");
        let read = |name: &str| std::fs::read_to_string(at(name)).unwrap();
        assert!(read("file.json") == read("note.json") && read("copy.json") == read("note.json"));
        let json: serde_json::Value = serde_json::from_str(&read("file.json")).unwrap();
        assert_eq!(
            (&json["reason"], &json["since_ms"], &json["auc"]["value"]),
            (&"auc".into(), &5.into(), &0.5.into())
        );
        let sent = seen.join().unwrap();
        assert!(sent.starts_with("POST /hook?x=1 HTTP/1.1\r\n") && sent.ends_with(&read("note.json")), "{sent}");

        let (webhook, seen) = server("HTTP/1.1 500 No\r\n\r\n");
        let config = RetrainConfig {
            file: Some(at("no/such/folder.json")),
            webhook: Some(webhook),
            command: Some("exit 3".into()),
            ..RetrainConfig::default()
        };
        let failed: Vec<String> = act(&config, &told(), &at("note.json")).iter().map(ToString::to_string).collect();
        seen.join().unwrap();
        assert_eq!(failed.len(), 3, "{failed:?}");
        assert!(
            failed[0].contains("folder.json") && failed[1].contains("500 No") && failed[2].contains("exit status: 3")
        );
    }

    #[test]
    fn an_address_that_is_none_is_refused() {
        for (address, why) in
            [("https://x/", "expected http://"), ("http://127.0.0.1:1/", "refused"), ("x", "expected")]
        {
            let error = post(address, "{}").unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
