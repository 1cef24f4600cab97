//! What came out of a stream, what goes into one, and what a kill or damage leaves of both.

use std::fs;

use proptest::prelude::*;

use super::tests::{batch, config, file_ending, killed, metrics, open};
use super::*;
use crate::domain::EventType;
use crate::features::testing::event;

fn position(partition: u32, next: u64) -> Position {
    Position { stream: "t".into(), partition, next }
}

/// All of the node's own entries, looked at so many at once.
fn all_unsent(log: &EmbeddedLog, from: u64, most: usize) -> Vec<(u64, Entry)> {
    let (mut from, mut all) = (from, Vec::new());
    while from < log.end() {
        let unsent = log.unsent(from, most).unwrap();
        assert!(unsent.next > from && unsent.entries.len() <= most);
        from = unsent.next;
        all.extend(unsent.entries);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However a node's own and others' entries follow each other, its own are what is to be sent, and the last position of
    /// each partition is known, also after a kill.
    #[test]
    fn own_entries_go_out_and_positions_stay(
        steps in prop::collection::vec((0u32..4, 0usize..4, any::<bool>()), 1..20),
        most in 1usize..9,
        skip in 0u64..9,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let log = open(dir.path(), &metrics());
        let (mut own, mut known, mut ids) = (Vec::new(), std::collections::BTreeMap::new(), 0);
        for (number, (partition, count, erases)) in (1u64..).zip(steps) {
            let from = (partition > 0).then(|| position(partition, 10 * number));
            known.extend(from.clone().map(|from| (partition, from)));
            let (first, entries) = if erases {
                let user = UserId::new("nobody").unwrap();
                (log.erase(&user, from.as_ref()).unwrap().start, vec![Entry::Erase(user)])
            } else {
                let events = batch("u", ids..ids + count);
                ids += count;
                let first = log.take_in(&events, from.as_ref()).unwrap().start;
                (first, events.into_iter().map(Entry::Event).collect())
            };
            if from.is_none() {
                own.extend((first..).zip(entries));
            }
        }
        let expected: Vec<_> = own.iter().filter(|(at, _)| *at >= skip).cloned().collect();
        prop_assert_eq!(all_unsent(&log, skip, most), expected);
        let copy = killed(dir.path());
        let again = open(copy.path(), &metrics());
        for log in [&log, &again] {
            let mut positions = log.positions().unwrap();
            positions.sort_by_key(|position| position.partition);
            prop_assert_eq!(positions, known.values().cloned().collect::<Vec<_>>());
        }
        prop_assert_eq!(all_unsent(&again, 0, 1_000), own);
    }
}

#[test]
fn positions_outlive_the_files_of_their_entries_and_what_was_not_sent_stays() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.fluvio.endpoint = Some("nowhere".into());
    let log = EmbeddedLog::start(Opened::new(&config, &metrics()).unwrap()).unwrap();
    log.cover(u64::MAX);
    log.take_in(&batch("v", 0..3), Some(&position(0, 7))).unwrap();
    let long = "x".repeat(120);
    let one = |at: i64| event(&format!("{at:0120}"), &long, &long, EventType::Skip, Some(&long), at);
    let filler: Vec<Event> = (0..5_000).map(one).collect();
    let fill = |rounds: usize| (0..rounds).for_each(|_| _ = log.append(&filler).unwrap());
    fill(8);
    let first = || files::segments(dir.path()).unwrap()[0].first;
    assert_eq!(first(), 0, "nothing has been sent");
    let unsent = all_unsent(&log, 0, 7_000);
    assert_eq!((unsent.len(), unsent[0].0), (40_000, 3));
    log.release(log.end());
    fill(2);
    assert!(first() > 3, "the first file is gone");
    assert_eq!(log.positions().unwrap(), [position(0, 7)]);
    log.release(0);
    assert!(log.unsent(0, 10).unwrap().entries[0].0 >= first(), "what is gone is passed over");
}

#[test]
fn of_what_damage_cost_the_stream_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let log = open(dir.path(), &metrics());
    log.take_in(&batch("v", 0..3), Some(&position(0, 7))).unwrap();
    log.take_in(&batch("w", 0..400), Some(&position(0, 9))).unwrap();
    drop(log);
    // The second batch's last entry is not as it was written.
    let file = file_ending(dir.path(), ".db");
    let mut bytes = fs::read(&file).unwrap();
    let at = bytes.windows(5).rposition(|part| part == b"w-399").unwrap();
    bytes[at] = b'x';
    fs::write(&file, bytes).unwrap();
    let metrics = metrics();
    let mut opened = Opened::new(&config(dir.path()), &metrics).unwrap();
    opened.replay(0, &mut |_, _| Ok(())).unwrap();
    let log = EmbeddedLog::start(opened).unwrap();
    assert_eq!((metrics.log_lost.get(), log.positions().unwrap()), (1, vec![position(0, 7)]));
}
