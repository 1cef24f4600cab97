//! Reads the layers above the defaults - file, environment, flags - into one list of settings.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};
use toml::{Table, Value};

use super::faults::{Fault, Origin, Problem};
use super::schema::{Known, Schema, join};

/// What an environment variable that sets a key begins with; `__` separates the parts of the path.
pub(super) const ENV_PREFIX: &str = "SEGUE__";

/// Syntax faults reported of one file; the rest follows from these.
const MAX_SYNTAX_FAULTS: usize = 20;

/// One key that a layer sets.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    /// Dotted path, known to the schema.
    pub key: String,
    /// Its default, for the type.
    pub sample: Value,
    /// The value.
    pub value: Value,
    /// Where it was given.
    pub origin: Origin,
}

impl Setting {
    /// The fault `problem` of this setting.
    pub(super) fn fault(&self, problem: Problem) -> Fault {
        Fault { key: self.key.clone(), value: Some(self.value.to_string()), origin: self.origin.clone(), problem }
    }
}

/// Settings and faults, in the order in which they were read: a later setting of a key wins.
#[derive(Debug)]
pub(super) struct Layers<'a> {
    schema: &'a Schema,
    pub(super) settings: Vec<Setting>,
    pub(super) faults: Vec<Fault>,
}

impl<'a> Layers<'a> {
    /// Nothing read yet.
    pub(super) fn new(schema: &'a Schema) -> Self {
        Self { schema, settings: Vec::new(), faults: Vec::new() }
    }

    /// Reads a TOML file. A file with syntax faults yields those (the first 20) and no settings.
    pub(super) fn file(&mut self, path: &Path) {
        let origin = |line| Origin::File { path: path.to_owned(), line };
        let whole = |line, problem| Fault { key: String::new(), value: None, origin: origin(line), problem };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) => return self.faults.push(whole(None, Problem::Unreadable(e.to_string()))),
        };
        let (tree, errors) = DeTable::parse_recoverable(&text);
        let mut syntax: Vec<Fault> = errors
            .iter()
            .take(MAX_SYNTAX_FAULTS)
            .map(|e| whole(e.span().map(|s| line_of(&text, s.start)), Problem::Syntax(e.message().to_owned())))
            .collect();
        let table = if syntax.is_empty() { toml::from_str::<Table>(&text) } else { Ok(Table::new()) };
        match table {
            Ok(table) => {
                let mut lines = BTreeMap::new();
                collect_lines("", tree.get_ref(), &text, &mut lines);
                self.table("", &table, &|key| origin(lines.get(key).copied()));
            }
            Err(e) => syntax.push(whole(None, Problem::Syntax(e.message().to_owned()))),
        }
        self.faults.append(&mut syntax);
    }

    /// Reads the variables that begin with `SEGUE__`, in order of name.
    pub(super) fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        let ours: BTreeMap<String, String> = variables.filter(|(name, _)| name.starts_with(ENV_PREFIX)).collect();
        for (name, text) in ours {
            let path = name.strip_prefix(ENV_PREFIX).unwrap_or_default().to_ascii_lowercase();
            let key = path.split("__").fold(String::new(), |prefix, part| join(&prefix, part));
            self.text(&key, &text, &Origin::Environment(name));
        }
    }

    /// Reads `(dotted path, value)` pairs given by flags.
    pub(super) fn overrides(&mut self, pairs: &[(String, String)]) {
        for (key, text) in pairs {
            self.text(key, text, &Origin::CommandLine);
        }
    }

    /// Sets `key` to what `text` says: TOML if it is TOML, else, and for keys that are text, the text itself.
    fn text(&mut self, key: &str, text: &str, origin: &Origin) {
        let parsed = text.trim().parse::<Value>().ok();
        let is_text = matches!(self.schema.get(key), Some(Known::Key { sample: Value::String(_) }));
        let value = match parsed {
            Some(Value::String(quoted)) => Value::String(quoted),
            Some(value) if !is_text => value,
            Some(_) | None => Value::String(text.to_owned()),
        };
        self.entry(key, &value, &|_| origin.clone());
    }

    fn table(&mut self, prefix: &str, table: &Table, origin: &dyn Fn(&str) -> Origin) {
        for (name, value) in table {
            self.entry(&join(prefix, name), value, origin);
        }
    }

    fn entry(&mut self, key: &str, value: &Value, origin: &dyn Fn(&str) -> Origin) {
        let problem = match (self.schema.get(key), value) {
            (Some(Known::Section), Value::Table(inner)) => return self.table(key, inner, origin),
            (Some(Known::Key { sample }), _) => {
                let (key, sample, value) = (key.to_owned(), sample.clone(), value.clone());
                return self.settings.push(Setting { origin: origin(&key), key, sample, value });
            }
            (Some(Known::Section), _) => Problem::IsSection,
            (None, _) => Problem::UnknownKey { did_you_mean: self.schema.closest(key) },
        };
        let shown = (!value.is_table()).then(|| value.to_string());
        self.faults.push(Fault { key: key.to_owned(), value: shown, origin: origin(key), problem });
    }
}

fn collect_lines(prefix: &str, table: &DeTable<'_>, text: &str, lines: &mut BTreeMap<String, usize>) {
    for (name, value) in table {
        let path = join(prefix, name.get_ref());
        if let DeValue::Table(inner) = value.get_ref() {
            collect_lines(&path, inner, text, lines);
        }
        lines.insert(path, line_of(text, name.span().start));
    }
}

/// The line, from 1, of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|&b| b == b'\n').count()
}
