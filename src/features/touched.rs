//! Which listeners and sessions change while a dump is being listed.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::domain::{SessionId, UserId};

/// Listeners and sessions.
#[derive(Debug, Clone, Default)]
pub(super) struct Ids {
    pub(super) users: HashSet<UserId>,
    pub(super) sessions: HashSet<SessionId>,
}

/// Takes note only between [`Touched::start`] and [`Touched::take`]; otherwise a note costs a free lock.
#[derive(Debug, Default)]
pub(super) struct Touched(Mutex<Option<Ids>>);

impl Touched {
    /// Begins with nothing noted.
    pub(super) fn start(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Ids::default());
    }

    /// Makes a change and takes note of it. Noted before it can be read, for a dump that ends in between; and after, for one
    /// that begins in between: it may have listed what was there before.
    pub(super) fn around(&self, user: &UserId, session: Option<&SessionId>, change: impl FnOnce()) {
        self.note(user, session);
        change();
        self.note(user, session);
    }

    fn note(&self, user: &UserId, session: Option<&SessionId>) {
        if let Some(ids) = self.0.lock().unwrap_or_else(PoisonError::into_inner).as_mut() {
            ids.users.insert(user.clone());
            ids.sessions.extend(session.cloned());
        }
    }

    /// What was noted; notes no more.
    pub(super) fn take(&self) -> Ids {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_a_dump_begins_or_ends_in_is_noted() {
        let (touched, user) = (Touched::default(), UserId::new("u").unwrap());
        touched.around(&user, None, || {});
        touched.around(&user, None, || touched.start());
        assert!(touched.take().users.contains(&user), "begun in between");
        touched.start();
        touched.around(&user, None, || assert!(touched.take().users.contains(&user), "ended in between"));
        assert!(touched.take().users.is_empty());
    }
}
