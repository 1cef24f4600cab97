//! Rows on disk against a map.

use std::collections::BTreeMap;
use std::fs;

use proptest::prelude::*;

use super::*;

fn row<'a>(id: &'a str, owner: &'a str, body: &'a [u8]) -> Row<'a> {
    Row { id, owner, hour: 7, body }
}

fn read(vault: &Vault, shelf: Shelf, id: &str) -> Option<(String, Vec<u8>)> {
    vault.read(shelf, id, |owner, body| Some((owner.to_owned(), body.to_owned())))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Few buckets, so that ids stand beside each other, and kills at any step.
    #[test]
    fn equals_a_map(
        steps in prop::collection::vec((0u8..24, 0u8..3, prop::option::of(prop::collection::vec(any::<u8>(), 0..40)), 0u8..9), 1..80)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let (mut vault, _) = Vault::open_with(dir.path(), "g", 9).unwrap();
        let mut plain = BTreeMap::new();
        for (at, (id, owner, body, what)) in (1u64..).zip(steps) {
            let (id, owner) = (format!("id{id}"), format!("o{owner}"));
            let full = vault.write(at, |batch| match &body {
                Some(body) => batch.put(Shelf::Sessions, row(&id, &owner, body)),
                None => batch.remove(Shelf::Sessions, &id),
            });
            if full.is_ok() {
                match body {
                    Some(body) => plain.insert(id, (owner, body)),
                    None => plain.remove(&id),
                };
            }
            let refused = vault.write(at + 100, |batch| {
                batch.put(Shelf::Sessions, row("id1", "o", b"never"))?;
                Err(VaultError::new("no"))
            });
            prop_assert_eq!(refused, Err(VaultError::new("no")));
            if what == 0 && full.is_ok() {
                drop(vault);
                let (again, offset) = Vault::open_with(dir.path(), "g", 9).unwrap();
                prop_assert_eq!(offset, at);
                vault = again;
            }
            for id in (0..24).map(|id| format!("id{id}")) {
                prop_assert_eq!(read(&vault, Shelf::Sessions, &id), plain.get(&id).cloned());
            }
            for owner in (0..3).map(|owner| format!("o{owner}")) {
                let mut ids = vault.owned(&owner).unwrap();
                ids.sort();
                let theirs = plain.iter().filter(|(_, row)| row.0 == owner).map(|(id, _)| id.clone());
                prop_assert_eq!(ids, theirs.collect::<Vec<_>>());
            }
            prop_assert!(read(&vault, Shelf::Profiles, "id1").is_none());
        }
        prop_assert_eq!(vault.damaged(), 0);
    }
}

#[test]
fn a_bucket_that_is_full_refuses_the_whole_batch() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = Vault::open_with(dir.path(), "g", 1).unwrap();
    let ids: Vec<_> = (0..9).map(|id| format!("id{id}")).collect();
    let put = |ids: &[String]| {
        vault.write(1, |batch| ids.iter().try_for_each(|id| batch.put(Shelf::Profiles, row(id, "", b"x"))))
    };
    assert!(put(&ids).unwrap_err().to_string().contains("share a place"));
    assert!(vault.all(Shelf::Profiles).is_empty());
    put(&ids[..8]).unwrap();
    assert!(ids[..8].iter().all(|id| read(&vault, Shelf::Profiles, id).is_some()));
}

#[test]
fn sessions_expire_by_their_hour_and_profiles_stay() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = Vault::open(dir.path(), "g").unwrap();
    let put = |hour| {
        let id = format!("id{hour}");
        vault.write(1, |batch| {
            let row = Row { hour, ..row(&id, "o", b"x") };
            batch.put(Shelf::Sessions, row)?;
            batch.put(Shelf::Profiles, row)?;
            batch.expire(5)
        })
    };
    (3..8).for_each(|hour| put(hour).unwrap());
    let mut left: Vec<_> = vault.all(Shelf::Sessions).into_iter().map(|row| row.0).collect();
    left.sort();
    assert_eq!((left, vault.all(Shelf::Profiles).len()), (vec!["id5".into(), "id6".into(), "id7".into()], 5));
}

