//! Arguments that several sub-commands share.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use crate::config::{self, Config};

/// Where the configuration comes from.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ConfigArgs {
    /// Configuration file; absent: defaults and environment
    #[arg(long, value_name = "FILE")]
    pub(super) config: Option<PathBuf>,
    /// Overrides one key, e.g. --set retrieval.two_tower=500 (may be given again)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) set: Vec<String>,
}

impl ConfigArgs {
    /// Loads all layers: defaults, file, environment, `--set`, then `more`.
    pub(super) fn load(&self, more: &[(&str, String)]) -> anyhow::Result<Config> {
        let mut overrides = Vec::new();
        for pair in &self.set {
            match pair.split_once('=') {
                Some((key, value)) => overrides.push((key.trim().to_owned(), value.trim().to_owned())),
                None => bail!("--set {pair}: expected KEY=VALUE, e.g. --set lanes.count=4"),
            }
        }
        overrides.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        Ok(config::load(self.config.as_deref(), config::environment(), &overrides)?)
    }
}

/// What a server kept: what it answered, what happened, and the catalogue that both name.
#[derive(Debug, clap::Args)]
pub(super) struct KeptArgs {
    /// The feature log: a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    pub(super) log: PathBuf,
    /// The archive that `segue events export` writes: a directory or s3://BUCKET/PREFIX
    #[arg(long, value_name = "DIR")]
    pub(super) archive: PathBuf,
    /// The catalogue: tracks.parquet of the bundle that served
    #[arg(long, value_name = "FILE")]
    pub(super) tracks: PathBuf,
}

/// Where to listen and what to serve.
#[derive(Debug, Default, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Address and port; port 0 takes any free one
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<SocketAddr>,
    /// Bundle to serve
    #[arg(long, value_name = "DIR")]
    pub(super) bundle: Option<PathBuf>,
}

impl ServeArgs {
    /// Loads the configuration with the flags on top.
    pub(super) fn load(&self) -> anyhow::Result<Config> {
        let mut more = Vec::new();
        more.extend(self.listen.map(|listen| ("server.listen", listen.to_string())));
        if let Some(bundle) = &self.bundle {
            more.push(("bundle", path_text(bundle)?));
        }
        self.config.load(&more)
    }
}

fn path_text(path: &Path) -> anyhow::Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not valid UTF-8", path.display()))
}
