//! `segue key`.

use std::io::{self, Write};

use anyhow::ensure;

use crate::config::Scope;
use crate::security::{NewKey, new_secret};

/// Makes API keys and the secret that signs ids of answers (docs/security.md)
#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Prints a new API key, for the client, and the table with its hash, for the configuration; neither is kept
    #[command(after_help = "Example:\n  segue key new --client web --scope read --scope ingest --per-second 200")]
    New(NewArgs),
    /// Prints a new secret for the file that signals.feedback.secret_file names
    #[command(after_help = "Example:\n  (umask 077; segue key secret > /etc/segue/secret)")]
    Secret,
}

#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// Whose key it is: 1 to 64 of a-z, 0-9, - and _
    #[arg(long, value_name = "NAME")]
    client: String,
    /// What it allows (may be given again)
    #[arg(long = "scope", value_enum, required = true)]
    scopes: Vec<ScopeName>,
    /// Requests of the client in a second; absent: no limit
    #[arg(long, value_name = "N")]
    per_second: Option<f64>,
}

/// A scope as it is written.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum ScopeName {
    /// To ask
    Read,
    /// To send events
    Ingest,
    /// To change the catalogue and the weights, to erase listeners
    Admin,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::Ingest => Self::Ingest,
            ScopeName::Admin => Self::Admin,
        }
    }
}

pub(super) fn run(command: &Command) -> anyhow::Result<()> {
    let text = match command {
        Command::New(args) => table(args, NewKey::generate())?,
        Command::Secret => format!("{}\n", new_secret()),
    };
    Ok(io::stdout().write_all(text.as_bytes())?)
}

/// The key as a comment, and its entry of the configuration.
fn table(args: &NewArgs, new: NewKey) -> anyhow::Result<String> {
    let scopes = args.scopes.iter().map(|name| Scope::from(*name)).collect();
    let NewKey { key, hash } = new;
    let configured = crate::config::KeyConfig::new(args.client.clone(), hash, scopes, args.per_second);
    let faults = configured.faults();
    ensure!(faults.is_empty(), "{}", faults.join("; "));
    Ok(format!("# For the client, and kept nowhere else: {key}\n[[keys]]\n{}", toml::to_string(&configured)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load;
    use crate::security::{Caller, KeyRing, Refusal};
    use std::time::Instant;

    fn args(client: &str) -> NewArgs {
        let scopes = vec![ScopeName::Read, ScopeName::Ingest];
        NewArgs { client: client.into(), scopes, per_second: Some(20.0) }
    }

    #[test]
    fn what_is_printed_can_be_configured_and_used() {
        let new = NewKey::generate();
        let text = table(&args("web"), new.clone()).unwrap();
        assert!(text.contains(&new.key));
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let config = load(Some(file.path()), std::iter::empty(), &[]).unwrap();
        let ring = KeyRing::new(&config.keys, Instant::now());
        let admitted = ring.admit(Some(&new.key), Scope::Ingest, Instant::now()).unwrap();
        assert!(matches!(admitted, Some(Caller { client, .. }) if &*client == "web"));
        let refused = ring.admit(Some(&new.key), Scope::Admin, Instant::now());
        assert_eq!(refused, Err(Refusal::Forbidden { client: "web".into() }));
        assert!(table(&args("Web"), new).unwrap_err().to_string().contains("`client` must be"));
    }
}
