//! `segue check-config`.

use std::sync::Arc;

use super::common::ConfigArgs;
use crate::bundle::Bundle;
use crate::config::{Config, rule_conflicts};
use crate::stages::rules::{RuleBook, Rules};

/// Checks the configuration and reports every fault at once; of business rules also what contradicts what
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
    for finding in findings(&config) {
        eprintln!("note: {finding}");
    }
    if args.print {
        print!("{}", toml::to_string(&config)?);
    } else {
        println!("configuration is sound");
    }
    Ok(())
}

/// What of the business rules has an outcome that may not be meant. What they name is looked for in the bundle, where one
/// is configured and can be read.
fn findings(config: &Config) -> Vec<String> {
    let mut found = rule_conflicts(&config.rules);
    if config.rules.is_empty() {
        return found;
    }
    let unread = |why: String| vec![format!("what the rules name was not looked for: {why}")];
    found.extend(match &config.bundle {
        None => unread("no `bundle` is configured".into()),
        Some(directory) => match Bundle::read_catalogue(directory) {
            Ok(catalogue) => RuleBook::new(Rules::new(&config.rules), Arc::new(catalogue)).findings(),
            Err(error) => unread(error.to_string()),
        },
    });
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_compared_with_the_bundle() {
        let rule = |name: &str, track: &str| {
            toml::from_str(&format!("name = {name:?}\naction = \"block\"\ntracks = [{track:?}]")).unwrap()
        };
        let mut config = Config { rules: vec![rule("a", "no-such-track")], ..Config::default() };
        assert!(findings(&config)[0].contains("no `bundle`"));
        config.bundle = Some(concat!(env!("CARGO_MANIFEST_DIR"), "/models/demo").into());
        let expected = "rule `a`: the catalogue has no track \"no-such-track\": it counts for nothing until it comes";
        assert_eq!(findings(&config), [expected]);
        config.bundle = Some("/nowhere".into());
        assert!(findings(&config)[0].starts_with("what the rules name was not looked for"));
    }
}
