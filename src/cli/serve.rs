//! `segue serve`.

use anyhow::Context;

use super::common::ServeArgs;
use crate::startup;

/// Serves a bundle over HTTP until SIGTERM or SIGINT
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
    startup::init_logs(&config);
    Ok(startup::serve(config, &bundle, |_| {}, |_, _| {})?)
}
