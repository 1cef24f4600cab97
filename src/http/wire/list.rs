//! Lists whose length is bounded while they are read.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

/// Longest list read from any body, whatever the configuration permits: nothing is allocated beyond it.
pub const HARD_LIST_LEN: usize = 10_000;

/// A list of at most [`HARD_LIST_LEN`] entries; reading stops with an error at the next one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List<T>(pub Vec<T>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Bounded(PhantomData)).map(Self)
    }
}

struct Bounded<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a list of at most {HARD_LIST_LEN} entries")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Vec<T>, A::Error> {
        let mut list = Vec::new();
        while let Some(entry) = entries.next_element()? {
            if list.len() == HARD_LIST_LEN {
                return Err(A::Error::custom(format_args!("has more than {HARD_LIST_LEN} entries")));
            }
            list.push(entry);
        }
        Ok(list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stops_at_the_bound() {
        let body = |n: usize| format!("[{}]", vec!["1"; n].join(","));
        assert_eq!(serde_json::from_str::<List<u8>>(&body(HARD_LIST_LEN)).unwrap().0.len(), HARD_LIST_LEN);
        let error = serde_json::from_str::<List<u8>>(&body(HARD_LIST_LEN + 1)).unwrap_err();
        assert!(error.to_string().starts_with("has more than 10000 entries"));
        assert!(serde_json::from_str::<List<u8>>("null").is_err());
    }
}
