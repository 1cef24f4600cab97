//! `[[keys]]`: who may call the server (`docs/security.md`).

use std::collections::{BTreeMap, BTreeSet};

/// Most keys.
const MAX_KEYS: usize = 1_000;
/// Keys of one client: the one in use, and the one that replaces it.
const KEYS_OF_A_CLIENT: usize = 2;

/// What a key allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// To ask: recommendations, traces, tracks, sessions, metrics.
    Read,
    /// To send events.
    Ingest,
    /// To change the catalogue and the weights, to erase listeners, to fetch captures.
    Admin,
}

impl Scope {
    /// As it is written in configuration and errors.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Ingest => "ingest",
            Self::Admin => "admin",
        }
    }
}

/// The most that a client's requests may matter under overload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MostCritical {
    /// All of them are refused first.
    Sheddable,
    /// As requests that say nothing.
    Default,
    /// What they say themselves.
    Critical,
}

/// One of `[[keys]]`.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// Whose it is, in metrics and logs: 1 to 64 of a-z, 0-9, - and _. A client may have two keys, to change from one to
    /// the other.
    pub client: String,
    /// What `segue key new` prints of the key; the key itself stands nowhere.
    pub hash: String,
    /// What it allows; none includes another.
    pub scopes: Vec<Scope>,
    /// Requests of the client, s^-1. Absent: no limit. Range 0.01..1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per_second: Option<f64>,
    /// Requests that may come at once. Absent: those of one second. Range 1..1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// The most that its requests may matter, whatever `X-Criticality` says. Default `critical`: what they say.
    #[serde(default = "as_they_say")]
    pub criticality: MostCritical,
}

fn as_they_say() -> MostCritical {
    MostCritical::Critical
}

/// How hashes begin.
pub const HASH_PREFIX: &str = "hmac-sha256:";
/// Bytes of the part of a key that names it, and salts its hash.
pub const KEY_ID_BYTES: usize = 8;
/// Bytes of a hash.
const DIGEST_BYTES: usize = 32;

impl KeyConfig {
    /// A key without bounds to how much its requests may matter.
    pub fn new(client: String, hash: String, scopes: Vec<Scope>, per_second: Option<f64>) -> Self {
        Self { client, hash, scopes, per_second, burst: None, criticality: as_they_say() }
    }

    /// The id of the key and its digest, out of `hash`.
    pub fn parts(&self) -> Option<([u8; KEY_ID_BYTES], [u8; DIGEST_BYTES])> {
        let (id, digest) = self.hash.strip_prefix(HASH_PREFIX)?.split_once(':')?;
        let (mut parts, mut lower) = (([0; KEY_ID_BYTES], [0; DIGEST_BYTES]), self.hash.bytes());
        hex::decode_to_slice(id, &mut parts.0).ok()?;
        hex::decode_to_slice(digest, &mut parts.1).ok()?;
        lower.all(|byte| !byte.is_ascii_uppercase()).then_some(parts)
    }

    /// What is wrong with it by itself.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        if self.client.is_empty() || self.client.len() > 64 || !self.client.chars().all(is_plain) {
            faults.push("`client` must be 1 to 64 of a-z, 0-9, - and _".into());
        }
        if self.parts().is_none() {
            faults.push("`hash` must be as `segue key new` prints it".into());
        }
        if self.scopes.is_empty() {
            faults.push("`scopes` must name what it allows: read, ingest, admin".into());
        }
        if self.per_second.is_some_and(|rate| !(0.01..=1_000_000.0).contains(&rate)) {
            faults.push("`per_second` must lie in 0.01..1_000_000".into());
        }
        match (self.burst, self.per_second) {
            (Some(_), None) => faults.push("`burst` needs `per_second`".into()),
            (Some(burst), Some(_)) if !(1..=1_000_000).contains(&burst) => {
                faults.push("`burst` must lie in 1..1_000_000".into());
            }
            (Some(_) | None, _) => {}
        }
        faults
    }
}

