//! `segue ope`.

use std::path::PathBuf;

use anyhow::{Context, bail};

use super::common::{ConfigArgs, KeptArgs};
use super::progress::Steps;
use crate::backfill::Logs;
use crate::bundle::Bundle;
use crate::config::Config;
use crate::domain::Catalogue;
use crate::inference::Runtime;
use crate::ope::{Choice, Policy, RankerOf, Reward, collect, report, text_table};
use crate::tables::read_tracks;

/// Says what another policy would have earned in the places of lists that explore, from the logs alone (off-policy evaluation)
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  segue ope --log segue-features --archive archive --tracks models/demo/tracks.parquet
  segue ope --log segue-features --archive archive --tracks models/demo/tracks.parquet \\
      --policy \"likes: choose=softmax; temperature=0.1; complete=0; skip=0; like=5\" --policy \"next: bundle=out/bundle\" --reward minutes
A policy is NAME: KEY=VALUE; KEY=VALUE. choose is best, uniform or softmax (with temperature); complete, skip and like are the
weights of the blend (default: knobs.blend); epsilon is the share left to chance; bundle is a bundle over the towers that served,
whose ranker is asked instead of the logged one.")]
pub(super) struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    #[command(flatten)]
    kept: KeptArgs,
    /// A policy; may be given again
    #[arg(long = "policy", value_name = "POLICY", default_values = ["uniform: choose=uniform", "best: choose=best"])]
    policies: Vec<String>,
    /// What is counted of a place
    #[arg(long, value_enum, default_value = "complete")]
    reward: RewardArg,
    /// Let no weight count for more: less variance, and a bias. At least 1
    #[arg(long, value_parser = clip)]
    clip: Option<f64>,
    /// Also read hours whose wait is not over when the events end
    #[arg(long)]
    to_the_end: bool,
    /// Print the report as JSON instead of the table
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum RewardArg {
    /// Played for more than 30 s or to the end
    Complete,
    /// Skipped early
    Skip,
    /// Minutes that it sounded
    Minutes,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let config = args.config.load(&[])?;
    let given = args.policies.iter().map(|text| Given::parse(text, &config)).collect::<anyhow::Result<Vec<_>>>()?;
    let names: Vec<String> = given.iter().map(|given| given.name.clone()).collect();
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        bail!("--policy {}: two policies have this name", twice.1);
    }
    let bundles = given.iter().map(|given| given.load(&config)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut policies = given
        .iter()
        .zip(&bundles)
        .map(|(given, bundle)| given.policy(bundle.as_ref()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let catalogue = Catalogue::new(read_tracks(&args.kept.tracks)?)?;
    let reward = match args.reward {
        RewardArg::Complete => Reward::Complete,
        RewardArg::Skip => Reward::Skip,
        RewardArg::Minutes => Reward::Minutes,
    };
    let logs = Logs { log: args.kept.log.clone(), archive: args.kept.archive.clone(), to_the_end: args.to_the_end };
    let mut steps = Steps::default();
    let found =
        collect(&logs, &catalogue, &config, reward, &mut policies, &mut |at| steps.set(at.step, at.done, at.total))?;
    drop(steps);
    let report = report(&names, &found, reward, args.clip)?;
    if args.json {
        println!("{}", serde_json::to_string_pretty(&report)?);
    } else {
        print!("{}", text_table(&report));
    }
    Ok(())
}

/// A policy as it is given.
struct Given {
    name: String,
    choose: String,
    temperature: f64,
    blend: crate::domain::BlendWeights,
    epsilon: f64,
    bundle: Option<PathBuf>,
}

impl Given {
    fn parse(text: &str, config: &Config) -> anyhow::Result<Self> {
        let (name, settings) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim().to_owned();
        if name.is_empty() {
            bail!("--policy {text}: expected \"NAME: KEY=VALUE; KEY=VALUE\"");
        }
        let mut given = Self {
            choose: "best".into(),
            temperature: 0.1,
            blend: config.knobs.blend,
            epsilon: 0.0,
            bundle: None,
            name,
        };
        for setting in settings.split(';').map(str::trim).filter(|setting| !setting.is_empty()) {
            let Some((key, value)) = setting.split_once('=') else {
                bail!("--policy {}: {setting}: expected KEY=VALUE, e.g. choose=uniform", given.name);
            };
            given.set(key.trim(), value.trim())?;
        }
        Ok(given)
    }

    fn set(&mut self, key: &str, value: &str) -> anyhow::Result<()> {
        let name = self.name.clone();
        let number = |least: f64, most: f64| {
            let number = value.parse::<f64>().with_context(|| format!("--policy {name}: {key}={value}"))?;
            if !(least..=most).contains(&number) {
                bail!("--policy {name}: {key}={value}: must lie in {least}..{most}");
            }
            Ok(number)
        };
        match key {
            "choose" if ["best", "uniform", "softmax"].contains(&value) => value.clone_into(&mut self.choose),
            "choose" => bail!("--policy {name}: choose={value}: must be best, uniform or softmax"),
            "temperature" => self.temperature = number(0.0001, 1_000.0)?,
            "epsilon" => self.epsilon = number(0.0, 1.0)?,
            "complete" => self.blend.complete = number(0.0, 10.0)? as f32,
            "skip" => self.blend.skip = number(0.0, 10.0)? as f32,
            "like" => self.blend.like = number(0.0, 10.0)? as f32,
            "bundle" => self.bundle = Some(value.into()),
            _ => bail!("--policy {name}: {key}: expected choose, temperature, epsilon, complete, skip, like or bundle"),
        }
        Ok(())
    }

    fn load(&self, config: &Config) -> anyhow::Result<Option<Bundle>> {
        let Some(directory) = &self.bundle else { return Ok(None) };
        let runtime = Runtime::open(&config.inference)?;
        Ok(Some(Bundle::load(directory, config, &runtime)?))
    }

    fn policy<'a>(&self, bundle: Option<&'a Bundle>) -> anyhow::Result<Policy<'a>> {
        let ranker = match bundle {
            None => None,
            Some(bundle) => Some(
                RankerOf::new(bundle)?.with_context(|| format!("--policy {}: its bundle has no ranker", self.name))?,
            ),
        };
        let choice = match self.choose.as_str() {
            "uniform" => Choice::Uniform,
            "softmax" => Choice::Softmax(self.temperature),
            _ => Choice::Best,
        };
        Ok(Policy { name: self.name.clone(), choice, blend: self.blend, epsilon: self.epsilon, ranker })
    }
}

fn clip(given: &str) -> Result<f64, String> {
    let value = given.parse::<f64>().map_err(|error| error.to_string())?;
    if value >= 1.0 && value.is_finite() { Ok(value) } else { Err("must be at least 1".into()) }
}
