//! Ids of answers that prove what was served: `r-<ULID>.<proof>`. The proof holds which tracks the answer has, and an
//! HMAC over id, listener and tracks. Only who knows the secret can make one, so an event that names it is of a listener to
//! whom that track was served. What the server keeps and logs is the id without the proof.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::Mac;
use ulid::Ulid;

use super::{mac, track_digest};
use crate::config::FeedbackConfig;
use crate::domain::{RecommendationId, UserId};

/// Bytes of the HMAC that are kept: 2^96 guesses.
const MAC_BYTES: usize = 12;
/// Shortest secret, characters.
const MIN_SECRET: usize = 32;
/// Most secrets of a file.
const MAX_SECRETS: usize = 8;
/// How much earlier than its answer an event may be, ms: clocks of clients differ, and small differences are not corrected.
const EARLY_MS: i64 = 60_000;
/// What the HMAC is for, so that no other use of the secret gives the same.
const PURPOSE: &[u8] = b"segue recommendation 1\0";

/// Why the secrets could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("signals.feedback.secret_file {}: {why}", .path.display())]
pub struct SignerError {
    path: PathBuf,
    why: String,
}

/// Why an event is not believed to follow an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproven {
    /// It names no answer.
    Unnamed,
    /// The id was not made here for this listener.
    Forged,
    /// It happened before the answer, or long after it.
    Expired,
    /// The answer does not hold the track.
    NotServed,
}

impl Unproven {
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Unnamed, Self::Forged, Self::Expired, Self::NotServed];

    /// As metrics write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unnamed => "unnamed",
            Self::Forged => "forged",
            Self::Expired => "expired",
            Self::NotServed => "not_served",
        }
    }
}

/// Makes and checks such ids: a hash for each track, and two for the rest.
#[derive(Clone)]
pub struct Signer {
    /// The first one signs, all check.
    secrets: Vec<Vec<u8>>,
    valid_ms: i64,
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

impl Signer {
    /// Reads the secrets that the configuration names; `None` where it names none.
    ///
    /// # Errors
    /// The file, or what is in it.
    pub fn open(config: &FeedbackConfig) -> Result<Option<Self>, SignerError> {
        let Some(path) = &config.secret_file else { return Ok(None) };
        let text = std::fs::read_to_string(path).map_err(|error| fault(path, error.to_string()))?;
        Self::parse(&text, config.valid_h).map(Some).map_err(|why| fault(path, why))
    }

    /// Takes secrets, one a line.
    fn parse(text: &str, valid_h: u64) -> Result<Self, String> {
        let secrets: Vec<Vec<u8>> =
            text.lines().map(str::trim).filter(|line| !line.is_empty()).map(|line| line.as_bytes().to_vec()).collect();
        if secrets.is_empty() || secrets.len() > MAX_SECRETS {
            return Err(format!("holds {} secrets; 1 to {MAX_SECRETS} are taken, one a line", secrets.len()));
        }
        if let Some(at) = secrets.iter().position(|secret| secret.len() < MIN_SECRET) {
            return Err(format!(
                "line {}: a secret has {MIN_SECRET} characters at least; `segue key secret` makes one",
                at + 1
            ));
        }
        let valid_ms = i64::try_from(valid_h).unwrap_or(i64::MAX).saturating_mul(3_600_000);
        Ok(Self { secrets, valid_ms })
    }

    /// The id of an answer to a listener, with the proof that it holds these tracks.
    pub fn sign<'a>(
        &self,
        id: &RecommendationId,
        user: &UserId,
        tracks: impl ExactSizeIterator<Item = &'a str>,
    ) -> RecommendationId {
        // Longer lists set one bit a track, as those of 255 do.
        let count = u8::try_from(tracks.len()).unwrap_or(u8::MAX);
        let mut proof = vec![count];
        proof.extend(track_digest::of(id.as_str(), tracks));
        let sum = message(&self.secrets[0], id, user, &proof).finalize().into_bytes();
        proof.extend_from_slice(&sum[..MAC_BYTES]);
        let signed = format!("{id}.{}", URL_SAFE_NO_PAD.encode(proof));
        // An id of another make may leave no room for a proof; it proves nothing then.
        RecommendationId::new(signed).unwrap_or_else(|_| id.clone())
    }

    /// The id without its proof, if that shows that the answer was given to this listener, holds the track, and came at most
    /// `signals.feedback.valid_h` before `ts_ms`.
    ///
    /// # Errors
    /// What it does not show.
    pub fn check(
        &self,
        id: Option<&RecommendationId>,
        user: &UserId,
        track: &str,
        ts_ms: i64,
    ) -> Result<RecommendationId, Unproven> {
        let id = id.ok_or(Unproven::Unnamed)?;
        let (bare, proof) = id.as_str().split_once('.').ok_or(Unproven::Forged)?;
        let bare = RecommendationId::new(bare).map_err(|_| Unproven::Forged)?;
        let proof = URL_SAFE_NO_PAD.decode(proof).map_err(|_| Unproven::Forged)?;
        let (proof, sum) = proof.split_last_chunk::<MAC_BYTES>().ok_or(Unproven::Forged)?;
        let made_here = |secret: &Vec<u8>| message(secret, &bare, user, proof).verify_truncated_left(sum).is_ok();
        if !self.secrets.iter().any(made_here) {
            return Err(Unproven::Forged);
        }
        let age_ms = ts_ms.saturating_sub(made_ms(&bare).ok_or(Unproven::Forged)?);
        if !(-EARLY_MS..=self.valid_ms).contains(&age_ms) {
            return Err(Unproven::Expired);
        }
        let (count, tracks) = proof.split_first().ok_or(Unproven::Forged)?;
        let holds = track_digest::holds(tracks, usize::from(*count), bare.as_str(), track);
        if holds { Ok(bare) } else { Err(Unproven::NotServed) }
    }
}

