//! Which sessions are held for a listener, so that forgetting one listener costs no look at the others.

use std::collections::HashSet;

use dashmap::DashMap;

use crate::domain::{SessionId, UserId};

/// Sessions by listener. Every call takes one shard's lock and gives it back: callers may hold any lock, and none is taken
/// in here.
#[derive(Debug, Default)]
pub(super) struct Owners {
    sessions: DashMap<UserId, HashSet<SessionId>>,
}

impl Owners {
    /// Notes a session. `O(1)`; copies the ids only when they are new.
    pub(super) fn add(&self, user: &UserId, session: &SessionId) {
        let known = self.sessions.get(user).is_some_and(|theirs| theirs.contains(session));
        if !known {
            self.sessions.entry(user.clone()).or_default().insert(session.clone());
        }
    }

    /// Takes a session out, and with the last one the listener. `O(1)`.
    pub(super) fn remove(&self, user: &UserId, session: &SessionId) {
        let is_last = self.sessions.get_mut(user).is_some_and(|mut theirs| {
            theirs.remove(session);
            theirs.is_empty()
        });
        if is_last {
            self.sessions.remove_if(user, |_, theirs| theirs.is_empty());
        }
    }

    /// The listener's sessions, in no order.
    pub(super) fn of(&self, user: &UserId) -> Vec<SessionId> {
        self.sessions.get(user).map(|theirs| theirs.iter().cloned().collect()).unwrap_or_default()
    }

    /// Listeners and sessions noted.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.sessions.len(), self.sessions.iter().map(|theirs| theirs.len()).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn equals_a_set_of_pairs(steps in prop::collection::vec((any::<bool>(), 0u8..4, 0u8..6), 0..60)) {
            let (owners, mut plain) = (Owners::default(), BTreeSet::new());
            for (add, user, session) in steps {
                let (user, session) = (UserId::new(format!("u{user}")).unwrap(), SessionId::new(format!("s{session}")).unwrap());
                if add { owners.add(&user, &session) } else { owners.remove(&user, &session) }
                if add { plain.insert((user.clone(), session)) } else { plain.remove(&(user.clone(), session)) };
                let theirs: BTreeSet<_> = owners.of(&user).into_iter().map(|session| (user.clone(), session)).collect();
                prop_assert_eq!(theirs, plain.iter().filter(|pair| pair.0 == user).cloned().collect::<BTreeSet<_>>());
                let users: BTreeSet<_> = plain.iter().map(|pair| &pair.0).collect();
                prop_assert_eq!(owners.counts(), (users.len(), plain.len()));
            }
        }
    }
}
