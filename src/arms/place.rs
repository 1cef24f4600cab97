//! Where a listener stands between 0 and 1, by a salted hash.

use sha2::{Digest, Sha256};

/// SHA-256 with a salt already in it.
#[derive(Debug, Clone)]
pub struct Salted(Sha256);

impl Salted {
    /// Takes the salt; its length goes in first, so that no salt and id run into another salt and id.
    pub fn new(salt: &str) -> Self {
        let mut hash = Sha256::new();
        hash.update((salt.len() as u64).to_le_bytes());
        hash.update(salt.as_bytes());
        Self(hash)
    }

    /// Where an id stands: even over all of u64, the same on every node and in every release.
    pub fn place(&self, id: &str) -> u64 {
        let digest = self.0.clone().chain_update(id.as_bytes()).finalize();
        digest.iter().take(8).fold(0, |place, byte| place << 8 | u64::from(*byte))
    }
}

/// A part of the places: `[from, until)` of 0..1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Share {
    from: u64,
    until: Option<u64>,
}

impl Share {
    /// The part; beyond 1 counts as 1.
    pub fn new(from: f64, until: f64) -> Self {
        // Scaling by a power of two is exact; the cast saturates.
        let at = |share: f64| (share * 2f64.powi(64)) as u64;
        Self { from: at(from), until: (until < 1.0 - 1e-9).then(|| at(until)) }
    }

    /// Whether a place is in it.
    pub fn holds(self, place: u64) -> bool {
        place >= self.from && self.until.is_none_or(|until| place < until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_place_is_the_begin_of_a_known_digest() {
        // echo -ne '\x02\0\0\0\0\0\0\0s1u7' | sha256sum
        let bytes = [&2u64.to_le_bytes()[..], b"s1u7"].concat();
        let digest = hex::encode(Sha256::digest(bytes));
        assert_eq!(format!("{:016x}", Salted::new("s1").place("u7")), digest[..16]);
        assert_ne!(Salted::new("s1").place("u7"), Salted::new("s").place("1u7"), "salt and id do not run together");
    }

    proptest! {
        /// Parts beside each other hold every place once.
        #[test]
        fn parts_hold_each_place_once(cut in 0.0f64..1.0, place in any::<u64>()) {
            let holding = [Share::new(0.0, cut), Share::new(cut, 1.0)].iter().filter(|part| part.holds(place)).count();
            prop_assert_eq!(holding, 1);
        }
    }
}
