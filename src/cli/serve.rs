//! `segue serve`.

use anyhow::Context;

use super::common::ServeArgs;
use crate::startup::{self, Reload};

/// Serves a bundle over HTTP until SIGTERM or SIGINT; SIGHUP reads knobs, log level and API keys again
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  segue serve --config config/segue.toml --listen 0.0.0.0:8080")]
pub(super) struct Args {
    #[command(flatten)]
    serve: ServeArgs,
}

pub(super) fn run(args: Args) -> anyhow::Result<()> {
    let config = args.serve.load()?;
    let bundle =
        config.bundle.clone().context("no bundle given: set `bundle` in the configuration or use --bundle DIR")?;
    let logs = startup::init_logs(&config);
    let reload = Reload { load: Box::new(move || args.serve.load().map_err(|error| format!("{error:#}"))), logs };
    Ok(startup::serve(config, &bundle, Some(reload), |_| {}, |_, _| {})?)
}
