//! The keys of the configuration, and what a request with one of them may do.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;

use super::Bucket;
use super::key::ShownKey;
use crate::config::{KEY_ID_BYTES, KeyConfig, MostCritical, Scope};
use crate::pipeline::Criticality;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The client's name in the configuration.
    pub client: Arc<str>,
    /// The most that its requests may matter.
    pub most: Criticality,
}

/// Why a request is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It shows no key, or none that is known.
    Unknown,
    /// Its key does not allow that.
    Forbidden {
        /// Whose key it is.
        client: Arc<str>,
    },
    /// Its client has sent too many.
    TooMany {
        /// Whose key it is.
        client: Arc<str>,
        /// When the next one may come.
        wait: Duration,
    },
}

#[derive(Debug)]
struct Held {
    caller: Caller,
    digest: [u8; 32],
    scopes: Vec<Scope>,
    /// The client's, whichever key it uses.
    bucket: Option<Arc<Bucket>>,
}

/// The keys in force. Without any the server is open to everybody who reaches it.
#[derive(Debug, Default)]
pub struct KeyRing(ArcSwap<HashMap<[u8; KEY_ID_BYTES], Held>>);

impl KeyRing {
    /// The keys of a configuration that has been checked; a hash that is none is left out.
    pub fn new(keys: &[KeyConfig], now: Instant) -> Self {
        Self(ArcSwap::from_pointee(held(keys, now)))
    }

    /// Takes other keys from the next request on. Rates begin anew.
    pub fn replace(&self, keys: &[KeyConfig], now: Instant) {
        self.0.store(Arc::new(held(keys, now)));
    }

    /// Whether anybody may come without a key.
    pub fn is_open(&self) -> bool {
        self.0.load().is_empty()
    }

    /// Lets a request in that shows `key` and needs `scope`: who sent it, `None` where keys are not asked for.
    ///
    /// # Errors
    /// [`Refusal`]. Only a request that its scope allows counts in its client's rate.
    pub fn admit(&self, key: Option<&str>, scope: Scope, now: Instant) -> Result<Option<Caller>, Refusal> {
        let keys = self.0.load();
        if keys.is_empty() {
            return Ok(None);
        }
        let shown = key.and_then(ShownKey::read).ok_or(Refusal::Unknown)?;
        let held = keys.get(&shown.id).filter(|held| shown.fits(&held.digest)).ok_or(Refusal::Unknown)?;
        let client = &held.caller.client;
        if !held.scopes.contains(&scope) {
            return Err(Refusal::Forbidden { client: Arc::clone(client) });
        }
        match held.bucket.as_ref().map_or(Ok(()), |bucket| bucket.take(now)) {
            Ok(()) => Ok(Some(held.caller.clone())),
            Err(wait) => Err(Refusal::TooMany { client: Arc::clone(client), wait }),
        }
    }
}

fn held(keys: &[KeyConfig], now: Instant) -> HashMap<[u8; KEY_ID_BYTES], Held> {
    let mut buckets: HashMap<&str, Option<Arc<Bucket>>> = HashMap::new();
    let one = |key: &KeyConfig| {
        let (id, digest) = key.parts()?;
        let caller = Caller { client: key.client.as_str().into(), most: most(key.criticality) };
        Some((id, Held { caller, digest, scopes: key.scopes.clone(), bucket: None }))
    };
    let mut held = HashMap::new();
    for key in keys {
        let bucket = buckets.entry(&key.client).or_insert_with(|| {
            let burst = key.per_second.map(|rate| key.burst.map_or(rate.ceil(), f64::from));
            key.per_second.zip(burst).map(|(rate, burst)| Arc::new(Bucket::new(rate, burst, now)))
        });
        held.extend(one(key).map(|(id, held)| (id, Held { bucket: bucket.clone(), ..held })));
    }
    held
}

fn most(criticality: MostCritical) -> Criticality {
    match criticality {
        MostCritical::Sheddable => Criticality::Sheddable,
        MostCritical::Default => Criticality::Default,
        MostCritical::Critical => Criticality::Critical,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::NewKey;

    fn key(client: &str, scopes: &[Scope], per_second: Option<f64>) -> (String, KeyConfig) {
        let NewKey { key, hash } = NewKey::generate();
        let criticality = MostCritical::Default;
        let scopes = scopes.to_vec();
        (key, KeyConfig { client: client.into(), hash, scopes, per_second, burst: None, criticality })
    }

    #[test]
    fn without_keys_everybody_is_let_in() {
        let ring = KeyRing::default();
        let now = Instant::now();
        assert!(ring.is_open());
        for shown in [None, Some("anything")] {
            assert_eq!(ring.admit(shown, Scope::Admin, now), Ok(None));
        }
    }

    #[test]
    fn a_key_allows_its_scopes_and_no_other() {
        let now = Instant::now();
        let (web, configured) = key("web", &[Scope::Read, Scope::Ingest], None);
        let ring = KeyRing::new(&[configured], now);
        let caller = Caller { client: "web".into(), most: Criticality::Default };
        assert_eq!(ring.admit(Some(&web), Scope::Ingest, now), Ok(Some(caller)));
        assert_eq!(ring.admit(Some(&web), Scope::Admin, now), Err(Refusal::Forbidden { client: "web".into() }));
        let stranger = NewKey::generate().key;
        // The right id with another secret.
        let forged = web.rsplit_once('_').unwrap().0.to_owned() + &stranger[stranger.rfind('_').unwrap()..];
        for shown in [None, Some(""), Some("sgk_x"), Some(&*stranger), Some(&*forged)] {
            assert_eq!(ring.admit(shown, Scope::Read, now), Err(Refusal::Unknown), "{shown:?}");
        }
    }

    #[test]
    fn two_keys_of_a_client_share_its_rate_and_either_may_go() {
        let now = Instant::now();
        let ((old, first), (new, second)) =
            (key("web", &[Scope::Read], Some(2.0)), key("web", &[Scope::Read], Some(2.0)));
        let (other, third) = key("batch", &[Scope::Read], Some(2.0));
        let ring = KeyRing::new(&[first, second.clone(), third], now);
        assert!(ring.admit(Some(&old), Scope::Read, now).is_ok() && ring.admit(Some(&new), Scope::Read, now).is_ok());
        let too_many = Refusal::TooMany { client: "web".into(), wait: Duration::from_millis(500) };
        assert_eq!(ring.admit(Some(&old), Scope::Read, now), Err(too_many));
        assert!(ring.admit(Some(&other), Scope::Read, now).is_ok(), "each client has its own");
        ring.replace(&[second], now);
        assert_eq!(ring.admit(Some(&old), Scope::Read, now), Err(Refusal::Unknown));
        assert!(ring.admit(Some(&new), Scope::Read, now).is_ok());
    }
}