#[test]
fn what_is_removed_is_in_no_file() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = Vault::open(dir.path(), "g").unwrap();
    let put = |body: &[u8]| vault.write(1, |batch| batch.put(Shelf::Profiles, row("u", "", body)));
    put(b"a secret of before").unwrap();
    put(b"another secret").unwrap();
    let _reader = read(&vault, Shelf::Profiles, "u").unwrap();
    vault.write(2, |batch| batch.remove(Shelf::Profiles, "u")).unwrap();
    for file in fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().path()) {
        let bytes = fs::read(&file).unwrap();
        assert!(!bytes.windows(6).any(|part| part == b"secret"), "{}", file.display());
    }
}

#[test]
fn another_ground_and_a_broken_file_begin_anew() {
    let dir = tempfile::tempdir().unwrap();
    let open = |ground| Vault::open(dir.path(), ground).unwrap();
    let (vault, _) = open("g");
    vault.write(9, |batch| batch.put(Shelf::Profiles, row("u", "", b"x"))).unwrap();
    drop(vault);
    assert_eq!(open("g").1, 9);
    let (vault, offset) = open("h");
    assert_eq!((offset, vault.damaged(), read(&vault, Shelf::Profiles, "u")), (0, 0, None));
    vault.write(3, |batch| batch.put(Shelf::Profiles, row("u", "", b"x"))).unwrap();
    drop(vault);
    let file = dir.path().join("state.sqlite");
    fs::write(&file, b"no database at all, but long enough to be looked at as one, if it had the right beginning")
        .unwrap();
    let (vault, offset) = open("h");
    assert_eq!((offset, vault.damaged()), (0, 1));
    assert!(dir.path().join("state.sqlite.damaged").exists());
    drop(vault);
    rusqlite::Connection::open(&file)
        .unwrap()
        .execute_batch(&format!("PRAGMA user_version = 3; PRAGMA application_id = {}", 0x5345_4803))
        .unwrap();
    let refused = Vault::open(dir.path(), "h").err().unwrap();
    assert!(refused.to_string().contains("newer than this segue"), "{refused}");
}

#[test]
fn a_row_that_was_changed_is_counted_and_absent() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = Vault::open(dir.path(), "g").unwrap();
    let put = |id| vault.write(1, |batch| batch.put(Shelf::Profiles, row(id, "", b"what it says")));
    put("u").unwrap();
    put("v").unwrap();
    let db = rusqlite::Connection::open(dir.path().join("state.sqlite")).unwrap();
    db.execute("UPDATE profiles SET body = x'00' WHERE id = 'u'", []).unwrap();
    assert_eq!((read(&vault, Shelf::Profiles, "u"), vault.damaged()), (None, 1));
    assert!(vault.read(Shelf::Profiles, "v", |_, _| None::<()>).is_none());
    assert_eq!((vault.damaged(), vault.reads()), (2, 2));
    assert!(read(&vault, Shelf::Profiles, "v").is_some());
}

#[test]
fn a_file_whose_pages_are_damaged_is_not_used_twice() {
    let dir = tempfile::tempdir().unwrap();
    let ids: Vec<_> = (0..200).map(|id| format!("id{id}")).collect();
    let put = |vault: &Vault| {
        vault.write(1, |batch| ids.iter().try_for_each(|id| batch.put(Shelf::Profiles, row(id, "", &[7; 400]))))
    };
    let (vault, _) = Vault::open(dir.path(), "g").unwrap();
    put(&vault).unwrap();
    drop(vault);
    let file = dir.path().join("state.sqlite");
    let mut bytes = fs::read(&file).unwrap();
    let pages = bytes.len() / 8_192;
    bytes[(pages - 3) * 8_192..].fill(0xab);
    fs::write(&file, bytes).unwrap();
    let (vault, offset) = Vault::open(dir.path(), "g").unwrap();
    let refused = put(&vault).unwrap_err();
    assert!((offset, refused.is_damage) == (1, true) && vault.damaged() == 1, "{refused}");
    drop(vault);
    let (vault, offset) = Vault::open(dir.path(), "g").unwrap();
    assert_eq!((offset, vault.damaged()), (0, 1));
    put(&vault).unwrap();
    drop(vault);
    assert_eq!(Vault::open(dir.path(), "g").unwrap().1, 1, "the new one is used");
}

