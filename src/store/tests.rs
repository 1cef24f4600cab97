use std::collections::BTreeMap;
use std::io::{Read, Write};

use proptest::prelude::*;

use super::testing::{Watched, stores};
use super::*;

/// What is done to a store: to one of some keys, with so many bytes.
#[derive(Debug, Clone)]
enum Done {
    Put(usize, Vec<u8>),
    Begin(usize),
    Delete(usize),
}

const KEYS: [&str; 6] =
    ["a.parquet", "t/a.parquet", "t/date=2025-01-02/hour=03/b.parquet", "t/u/c", "tt/d.parquet", "u/0"];

fn done() -> impl Strategy<Value = Done> {
    let key = || 0..KEYS.len();
    prop_oneof![
        4 => (key(), prop::collection::vec(any::<u8>(), 0..40)).prop_map(|(key, bytes)| Done::Put(key, bytes)),
        1 => key().prop_map(Done::Begin),
        2 => key().prop_map(Done::Delete),
    ]
}

fn put(store: &Arc<dyn Store>, key: &str, bytes: &[u8]) -> Result<u64, StoreError> {
    let mut draft = Draft::begin(store, key)?;
    draft.write_all(bytes).unwrap();
    draft.publish()
}

fn read(object: &Stored) -> Vec<u8> {
    let mut bytes = Vec::new();
    object.open().unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn every_store_is_a_map_from_keys_to_bytes(all in prop::collection::vec(done(), 0..24), most in 0u64..50) {
        for (store, _dir) in stores() {
            let mut twin: BTreeMap<&str, Vec<u8>> = BTreeMap::new();
            for done in &all {
                match done {
                    Done::Put(key, bytes) => {
                        prop_assert_eq!(put(&store, KEYS[*key], bytes).unwrap(), bytes.len() as u64);
                        twin.insert(KEYS[*key], bytes.clone());
                    }
                    Done::Begin(key) => {
                        let mut draft = Draft::begin(&store, KEYS[*key]).unwrap();
                        draft.write_all(b"of no account").unwrap();
                        let listed = store.list("").unwrap().len();
                        prop_assert_eq!(listed, twin.len(), "a draft is no object");
                    }
                    Done::Delete(key) => {
                        store.delete(KEYS[*key]).unwrap();
                        twin.remove(KEYS[*key]);
                    }
                }
            }
            for folder in ["", "t", "t/date=2025-01-02", "nowhere"] {
                let is_below = |key: &str| folder.is_empty() || key.starts_with(&format!("{folder}/"));
                let expected: Vec<_> = twin.iter().filter(|(key, _)| is_below(key)).collect();
                let listed = Stored::list(&store, folder).unwrap();
                let found: Vec<_> = listed.iter().map(|object| (&*object.key, read(object))).collect();
                prop_assert_eq!(found, expected.iter().map(|(k, v)| (**k, (*v).clone())).collect::<Vec<_>>());
            }
            for key in KEYS {
                let found = Stored::find(&store, key).unwrap();
                prop_assert_eq!(found.is_some(), twin.contains_key(key));
                if let Some(bytes) = twin.get(key).filter(|bytes| !bytes.is_empty() && most > 0) {
                    let from = bytes.len().saturating_sub(most as usize);
                    prop_assert_eq!(&store.tail(key, most).unwrap(), &bytes[from..]);
                }
                prop_assert_eq!(store.open(key).is_ok(), twin.contains_key(key));
            }
        }
    }
}

#[test]
fn large_objects_go_in_parts_and_come_back_whole() {
    let bytes: Vec<u8> = (0..(20 << 20) + 7u32).map(|at| (at / 1_000) as u8).collect();
    for (store, _dir) in stores() {
        put(&store, "large/a", &bytes).unwrap();
        assert!(read(&Stored::at(&store, "large/a".into())) == bytes, "{}", store.name("large/a"));
        assert_eq!(store.list("large").unwrap().len(), 1);
    }
}

#[test]
fn a_store_that_fails_leaves_what_was_there() {
    for (store, _dir) in stores() {
        put(&store, "a", b"first").unwrap();
        let away = Watched::failing_after(&store, 1);
        let error = put(&away, "a", b"second").unwrap_err();
        assert!(error.to_string().contains("is away"), "{error}");
        assert_eq!(read(&Stored::at(&store, "a".into())), b"first");
        assert_eq!(store.list("").unwrap().len(), 1);
    }
}

#[test]
fn drafts_of_a_killed_writer_are_cleared_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).unwrap();
    put(&store, "t/u/a", b"1").unwrap();
    std::mem::forget(Draft::begin(&store, "t/u/b").unwrap());
    std::mem::forget(Draft::begin(&store, "v/b").unwrap());
    assert_eq!(store.list("").unwrap().len(), 1);
    store.clear_drafts("t").unwrap();
    assert!(!dir.path().join("t/u/b.partial").exists() && dir.path().join("v/b.partial").exists());
    assert_eq!(read(&Stored::at(&store, "t/u/a".into())), b"1");
}

#[test]
fn places_are_directories_or_buckets() {
    assert_eq!(open(Path::new("some/dir")).unwrap().name("a/b"), "some/dir/a/b");
    let bucket = open(Path::new("s3://bucket/some/prefix/"));
    #[cfg(feature = "s3")]
    {
        assert_eq!(bucket.unwrap().name("a"), "s3://bucket/some/prefix/a");
        assert!(open(Path::new("s3://")).unwrap_err().to_string().contains("names no bucket"));
    }
    #[cfg(not(feature = "s3"))]
    assert!(bucket.unwrap_err().to_string().contains("--features s3"));
}
