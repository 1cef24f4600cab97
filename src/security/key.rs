//! API keys: `sgk_<id>_<secret>`, both in hexadecimal. The id says which of the configured hashes is meant and is the
//! salt of that hash. A secret is 32 random bytes, so a fast hash is enough: there is nothing to guess.

use hmac::Mac;

use super::mac;
use crate::config::{HASH_PREFIX, KEY_ID_BYTES};

const PREFIX: &str = "sgk_";
const SECRET_BYTES: usize = 32;

/// A key that was just made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// The key, for the client; it is kept nowhere else.
    pub key: String,
    /// Its hash, for the configuration.
    pub hash: String,
}

impl NewKey {
    /// Makes a key out of the system's randomness.
    pub fn generate() -> Self {
        Self::of(rand::random(), rand::random())
    }

    fn of(id: [u8; KEY_ID_BYTES], secret: [u8; SECRET_BYTES]) -> Self {
        let digest = mac(&id).chain_update(secret).finalize().into_bytes();
        let (id, secret) = (hex::encode(id), hex::encode(secret));
        Self { key: format!("{PREFIX}{id}_{secret}"), hash: format!("{HASH_PREFIX}{id}:{}", hex::encode(digest)) }
    }
}

/// A new secret to sign with: 32 random bytes in hexadecimal.
pub fn new_secret() -> String {
    hex::encode(rand::random::<[u8; SECRET_BYTES]>())
}

/// A key as a client shows it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct ShownKey {
    pub(super) id: [u8; KEY_ID_BYTES],
    secret: [u8; SECRET_BYTES],
}

impl ShownKey {
    /// Reads a key; `None` for what cannot be one.
    pub(super) fn read(text: &str) -> Option<Self> {
        let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
        let mut shown = Self { id: [0; KEY_ID_BYTES], secret: [0; SECRET_BYTES] };
        hex::decode_to_slice(id, &mut shown.id).ok()?;
        hex::decode_to_slice(secret, &mut shown.secret).ok()?;
        Some(shown)
    }

    /// Whether its hash is this one; takes as long whatever the digest.
    pub(super) fn fits(&self, digest: &[u8]) -> bool {
        mac(&self.id).chain_update(self.secret).verify_slice(digest).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_standard() {
        // HMAC-SHA256 of 32 bytes 0x0b under the salt 0..8, by Python's hmac module.
        let made = NewKey::of([0, 1, 2, 3, 4, 5, 6, 7], [0x0b; 32]);
        assert_eq!(made.key, format!("sgk_0001020304050607_{}", "0b".repeat(32)));
        assert_eq!(
            made.hash,
            "hmac-sha256:0001020304050607:d6251b9b5ebd13eb7e190e8f77da6b6c0ccb023d147c9fdeabe03622576a2754"
        );
    }

    #[test]
    fn only_the_key_itself_fits() {
        let (one, other) = (NewKey::generate(), NewKey::generate());
        assert_ne!(one, other);
        let digest = |key: &NewKey| hex::decode(key.hash.rsplit_once(':').unwrap().1).unwrap();
        let shown = ShownKey::read(&one.key).unwrap();
        assert!(shown.fits(&digest(&one)) && !shown.fits(&digest(&other)) && !shown.fits(&digest(&one)[..31]));
        let mut secret = one.key.clone().into_bytes();
        *secret.last_mut().unwrap() ^= 1;
        let changed = String::from_utf8(secret).unwrap();
        assert!(ShownKey::read(&changed).is_none_or(|changed| !changed.fits(&digest(&one))));
        for bad in ["", "sgk_", "sgk_00_11", &one.key[1..], &(one.key.clone() + "0"), "sgk_\u{e9}_x"] {
            assert!(ShownKey::read(bad).is_none(), "{bad}");
        }
    }
}
