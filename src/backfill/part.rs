//! A part of the listeners, for a backfill on several machines.

use std::str::FromStr;

use super::stable_hash;
use crate::domain::UserId;

/// One of so many parts of the listeners, by a stable hash of their ids: the parts of one history are disjoint, together
/// they are all of it, and no machine needs to know of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UserPart {
    number: u32,
    of: u32,
}

impl UserPart {
    /// Everyone.
    pub const ALL: Self = Self { number: 1, of: 1 };

    /// Whether a listener belongs to it.
    pub fn has(self, user: &UserId) -> bool {
        stable_hash(0, user.as_str()) % u64::from(self.of) == u64::from(self.number - 1)
    }

    /// Whether it is the one that writes what all of them have in common.
    pub(super) fn is_first(self) -> bool {
        self.number == 1
    }

    /// Numbers its groups apart from those of the other parts.
    pub(super) fn group(self, own: u64) -> i64 {
        (own * u64::from(self.of) + u64::from(self.number - 1)).cast_signed()
    }

    /// The table of this part: `<name>`, or a file in a directory of that name, which pyarrow and DuckDB read as one.
    pub(super) fn table(self, name: &std::path::Path) -> std::path::PathBuf {
        if self == Self::ALL { name.to_owned() } else { name.join(format!("{}-of-{}.parquet", self.number, self.of)) }
    }
}

impl FromStr for UserPart {
    type Err = String;

    /// `I/N`, with I from 1 to N.
    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('/').and_then(|(number, of)| Some((number.parse().ok()?, of.parse().ok()?)));
        match parts {
            Some((number, of)) if (1..=of).contains(&number) => Ok(Self { number, of }),
            _ => Err("expected I/N with I from 1 to N, e.g. 2/8".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_listener_is_in_one_part() {
        let parts: Vec<UserPart> = (1..=5).map(|number| format!("{number}/5").parse().unwrap()).collect();
        let mut sizes = [0; 5];
        for user in (0..1_000).map(|number| UserId::new(format!("u{number}")).unwrap()) {
            let theirs: Vec<usize> = (0..5).filter(|at| parts[*at].has(&user)).collect();
            assert_eq!(theirs.len(), 1);
            sizes[theirs[0]] += 1;
            assert!(UserPart::ALL.has(&user));
        }
        assert!(sizes.iter().all(|size| (140..260).contains(size)), "{sizes:?}");
        for wrong in ["", "1", "0/2", "3/2", "1/0", "a/b", "1/-1"] {
            assert!(wrong.parse::<UserPart>().is_err(), "{wrong}");
        }
    }
}
