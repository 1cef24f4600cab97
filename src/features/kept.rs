//! What live state keeps, sessions and profiles, as memory and disk need to know it.

use std::hash::Hash;
use std::sync::Arc;

use super::{affinity, bytes};
use crate::domain::{GivenPlays, SessionId, SessionState, UserId, UserProfile};
use crate::vault::Shelf;

/// Milliseconds of an hour.
pub(super) const HOUR_MS: i64 = affinity::DAY_MS / 24;

/// A value that is cheap to hand out and knows how it stands on disk.
pub(super) trait Kept: Clone + Send + Sync + 'static {
    /// By what it is found.
    type Id: Clone + Eq + Hash + Send + Sync + 'static;
    /// Where it stands on disk.
    const SHELF: Shelf;

    /// An id as it is written, and read again.
    fn id_text(id: &Self::Id) -> &str;
    /// The inverse of [`Kept::id_text`].
    fn id_of(text: &str) -> Option<Self::Id>;
    /// Whether somebody else holds the same value.
    fn is_shared(&self) -> bool;
    /// What it weighs in memory with its id.
    fn bytes(&self, id: &Self::Id) -> usize;
    /// By whom it is found on disk, if by anybody.
    fn owner(&self) -> &str;
    /// The latest moment that it knows of, in hours since 1970.
    fn hour(&self) -> i64;
    /// Writes it, but for id and owner.
    fn write(&self, into: Vec<u8>) -> postcard::Result<Vec<u8>>;
    /// The inverse of [`Kept::write`].
    fn read(owner: &str, body: &[u8]) -> Option<Self>;
}

/// A session and whose it is; the owner of an id stays the same while it is kept.
#[derive(Debug, Clone)]
pub(super) struct Owned {
    pub(super) owner: UserId,
    pub(super) state: Arc<SessionState>,
}

impl Kept for Owned {
    type Id = SessionId;
    const SHELF: Shelf = Shelf::Sessions;

    fn id_text(id: &SessionId) -> &str {
        id.as_str()
    }

    fn id_of(text: &str) -> Option<SessionId> {
        SessionId::new(text).ok()
    }

    fn is_shared(&self) -> bool {
        Arc::strong_count(&self.state) > 1
    }

    fn bytes(&self, id: &SessionId) -> usize {
        bytes::of_session(id, &self.owner, &self.state)
    }

    fn owner(&self) -> &str {
        self.owner.as_str()
    }

    fn hour(&self) -> i64 {
        self.state.last_ms.max(self.state.served_ms) / HOUR_MS
    }

    fn write(&self, into: Vec<u8>) -> postcard::Result<Vec<u8>> {
        postcard::to_extend(&*self.state, into)
    }

    fn read(owner: &str, body: &[u8]) -> Option<Self> {
        let mut state: SessionState = postcard::from_bytes(body).ok()?;
        let owner = UserId::new(owner).ok()?;
        // One text for both.
        state.user_id = state.user_id.map(|user| if user == owner { owner.clone() } else { user });
        Some(Self { owner, state: Arc::new(state) })
    }
}

impl Kept for Arc<UserProfile> {
    type Id = UserId;
    const SHELF: Shelf = Shelf::Profiles;

    fn id_text(id: &UserId) -> &str {
        id.as_str()
    }

    fn id_of(text: &str) -> Option<UserId> {
        UserId::new(text).ok()
    }

    fn is_shared(&self) -> bool {
        Self::strong_count(self) > 1
    }

    fn bytes(&self, id: &UserId) -> usize {
        bytes::of_profile(id, self)
    }

    fn owner(&self) -> &str {
        ""
    }

    fn hour(&self) -> i64 {
        self.last_ms / HOUR_MS
    }

    fn write(&self, into: Vec<u8>) -> postcard::Result<Vec<u8>> {
        postcard::to_extend(&**self, into)
    }

    fn read(_: &str, body: &[u8]) -> Option<Self> {
        let read = |body: &[u8]| postcard::from_bytes::<UserProfile>(body).ok();
        // A profile from before there was `given`, its last field, ends where that would begin.
        let older = || read(&[body, &postcard::to_stdvec(&GivenPlays::default()).ok()?].concat());
        read(body).or_else(older).map(Arc::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_from_before_there_was_their_last_field_are_read() {
        let profile = UserProfile { plays: 7, disliked: vec![crate::domain::TrackIx(3)], ..UserProfile::default() };
        let body = Arc::new(profile.clone()).write(Vec::new()).unwrap();
        let last = postcard::to_stdvec(&GivenPlays::default()).unwrap().len();
        for older in [&body[..], &body[..body.len() - last]] {
            assert_eq!(Arc::<UserProfile>::read("", older).as_deref(), Some(&profile));
        }
        assert!(Arc::<UserProfile>::read("", &body[..body.len() - last - 1]).is_none());
    }
}
