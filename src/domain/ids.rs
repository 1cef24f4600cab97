//! Identifiers. A `…Id` is the opaque string a client knows; a `…Ix` is a row of the loaded bundle and
//! leaves the process only in snapshots, which are read with the same bundle or not at all.

use std::fmt;
use std::sync::Arc;

/// Longest id accepted from outside, in bytes.
pub const MAX_ID_BYTES: usize = 128;

/// Why a string is not an id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// The string is empty.
    #[error("an id must not be empty")]
    Empty,
    /// The string is longer than [`MAX_ID_BYTES`].
    #[error("an id has at most {MAX_ID_BYTES} bytes, this one has {0}")]
    TooLong(usize),
    /// The string holds a control character.
    #[error("an id must not hold control characters")]
    Control,
}

macro_rules! string_id {
    ($(#[$doc:meta] $name:ident)*) => {$(
        #[$doc]
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and wraps a string: 1 to 128 bytes, no control characters.
            pub fn new(text: impl AsRef<str>) -> Result<Self, IdError> {
                let text = text.as_ref();
                if text.is_empty() {
                    Err(IdError::Empty)
                } else if text.len() > MAX_ID_BYTES {
                    Err(IdError::TooLong(text.len()))
                } else if text.chars().any(char::is_control) {
                    Err(IdError::Control)
                } else {
                    Ok(Self(text.into()))
                }
            }

            /// The id as the client wrote it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", &*self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                Self::new(&text).map_err(serde::de::Error::custom)
            }
        }
    )*};
}

string_id! {
    /// A track, as the client names it.
    TrackId
    /// An artist.
    ArtistId
    /// A listener.
    UserId
    /// One listening session of one listener.
    SessionId
    /// One event; the key of idempotency.
    EventId
    /// One answer of `POST /v1/next-tracks`.
    RecommendationId
}

/// Between the id of an answer and the proof of what it proposed.
const PROOF: char = '.';
/// How ids of answers begin: of what was recommended, and of a list that the caller brought to be ranked.
const RECOMMENDED: &str = "r-";
const OWN_LIST: &str = "c-";

impl RecommendationId {
    /// A new id, unlike any other; `own_list`: of a list that the caller brought.
    pub fn generate(own_list: bool) -> Self {
        Self(format!("{}{}", if own_list { OWN_LIST } else { RECOMMENDED }, ulid::Ulid::generate()).into())
    }

    /// The id as the server keeps it, without the proof that clients may have got with it.
    pub fn without_proof(&self) -> Self {
        let bare = self.0.split_once(PROOF).and_then(|(bare, _)| Self::new(bare).ok());
        bare.unwrap_or_else(|| self.clone())
    }

    /// Whether the answer is an order of the caller's own tracks, which says nothing of what was recommended.
    pub fn is_of_own_list(&self) -> bool {
        self.0.starts_with(OWN_LIST)
    }
}

macro_rules! row_index {
    ($(#[$doc:meta] $name:ident($inner:ty))*) => {$(
        #[$doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, serde::Serialize, serde::Deserialize)]
        pub struct $name(pub $inner);

        impl $name {
            /// The row as a `usize`.
            #[inline]
            pub fn at(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}

row_index! {
    /// Row of a track in the loaded catalogue, vectors and index.
    TrackIx(u32)
    /// Row of an artist.
    ArtistIx(u32)
    /// Row of an album; `u32::MAX` where a track has none.
    AlbumIx(u32)
    /// Row of a recording; tracks that share it are the same music.
    RecordingIx(u32)
    /// Row of a genre; `u16::MAX` where a track has none.
    GenreIx(u16)
    /// Row of a market.
    MarketIx(u8)
}

impl GenreIx {
    /// A track without a genre.
    pub const NONE: Self = Self(u16::MAX);
}

impl AlbumIx {
    /// A track without an album.
    pub const NONE: Self = Self(u32::MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_named_by_whose_list_they_are() {
        let (own, other) = (RecommendationId::generate(true), RecommendationId::generate(false));
        assert_eq!([own.is_of_own_list(), other.is_of_own_list()], [true, false]);
        let proven = RecommendationId::new(format!("{other}.abc.d")).unwrap();
        assert_eq!((proven.without_proof(), other.without_proof()), (other.clone(), other));
        assert_eq!(RecommendationId::new(".x").unwrap().without_proof().as_str(), ".x");
    }

    #[test]
    fn ids_refuse_what_would_hurt_logs_and_keys() {
        assert_eq!(TrackId::new(""), Err(IdError::Empty));
        assert_eq!(TrackId::new("a\nb"), Err(IdError::Control));
        assert_eq!(TrackId::new("x".repeat(129)), Err(IdError::TooLong(129)));
        assert_eq!(TrackId::new("t 1 ü").unwrap().as_str(), "t 1 ü");
        assert!(serde_json::from_str::<TrackId>("\"\"").is_err());
    }
}
