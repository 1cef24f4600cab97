//! Who may call, how often, and which events are believed: API keys with their rates, and ids of answers that nobody else
//! can make. `docs/security.md` is for those who run it.

mod bucket;
mod key;
mod key_ring;
mod signer;
mod track_digest;

pub use bucket::Bucket;
pub use key::{NewKey, new_secret};
pub use key_ring::{Caller, KeyRing, Refusal};
pub use signer::{Signer, SignerError, Unproven};

use hmac::{Hmac, KeyInit};
use sha2::Sha256;

/// HMAC-SHA256 under a key of any length.
fn mac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).unwrap_or_else(|_| unreachable!("HMAC takes keys of every length"))
}
