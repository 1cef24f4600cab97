//! Cutting one listener's plays into sessions.

/// Finds where sessions begin, play by play in order of time.
#[derive(Debug)]
pub(super) struct Cutter {
    gap_ms: i64,
    quiet_from_ms: Option<i64>,
}

impl Cutter {
    /// Cuts after more than so long without a play.
    pub(super) fn new(gap_ms: i64) -> Self {
        Self { gap_ms, quiet_from_ms: None }
    }

    /// Whether a session begins with this play, which sounds for so long. One sounds at a time: whatever its length, a
    /// play has ended when the next begins.
    pub(super) fn begins(&mut self, start_ms: i64, length_ms: i64) -> bool {
        let begins = self.quiet_from_ms.is_none_or(|quiet| start_ms - quiet > self.gap_ms);
        self.quiet_from_ms = Some(start_ms + length_ms.max(0));
        begins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sessions by definition: the longest runs of plays between which silence nowhere passes the gap.
    fn naive(plays: &[(i64, i64)], gap: i64) -> Vec<Vec<(i64, i64)>> {
        let holds = |run: &[(i64, i64)]| run.windows(2).all(|pair| pair[1].0 <= pair[0].0 + pair[0].1 + gap);
        let (mut runs, mut rest) = (Vec::new(), plays);
        while !rest.is_empty() {
            let longest = (1..=rest.len()).rev().find(|n| holds(&rest[..*n])).unwrap();
            let (run, after) = rest.split_at(longest);
            runs.push(run.to_vec());
            rest = after;
        }
        runs
    }

    #[test]
    fn the_gap_itself_does_not_cut() {
        let mut cutter = Cutter::new(100);
        let begins: Vec<bool> =
            [(0, 10), (110, 0), (210, 500), (300, 1), (401, 0), (502, 0)].map(|(s, l)| cutter.begins(s, l)).into();
        assert_eq!(begins, [true, false, false, false, false, true]);
    }

    proptest! {
        #[test]
        fn equals_the_naive_cut(mut plays in prop::collection::vec((0i64..5_000, 0i64..400), 0..60), gap in 0i64..300) {
            plays.sort_unstable();
            let mut cutter = Cutter::new(gap);
            let mut cut: Vec<Vec<(i64, i64)>> = Vec::new();
            for play in &plays {
                if cutter.begins(play.0, play.1) {
                    cut.push(Vec::new());
                }
                cut.last_mut().unwrap().push(*play);
            }
            prop_assert_eq!(cut, naive(&plays, gap));
        }
    }
}