/// What is wrong with the keys, each by itself and beside the others.
pub(super) fn faults(keys: &[KeyConfig]) -> Vec<String> {
    let (mut faults, mut ids) = (Vec::new(), BTreeSet::new());
    let mut clients: BTreeMap<&str, Vec<&KeyConfig>> = BTreeMap::new();
    for (at, key) in keys.iter().enumerate() {
        let of = |fault: String| format!("key {} ({:?}): {fault}", at + 1, key.client);
        faults.extend(key.faults().into_iter().map(of));
        if key.parts().is_some_and(|(id, _)| !ids.insert(id)) {
            faults.push(of("the same key stands there twice".into()));
        }
        let others = clients.entry(&key.client).or_default();
        if others.len() == KEYS_OF_A_CLIENT {
            faults.push(of("a client has two keys at most, the old and the new: remove the old one".into()));
        }
        if others.first().is_some_and(|first| (first.per_second, first.burst) != (key.per_second, key.burst)) {
            faults.push(of("`per_second` and `burst` must be those of the client's other key".into()));
        }
        others.push(key);
    }
    if keys.len() > MAX_KEYS {
        faults.push(format!("there are {} keys; at most {MAX_KEYS} are taken", keys.len()));
    }
    faults
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<KeyConfig> {
        #[derive(serde::Deserialize)]
        struct File {
            keys: Vec<KeyConfig>,
        }
        toml::from_str::<File>(text).unwrap().keys
    }

    fn hash(id: u8) -> String {
        format!("{HASH_PREFIX}{id:016x}:{}", "0a".repeat(32))
    }

    #[test]
    fn every_fault_is_named() {
        let text = format!(
            "[[keys]]\nclient='Web'\nhash='sha1:00'\nscopes=[]\nburst=3\n\
             [[keys]]\nclient='web'\nhash='{0}'\nscopes=['read']\nper_second=0\n\
             [[keys]]\nclient='web'\nhash='{0}'\nscopes=['read']\nper_second=5\nburst=0\n\
             [[keys]]\nclient='web'\nhash='{1}'\nscopes=['read']\nper_second=0\n",
            hash(1),
            hash(2)
        );
        let expected = [
            "key 1 (\"Web\"): `client` must be 1 to 64 of a-z, 0-9, - and _",
            "key 1 (\"Web\"): `hash` must be as `segue key new` prints it",
            "key 1 (\"Web\"): `scopes` must name what it allows: read, ingest, admin",
            "key 1 (\"Web\"): `burst` needs `per_second`",
            "key 2 (\"web\"): `per_second` must lie in 0.01..1_000_000",
            "key 3 (\"web\"): `burst` must lie in 1..1_000_000",
            "key 3 (\"web\"): the same key stands there twice",
            "key 3 (\"web\"): `per_second` and `burst` must be those of the client's other key",
            "key 4 (\"web\"): `per_second` must lie in 0.01..1_000_000",
            "key 4 (\"web\"): a client has two keys at most, the old and the new: remove the old one",
        ];
        assert_eq!(faults(&read(&text)), expected);
    }

    #[test]
    fn two_keys_of_a_client_are_sound() {
        let of = |id| format!("[[keys]]\nclient='web'\nhash='{}'\nscopes=['read','ingest']\nper_second=5\n", hash(id));
        let keys = read(&(of(1) + &of(2)));
        assert!(faults(&keys).is_empty());
        assert_eq!(keys[0].criticality, MostCritical::Critical);
        let many: Vec<_> = (0..1_001u32)
            .map(|at| KeyConfig {
                client: format!("c{at}"),
                hash: hash(0).replace("0000", &format!("{at:04x}")),
                ..keys[0].clone()
            })
            .collect();
        let found = faults(&many);
        assert!(found.last().unwrap().contains("1001 keys"), "{found:?}");
    }

    #[test]
    fn a_hash_is_read_as_it_is_written() {
        let key = |hash: &str| KeyConfig {
            hash: hash.into(),
            ..read(&format!("[[keys]]\nclient='a'\nhash='{}'\nscopes=['read']", hash_1())).remove(0)
        };
        assert_eq!(key(&hash_1()).parts(), Some(([0, 0, 0, 0, 0, 0, 0, 1], [10; 32])));
        for bad in [hash_1().to_uppercase(), hash_1().replace("0a", "0A"), hash_1() + "00", HASH_PREFIX.into()] {
            assert_eq!(key(&bad).parts(), None, "{bad}");
        }
    }

    fn hash_1() -> String {
        hash(1)
    }
}