#[test]
fn a_file_of_the_version_before_keeps_its_rows_and_gets_the_new_table() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = Vault::open(dir.path(), "g").unwrap();
    vault.write(7, |batch| batch.put(Shelf::Profiles, row("u", "", b"x"))).unwrap();
    drop(vault);
    let sql = format!("DROP TABLE completions; PRAGMA user_version = 1; PRAGMA application_id = {}", 0x5345_4801);
    rusqlite::Connection::open(dir.path().join("state.sqlite")).unwrap().execute_batch(&sql).unwrap();
    for _ in 0..2 {
        let (vault, offset) = Vault::open(dir.path(), "g").unwrap();
        assert_eq!((offset, vault.damaged(), vault.all(Shelf::Profiles).len()), (7, 0, 1));
        vault.write(7, |batch| batch.put(Shelf::Completions, row("track 1", "", b"y"))).unwrap();
    }
}

#[test]
fn each_reads_all_rows_and_counts_those_that_make_no_sense() {
    let dir = tempfile::tempdir().unwrap();
    let (vault, _) = Vault::open(dir.path(), "g").unwrap();
    let ids = ["a", "b", "c"];
    vault.write(1, |batch| ids.iter().try_for_each(|id| batch.put(Shelf::Completions, row(id, "", b"x")))).unwrap();
    let db = rusqlite::Connection::open(dir.path().join("state.sqlite")).unwrap();
    db.execute("UPDATE completions SET body = x'00' WHERE id = 'b'", []).unwrap();
    let mut read = Vec::new();
    vault.each(Shelf::Completions, |id, body| {
        read.push((id.to_owned(), body.to_vec()));
        (id != "c").then_some(())
    });
    read.sort();
    assert_eq!(read, [("a".into(), b"x".to_vec()), ("c".into(), b"x".to_vec())]);
    assert_eq!(vault.damaged(), 2, "one was changed, one is refused");
}

#[test]
fn a_spare_file_goes_with_its_vault_and_one_that_stays_is_found_by_its_ground() {
    let dir = tempfile::tempdir().unwrap();
    let files = || {
        let names = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<_> = names.filter(|name| name.ends_with(".sqlite")).collect();
        names.sort();
        names
    };
    let (old, _) = Vault::open(dir.path(), "g").unwrap();
    drop(old.beside("h").unwrap());
    assert_eq!(files(), ["state.sqlite"]);
    let (failed, new) = (old.beside("h").unwrap(), old.beside("h").unwrap());
    new.write(5, |batch| batch.put(Shelf::Profiles, row("u", "", b"x"))).unwrap();
    assert_eq!(files(), ["state.1.sqlite", "state.2.sqlite", "state.sqlite"], "no name is used twice");
    new.spare(false);
    old.spare(true);
    drop((old, new, failed));
    assert_eq!(files(), ["state.2.sqlite"]);
    let (found, offset) = Vault::open(dir.path(), "h").unwrap();
    assert_eq!((offset, read(&found, Shelf::Profiles, "u").is_some()), (5, true));
    found.beside("i").unwrap().spare(false);
    drop(found);
    let (fresh, offset) = Vault::open(dir.path(), "j").unwrap();
    assert_eq!((offset, fresh.damaged(), files()), (0, 0, vec!["state.sqlite".to_owned()]), "others are removed");
}