fn fault(path: &Path, why: String) -> SignerError {
    SignerError { path: path.to_owned(), why }
}

fn message(secret: &[u8], id: &RecommendationId, user: &UserId, proof: &[u8]) -> impl Mac {
    // Ids hold no control characters, so nothing can be moved from one field to the next.
    mac(secret)
        .chain_update(PURPOSE)
        .chain_update(id.as_str())
        .chain_update([0])
        .chain_update(user.as_str())
        .chain_update([0])
        .chain_update(proof)
}

/// When an answer was given, Unix ms.
fn made_ms(id: &RecommendationId) -> Option<i64> {
    let ulid = Ulid::from_str(id.as_str().split_once('-')?.1).ok()?;
    i64::try_from(ulid.timestamp_ms()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MADE_MS: i64 = 1_700_000_000_000;

    fn signer(text: &str) -> Signer {
        Signer::parse(text, 24).unwrap()
    }

    fn id() -> RecommendationId {
        RecommendationId::new(format!("r-{}", Ulid::from_parts(MADE_MS as u64, 7))).unwrap()
    }

    fn user(name: &str) -> UserId {
        UserId::new(name).unwrap()
    }

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn an_id_proves_what_was_served_to_whom_and_when() {
        let signer = signer(OLD);
        let signed = signer.sign(&id(), &user("u"), ["t1", "t2"].into_iter());
        let check = |who: &str, track: &str, ms: i64| signer.check(Some(&signed), &user(who), track, MADE_MS + ms);
        assert_eq!(check("u", "t1", 5_000), Ok(id()));
        assert_eq!(check("u", "t2", 24 * 3_600_000), Ok(id()));
        assert_eq!(check("u", "t3", 5_000), Err(Unproven::NotServed));
        assert_eq!(check("v", "t1", 5_000), Err(Unproven::Forged));
        for ms in [24 * 3_600_000 + 1, -60_001, i64::MIN / 2] {
            assert_eq!(check("u", "t1", ms), Err(Unproven::Expired), "{ms}");
        }
        assert_eq!(check("u", "t1", -60_000), Ok(id()), "a client's clock may be a little late");
        assert_eq!(signer.check(None, &user("u"), "t1", MADE_MS), Err(Unproven::Unnamed));
    }

    #[test]
    fn the_longest_list_has_room() {
        let tracks: Vec<String> = (0..100).map(|at| format!("t{at}")).collect();
        let signed = signer(OLD).sign(&id(), &user("u"), tracks.iter().map(String::as_str));
        assert_ne!(signed, id());
        assert!(tracks.iter().all(|track| signer(OLD).check(Some(&signed), &user("u"), track, MADE_MS) == Ok(id())));
        let none = signer(OLD).sign(&id(), &user("u"), std::iter::empty());
        assert_eq!(signer(OLD).check(Some(&none), &user("u"), "t1", MADE_MS), Err(Unproven::NotServed));
    }

    #[test]
    fn secrets_change_without_a_break() {
        let signed = signer(OLD).sign(&id(), &user("u"), ["t1"].into_iter());
        let check = |secrets: &str| signer(secrets).check(Some(&signed), &user("u"), "t1", MADE_MS);
        assert_eq!(check(&format!("{NEW}\n\n {OLD} \n")), Ok(id()));
        assert_eq!(check(NEW), Err(Unproven::Forged));
        assert!(Signer::parse(&OLD[1..], 1).unwrap_err().contains("line 1: a secret has 32"));
        assert!(Signer::parse(" \n", 1).unwrap_err().contains("0 secrets"));
        let missing = FeedbackConfig { secret_file: Some("/nowhere/secret".into()), ..FeedbackConfig::default() };
        let error = Signer::open(&missing).unwrap_err().to_string();
        assert!(error.starts_with("signals.feedback.secret_file /nowhere/secret: "), "{error}");
        assert!(Signer::open(&FeedbackConfig::default()).unwrap().is_none());
    }

    proptest! {
        #[test]
        fn a_changed_id_proves_nothing(at in any::<prop::sample::Index>(), to in any::<char>()) {
            let signer = signer(OLD);
            let signed = signer.sign(&id(), &user("u"), ["t1", "t2", "t3"].into_iter());
            let mut text: Vec<char> = signed.as_str().chars().collect();
            let at = at.index(text.len());
            prop_assume!(text[at] != to);
            text[at] = to;
            if let Ok(changed) = RecommendationId::new(text.iter().collect::<String>()) {
                prop_assert_eq!(signer.check(Some(&changed), &user("u"), "t1", MADE_MS), Err(Unproven::Forged));
            }
        }

        #[test]
        fn any_text_is_survived(text in ".{0,128}") {
            if let Ok(id) = RecommendationId::new(&text) {
                prop_assert!(signer(OLD).check(Some(&id), &user("u"), "t1", MADE_MS).is_err());
            }
        }
    }
}
