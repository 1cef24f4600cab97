//! Lists that never outgrow their bound.

/// Makes room for one more entry, and for a few to come: lists stay for long, so what they reserve counts.
pub(super) fn make_room<T>(list: &mut Vec<T>) {
    if list.len() == list.capacity() {
        list.reserve_exact(1 + list.len() / 8);
    }
}

/// Appends, having dropped the oldest (first) entries beyond `max`, which is not 0. `O(max)`.
pub(super) fn push_newest<T>(list: &mut Vec<T>, entry: T, max: usize) {
    let surplus = (list.len() + 1).saturating_sub(max);
    list.drain(..surplus);
    make_room(list);
    list.push(entry);
}

/// Puts an entry last in a list of distinct ones and drops the oldest (first) beyond `max`. `O(max)`.
pub(super) fn push_distinct<T: PartialEq>(list: &mut Vec<T>, entry: T, max: usize) {
    if let Some(at) = list.iter().position(|held| *held == entry) {
        list.remove(at);
    }
    push_newest(list, entry, max);
}

/// Puts a key into a sorted list of distinct keys. When the list is full the lowest other key goes: what was just said
/// must hold at once, and the age of the others is not stored. Says whether the key is new. `O(n)`.
pub(super) fn insert_sorted<K: Ord + Copy>(list: &mut Vec<K>, key: K, max: usize) -> bool {
    let Err(at) = list.binary_search(&key) else { return false };
    make_room(list);
    list.insert(at, key);
    if list.len() > max {
        list.remove(usize::from(at == 0 && max > 0));
    }
    true
}

/// Takes a key out of a sorted list.
pub(super) fn remove_sorted<K: Ord + Copy>(list: &mut Vec<K>, key: K) {
    if let Ok(at) = list.binary_search(&key) {
        list.remove(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn newest_stay(values in prop::collection::vec(any::<u8>(), 0..40), max in 1usize..9) {
            let mut list = Vec::new();
            values.iter().for_each(|v| push_newest(&mut list, *v, max));
            prop_assert_eq!(&list[..], &values[values.len().saturating_sub(max)..]);
        }

        #[test]
        fn distinct_entries_stay_by_their_last_place(values in prop::collection::vec(0u8..12, 0..40), max in 1usize..9) {
            let mut list = Vec::new();
            values.iter().for_each(|v| push_distinct(&mut list, *v, max));
            let mut plain: Vec<u8> = Vec::new();
            for value in values.iter().rev() {
                if !plain.contains(value) && plain.len() < max {
                    plain.insert(0, *value);
                }
            }
            prop_assert_eq!(list, plain);
        }

        #[test]
        fn sorted_lists_hold_the_last_word(keys in prop::collection::vec(any::<u8>(), 0..40), max in 1usize..9) {
            let mut list = Vec::new();
            for key in keys {
                let held = list.contains(&key);
                prop_assert_eq!(insert_sorted(&mut list, key, max), !held);
                prop_assert!(list.len() <= max && list.binary_search(&key).is_ok());
                prop_assert!(list.windows(2).all(|pair| pair[0] < pair[1]));
            }
        }
    }

    #[test]
    fn removes() {
        let mut list = vec![1, 3];
        remove_sorted(&mut list, 3);
        remove_sorted(&mut list, 2);
        assert_eq!(list, [1]);
    }
}
