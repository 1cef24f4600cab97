//! What is wrong with a configuration, and where it was given.

use std::fmt;
use std::path::PathBuf;

/// Longest part of a value that is repeated in a message, characters.
const SHOWN_CHARS: usize = 60;

/// Where a value was given. Ordered as the layers are read, lines of a file from the top.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Origin {
    /// A configuration file.
    File {
        /// Its path, as given.
        path: PathBuf,
        /// Line from 1; absent where the fault is not on one line.
        line: Option<usize>,
    },
    /// The environment variable of this name.
    Environment(String),
    /// A flag.
    CommandLine,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line: Some(line) } => write!(f, "{}:{line}", path.display()),
            Self::File { path, line: None } => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// What is wrong with one key or one file.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The file could not be read.
    #[error("cannot be read: {0}")]
    Unreadable(String),
    /// The file is not TOML.
    #[error("not valid TOML: {0}")]
    Syntax(String),
    /// No such key.
    #[error("unknown key{}", .did_you_mean.as_ref().map(|k| format!("; did you mean `{k}`?")).unwrap_or_default())]
    UnknownKey {
        /// The closest key there is, if any is close.
        did_you_mean: Option<String>,
    },
    /// The key names a section, but a plain value was given.
    #[error("is a section: set the keys inside it")]
    IsSection,
    /// A value of another type, or one that the type refuses.
    #[error("must be {expected}")]
    WrongType {
        /// What fits.
        expected: String,
    },
    /// A number outside its range.
    #[error("must lie in {0}")]
    OutOfRange(String),
    /// A value that the key's own rule refuses.
    #[error("{0}")]
    Refused(String),
}

/// One fault.
#[derive(Debug, Clone, PartialEq)]
pub struct Fault {
    /// Dotted path such as `server.budget_ms`; empty when the whole file is at fault.
    pub key: String,
    /// What was given, as TOML.
    pub value: Option<String>,
    /// Where it was given.
    pub origin: Origin,
    /// What is wrong.
    pub problem: Problem,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.origin)?;
        if !self.key.is_empty() {
            write!(f, "{}", shortened(&self.key))?;
            if let Some(value) = &self.value {
                write!(f, " = {}", shortened(value))?;
            }
            f.write_str(": ")?;
        }
        write!(f, "{}", self.problem)
    }
}

fn shortened(text: &str) -> String {
    let one_line = text.replace(char::is_control, " ");
    match one_line.char_indices().nth(SHOWN_CHARS) {
        Some((at, _)) => format!("{}...", one_line.get(..at).unwrap_or_default()),
        None => one_line,
    }
}

/// Every fault of a configuration, by origin. Never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct ConfigFaults(pub(super) Vec<Fault>);

impl ConfigFaults {
    /// The faults.
    pub fn faults(&self) -> &[Fault] {
        &self.0
    }
}

impl fmt::Display for ConfigFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = if self.0.len() == 1 { "" } else { "s" };
        write!(f, "{} fault{plural} in the configuration", self.0.len())?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  {fault}"))
    }
}

impl std::error::Error for ConfigFaults {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_says_where_what_and_why() {
        let fault = |origin, problem| Fault { key: "lanes.cuont".into(), value: Some("3".into()), origin, problem };
        let file = Origin::File { path: "segue.toml".into(), line: Some(7) };
        let unknown = Problem::UnknownKey { did_you_mean: Some("lanes.count".into()) };
        let faults = ConfigFaults(vec![
            fault(file, unknown),
            fault(Origin::Environment("SEGUE__X".into()), Problem::OutOfRange("0..1".into())),
        ]);
        let expected = "2 faults in the configuration\n  \
                        segue.toml:7: lanes.cuont = 3: unknown key; did you mean `lanes.count`?\n  \
                        environment variable SEGUE__X: lanes.cuont = 3: must lie in 0..1";
        assert_eq!(faults.to_string(), expected);
    }

    #[test]
    fn long_values_are_cut_between_characters() {
        assert_eq!(shortened(&"ä".repeat(61)), format!("{}...", "ä".repeat(60)));
        assert_eq!(shortened("a\nb"), "a b");
    }
}
