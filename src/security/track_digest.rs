//! Which tracks an answer holds, in few bytes: a Bloom filter (Bloom, "Space/Time Trade-offs in Hash Coding with Allowable
//! Errors", 1970) over hashes that are each answer's own.

use sha2::{Digest, Sha256};

/// Bits a track: at 24 one in 100,000 other tracks is taken for one of the answer's.
const BITS_A_TRACK: usize = 24;
/// Most bytes: what an id has room for. From 21 tracks on fewer bits are left for each: with 50 one in 110 others is taken
/// for one of them, with 100 one in 10.
pub(super) const MAX_BYTES: usize = 61;
/// Most bits that are set for a track: words of its hash.
const MAX_ROUNDS: usize = 16;

/// The filter of an answer's tracks; `salt` names the answer.
pub(super) fn of<'a>(salt: &str, tracks: impl ExactSizeIterator<Item = &'a str>) -> Vec<u8> {
    let count = tracks.len();
    let mut bytes = vec![0; (count * BITS_A_TRACK).div_ceil(8).min(MAX_BYTES)];
    let bits = bytes.len() * 8;
    let rounds = rounds(bits, count);
    for track in tracks {
        for at in places(salt, track, bits, rounds) {
            bytes[at / 8] |= 1 << (at % 8);
        }
    }
    bytes
}

/// Whether the filter of `count` tracks may hold this one; never `false` for one that it holds.
pub(super) fn holds(bytes: &[u8], count: usize, salt: &str, track: &str) -> bool {
    let bits = bytes.len() * 8;
    bits > 0 && places(salt, track, bits, rounds(bits, count)).all(|at| bytes[at / 8] & 1 << (at % 8) != 0)
}

/// The number of bits a track that errs least: `bits / tracks * ln 2`.
fn rounds(bits: usize, count: usize) -> usize {
    ((bits as f64 / count.max(1) as f64 * std::f64::consts::LN_2).round() as usize).clamp(1, MAX_ROUNDS)
}

/// Where a track's bits are: a word of 16 bits of its hash each.
fn places(salt: &str, track: &str, bits: usize, rounds: usize) -> impl Iterator<Item = usize> {
    let digest = Sha256::new().chain_update(salt).chain_update([0]).chain_update(track).finalize();
    (0..rounds).map(move |round| usize::from(u16::from_le_bytes([digest[2 * round], digest[2 * round + 1]])) % bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_in_is_found(count in prop_oneof![0usize..101, 200usize..400], salt in "[a-z]{1,9}") {
            let tracks: Vec<String> = (0..count).map(|at| format!("t{at}")).collect();
            let bytes = of(&salt, tracks.iter().map(String::as_str));
            prop_assert!(bytes.len() <= MAX_BYTES);
            prop_assert!(tracks.iter().all(|track| holds(&bytes, count.min(255), &salt, track)));
        }
    }

    #[test]
    fn what_is_not_in_is_rarely_found() {
        // Tracks of a list, most errors in 20,000 others over 20 answers.
        for (count, most) in [(1, 3), (20, 5), (50, 280), (100, 2_400)] {
            let errors: usize = (0..20)
                .map(|answer| {
                    let (salt, tracks) =
                        (format!("r{answer}"), (0..count).map(|at| format!("t{at}")).collect::<Vec<_>>());
                    let bytes = of(&salt, tracks.iter().map(String::as_str));
                    (0..1_000).filter(|at| holds(&bytes, count, &salt, &format!("other{at}"))).count()
                })
                .sum();
            assert!(errors <= most, "{errors} of 20,000 for lists of {count}");
        }
        assert!(!holds(&[], 0, "r", "t"));
    }
}
