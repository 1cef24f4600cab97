//! Puts the layers on top of each other: defaults, then file, then environment, then flags.

use std::collections::BTreeMap;
use std::path::Path;

use super::check;
use super::faults::{Fault, Problem};
use super::layers::{Layers, Setting};
use super::schema::{Schema, place};
use super::{Config, ConfigFaults};

/// Reads the configuration. Each layer wins over the one before: defaults, `file`, the variables
/// `SEGUE__SECTION__KEY` of `environment` (any other variable is left alone), then `overrides`, pairs of a dotted path
/// and a value. Values of the last two are read as TOML where they are TOML, else as text.
///
/// # Errors
/// All faults at once, in any layer, even where a later layer would win: what cannot be read or parsed, unknown keys, wrong
/// types, values out of range.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
    overrides: &[(String, String)],
) -> Result<Config, ConfigFaults> {
    let schema = Schema::new();
    let mut layers = Layers::new(&schema);
    if let Some(path) = file {
        layers.file(path);
    }
    layers.environment(environment);
    layers.overrides(overrides);
    let Layers { settings, mut faults, .. } = layers;
    let (config, given) = merge(&schema, settings, &mut faults);
    faults.extend(check::across_keys(&config, &given));
    faults.sort_by(|a, b| a.origin.cmp(&b.origin));
    if faults.is_empty() { Ok(config) } else { Err(ConfigFaults(faults)) }
}

/// This process's environment variables, for `load`. Names and values that are not Unicode are read with replacement
/// characters, so that they are reported rather than ignored.
pub fn environment() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
}

/// Applies the settings that are in order, one by one, and reports the others. Returns what came out, and the setting that
/// won for each key that was given.
fn merge(schema: &Schema, settings: Vec<Setting>, faults: &mut Vec<Fault>) -> (Config, BTreeMap<String, Setting>) {
    let mut config = Config::default();
    let mut table = schema.defaults().clone();
    let mut given = BTreeMap::new();
    for setting in settings {
        let mut next = table.clone();
        place(&mut next, &setting.key, setting.value.clone());
        let applied = check::one_key(&setting).and_then(|()| {
            next.clone().try_into::<Config>().map_err(|e| Problem::Refused(e.message().trim().replace('\n', "; ")))
        });
        match applied {
            Ok(applied) => {
                (config, table) = (applied, next);
                given.insert(setting.key.clone(), setting);
            }
            Err(problem) => faults.push(setting.fault(problem)),
        }
    }
    (config, given)
}
