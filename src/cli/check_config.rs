//! `segue check-config`.

use super::common::ConfigArgs;

/// Checks the configuration and reports every fault at once
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  SEGUE__LANES__COUNT=4 segue check-config --config config/segue.toml --print")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Print the configuration in force
    #[arg(long)]
    print: bool,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    if args.print {
        print!("{}", toml::to_string(&config)?);
    } else {
        println!("configuration is sound");
    }
    Ok(())
}
