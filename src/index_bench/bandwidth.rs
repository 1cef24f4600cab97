//! How fast codes are scanned, beside how fast memory can be read at all.

use std::time::Instant;

use crate::domain::UnitVector;
use crate::index::IndexHandle;

/// Memory that is read to learn how fast that is: more than caches hold.
const READ_BYTES: usize = 256 << 20;
/// Times; the fastest counts.
const ROUNDS: usize = 5;

/// Speeds of one thread, GB/s.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bandwidth {
    /// At which the short codes of an index are scanned, in their order.
    pub scan: f64,
    /// At which memory is read from one end to the other.
    pub memory: f64,
}

/// Measures both; nothing for an engine without codes. Takes 256 MiB and about a second.
pub fn bandwidth(index: &IndexHandle, query: &UnitVector) -> Option<Bandwidth> {
    let scan = fastest(|| index.scan_codes(query));
    if scan == 0.0 {
        return None;
    }
    let words = vec![1u64; READ_BYTES / 8];
    let memory = fastest(|| {
        std::hint::black_box(words.iter().fold(0u64, |sum, word| sum.wrapping_add(*word)));
        READ_BYTES
    });
    Some(Bandwidth { scan, memory })
}

/// GB/s of the fastest round of something that returns how many bytes it went through.
fn fastest(mut round: impl FnMut() -> usize) -> f64 {
    let one = |_| {
        let start = Instant::now();
        let bytes = round();
        bytes as f64 / start.elapsed().as_secs_f64() / 1e9
    };
    (0..ROUNDS).map(one).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Set, SetKind};
    use super::*;
    use crate::config::{Engine, IndexConfig};
    use crate::index::build;

    #[test]
    fn codes_have_a_speed_and_an_exact_scan_has_none() {
        let set = Set::new(SetKind::Clustered, 2_000, 16, 1).unwrap();
        let vectors = Arc::new(set.vectors);
        let index = |engine| build(engine, &IndexConfig::default(), Arc::clone(&vectors), &mut |_| {}).unwrap();
        assert_eq!(index(Engine::Exact).scan_codes(&set.queries[0]), 0);
        // 4 bytes a row, in blocks of 32.
        let scanned = index(Engine::Lists).scan_codes(&set.queries[0]);
        assert!((8_000..10_000).contains(&scanned) && scanned % 128 == 0, "{scanned}");
        assert_eq!(bandwidth(&index(Engine::Exact), &set.queries[0]), None);
    }
}
