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

    /// To be called before a change can be read.
    pub(super) fn note(&self, user: &UserId, session: Option<&SessionId>) {
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
