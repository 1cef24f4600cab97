//! `segue demo`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::bail;

use super::common::ServeArgs;
use crate::app::Engine;
use crate::config::EventStore;
use crate::startup;
use crate::tables::{TableError, read_events};

/// What the demo's listeners did lately lies beside the demo bundle.
const LISTENERS: &str = "demo-listeners.parquet";

/// Serves the demo bundle on this machine, with listeners who have a past, and shows what to try
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  segue demo --listen 127.0.0.1:9090 --no-open")]
pub(super) struct Args {
    #[command(flatten)]
    serve: ServeArgs,
    /// Do not open the console page in a browser
    #[arg(long)]
    no_open: bool,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let mut config = args.serve.load()?;
    // A demo leaves nothing behind, and its listeners have the same past each time.
    config.events.store = EventStore::Memory;
    let bundle = match config.bundle.clone() {
        Some(bundle) => bundle,
        None => find("models/demo")?,
    };
    let listeners = bundle.parent().map(|beside| beside.join(LISTENERS)).filter(|file| file.is_file());
    startup::init_logs(&config);
    let prepare = |engine: &Engine| {
        if let Some(file) = &listeners
            && let Err(error) = recall(engine, file)
        {
            tracing::warn!(%error, "the demo's listeners have no past");
        }
    };
    let ready = |_: &Engine, address: SocketAddr| {
        println!("{}", invitation(address));
        if !args.no_open {
            open_browser(&format!("http://{address}/"));
        }
    };
    // Nothing to read again: SIGHUP, as when the terminal is closed, ends it.
    Ok(startup::serve(config, &bundle, None, prepare, ready)?)
}

/// Looks for a path in the current directory, then in every directory above the binary, then where packages install.
fn find(path: &str) -> anyhow::Result<PathBuf> {
    let exe = std::env::current_exe().unwrap_or_default();
    let above = exe.ancestors().skip(1).map(|dir| dir.join(path));
    let places: Vec<PathBuf> =
        [PathBuf::from(path)].into_iter().chain(above).chain([Path::new("/usr/share/segue").join(path)]).collect();
    match places.iter().find(|place| place.join("manifest.toml").is_file()) {
        Some(place) => Ok(place.clone()),
        None => bail!("no demo bundle: {path} is neither here nor above {}; give one with --bundle DIR", exe.display()),
    }
}

/// Applies what the demo's listeners did.
fn recall(engine: &Engine, file: &Path) -> Result<(), TableError> {
    let serving = engine.current();
    let bundle = serving.bundle();
    for event in read_events(file)? {
        // An event of a track that this bundle lacks is no part of the demo.
        let _ = serving.state().apply(&event?, &bundle.catalogue, &bundle.vectors);
    }
    Ok(())
}

fn invitation(address: SocketAddr) -> String {
    format!(
        "Segue listens on http://{address}\n\n\
         what should u1 hear next?\n  \
         curl -s http://{address}/v1/next-tracks -H 'content-type: application/json' \\\n    \
         -d '{{\"user_id\":\"u1\",\"session_id\":\"s1\",\"limit\":5,\"market\":\"SE\",\"explain\":\"reasons\"}}'\n\n\
         u1 skips the first one (put its track_id for t1); ask again and see\n  \
         curl -s http://{address}/v1/events -H 'content-type: application/json' \\\n    \
         -d \"{{\\\"events\\\":[{{\\\"event_id\\\":\\\"e-$RANDOM\\\",\\\"user_id\\\":\\\"u1\\\",\\\"session_id\\\":\\\"s1\\\",\
         \\\"track_id\\\":\\\"t1\\\",\\\"type\\\":\\\"skip\\\",\\\"played_ms\\\":4000,\\\"client_ts\\\":\\\"$(date -u +%FT%TZ)\\\"}}]}}\"\n\n\
         console http://{address}/   API http://{address}/openapi.json   metrics http://{address}/metrics\n\
         listeners with a past: u0 to u199; anyone else is new. Stop with Ctrl-C."
    )
}

/// Opens a page where there is a desktop; says nothing where there is none.
fn open_browser(url: &str) {
    let desktop = ["DISPLAY", "WAYLAND_DISPLAY"].iter().any(|name| std::env::var_os(name).is_some());
    let opener = match std::env::consts::OS {
        "macos" => "open",
        "linux" if desktop => "xdg-open",
        _ => return,
    };
    // A machine without the opener still has the address on its screen.
    let _ = std::process::Command::new(opener)
        .arg(url)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn();
}
