//! One value of a source, whatever its type there: text of a CSV, a scalar of Parquet or JSON.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Longest value quoted in a message, in characters.
const SHOWN: usize = 40;

/// Largest integer up to which a float counts every one.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value of unknown type.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) enum Cell {
    /// Nothing; also a NaN, which is how some tools write it.
    #[default]
    Null,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A finite or infinite float.
    Float(f64),
    /// Text.
    Text(String),
    /// A list or a record: never what a mapping means.
    Nested,
}

/// What an accessor gives: nothing where the cell is empty, else the value, else what was found instead.
pub(super) type Read<T> = Result<Option<T>, String>;

impl Cell {
    /// As text, without blanks around it; whole numbers without a fraction. Empty text is nothing.
    pub(super) fn text(&self) -> Read<String> {
        match self {
            Self::Null => Ok(None),
            Self::Text(text) => Ok(Some(text.trim()).filter(|text| !text.is_empty()).map(str::to_owned)),
            Self::Int(n) => Ok(Some(n.to_string())),
            Self::Float(n) if n.fract() == 0.0 && n.abs() < EXACT => Ok(Some(format!("{n:.0}"))),
            Self::Float(n) => Ok(Some(n.to_string())),
            Self::Bool(_) | Self::Nested => Err(self.instead_of("text")),
        }
    }

    /// As a number, or as text that spells one.
    pub(super) fn number(&self) -> Read<f64> {
        match self {
            Self::Null => Ok(None),
            Self::Int(n) => Ok(Some(*n as f64)),
            Self::Float(n) => Ok(Some(*n)),
            Self::Text(text) if text.trim().is_empty() => Ok(None),
            Self::Text(text) => match text.trim().parse::<f64>() {
                Ok(n) if n.is_nan() => Ok(None),
                Ok(n) => Ok(Some(n)),
                Err(_) => Err(self.instead_of("a number")),
            },
            Self::Bool(_) | Self::Nested => Err(self.instead_of("a number")),
        }
    }

    /// As yes or no: a boolean, 0 or 1, or a word for either.
    pub(super) fn flag(&self) -> Read<bool> {
        let word = match self {
            Self::Bool(flag) => return Ok(Some(*flag)),
            Self::Null | Self::Int(_) | Self::Float(_) | Self::Text(_) | Self::Nested => self.text()?,
        };
        match word.as_deref().map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("1" | "true" | "t" | "yes" | "y") => Ok(Some(true)),
            Some("0" | "false" | "f" | "no" | "n") => Ok(Some(false)),
            Some(_) => Err(self.instead_of("yes or no")),
        }
    }

    /// Says what was found where something else was wanted.
    pub(super) fn instead_of(&self, wanted: &str) -> String {
        let found = match self {
            Self::Null => "nothing".to_owned(),
            Self::Bool(flag) => flag.to_string(),
            Self::Int(n) => n.to_string(),
            Self::Float(n) => n.to_string(),
            Self::Text(text) => format!("{:?}", text.chars().take(SHOWN).collect::<String>()),
            Self::Nested => "a list or record".to_owned(),
        };
        format!("expected {wanted}, found {found}")
    }
}

impl From<&serde_json::Value> for Cell {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(n) => match (n.as_i64(), n.as_f64()) {
                (Some(n), _) => Self::Int(n),
                (None, Some(n)) => Self::Float(n),
                (None, None) => Self::Text(n.to_string()),
            },
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(_) | Value::Object(_) => Self::Nested,
        }
    }
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyCell)
    }
}

struct AnyCell;

impl<'de> Visitor<'de> for AnyCell {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Cell, E> {
        Ok(Cell::Bool(flag))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Cell, E> {
        Ok(Cell::Int(n))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Cell, E> {
        Ok(i64::try_from(n).map_or_else(|_| Cell::Text(n.to_string()), Cell::Int))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Cell, E> {
        Ok(if n.is_nan() { Cell::Null } else { Cell::Float(n) })
    }

    fn visit_str<E>(self, text: &str) -> Result<Cell, E> {
        Ok(Cell::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Cell, E> {
        Ok(Cell::Text(text))
    }

    fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Cell, E> {
        Ok(std::str::from_utf8(bytes).map_or(Cell::Nested, |text| Cell::Text(text.to_owned())))
    }

    fn visit_none<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<Cell, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Cell, D::Error> {
        inner.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Cell, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut record: A) -> Result<Cell, A::Error> {
        while record.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Nested)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(json: &str) -> Cell {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn any_scalar_is_read_and_nested_values_are_named() {
        assert_eq!(cell("null"), Cell::Null);
        assert_eq!(cell("-3"), Cell::Int(-3));
        assert_eq!(cell("18446744073709551615"), Cell::Text("18446744073709551615".into()));
        assert_eq!(cell("[1,[2]]"), Cell::Nested);
        assert_eq!(cell("{\"a\":{\"b\":1}}"), Cell::Nested);
        assert_eq!(cell("[1]").text(), Err("expected text, found a list or record".into()));
    }

    #[test]
    fn accessors_read_what_tools_write() {
        assert_eq!(cell("12.0").text(), Ok(Some("12".into())));
        assert_eq!(cell("\"  \"").text(), Ok(None));
        assert_eq!(cell("\" 1.5 \"").number(), Ok(Some(1.5)));
        assert_eq!(cell("\"nan\"").number(), Ok(None));
        assert!(cell("\"abc\"").number().unwrap_err().contains("\"abc\""));
        assert_eq!(cell("\"TRUE\"").flag(), Ok(Some(true)));
        assert_eq!(cell("0").flag(), Ok(Some(false)));
        assert!(cell("2").flag().is_err());
    }
}
