//! From plays as they were read to plays as they are written: once each, in sessions, with an end.

use super::ImportError;
use super::ending::{Heard, resolve};
use super::estimate::{Estimate, durations};
use super::names;
use super::play::Fault;
use super::report::{Reason, Report};
use super::sessions::Cutter;
use super::store::{NONE, Row, Store, known};
use crate::domain::SessionId;

/// How a source's plays are to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Rules {
    /// A play is only recorded after half the track or four minutes.
    pub(super) scrobbles: bool,
    /// Where lengths of tracks come from when the source has none.
    pub(super) estimate: Estimate,
    /// Silence that ends a session, ms.
    pub(super) session_gap_ms: i64,
}

/// Settles all plays; returns the sessions, and leaves the plays by listener, session and time, each with its session's
/// number. `O(n log n)`.
///
/// # Errors
/// When numbers run out.
pub(super) fn settle(store: &mut Store, report: &mut Report, rules: Rules) -> Result<Vec<SessionId>, ImportError> {
    drop_duplicates(store, report);
    durations(store, rules.estimate);
    store.rows.sort_unstable_by_key(|row| (row.user, row.session, row.start_ms, row.file, row.at));
    let sessions = cut(store, rules.session_gap_ms)?;
    end_all(store, report, rules.scrobbles);
    Ok(sessions)
}

/// Keeps the first row of each listener, track and time.
fn drop_duplicates(store: &mut Store, report: &mut Report) {
    store.rows.sort_unstable_by_key(|row| (row.user, row.start_ms, row.track, row.file, row.at));
    let key = |row: &Row| (row.user, row.start_ms, row.track);
    let (users, tracks) = (&store.users, &store.tracks);
    store.rows.dedup_by(|row, first| {
        let same = key(row) == key(first);
        if same {
            let (user, track) = (&users.all()[row.user as usize], &tracks.all()[row.track as usize]);
            let of = report.files.get(first.file as usize).cloned().unwrap_or_default();
            let detail = format!("user {user}, track {track}: the same time as row {} of {of}", first.at);
            report.leave_out(row.file, row.at, &Fault::new(Reason::Duplicate, detail));
        }
        same
    });
}

/// Numbers sessions: the source's where it has them, else by silence.
fn cut(store: &mut Store, gap_ms: i64) -> Result<Vec<SessionId>, ImportError> {
    let mut sessions: Vec<SessionId> = Vec::new();
    let mut before: Option<(u32, u32)> = None;
    let mut cutter = Cutter::new(gap_ms);
    for at in 0..store.rows.len() {
        let row = store.rows[at];
        let group = (row.user, row.session);
        if before != Some(group) {
            cutter = Cutter::new(gap_ms);
        }
        let length = known(row.played_ms).or_else(|| store.duration_ms(&row)).unwrap_or(0);
        // Asked for every play: it must see all of them.
        let after_silence = cutter.begins(row.start_ms, i64::from(length));
        if before != Some(group) || (row.session == NONE && after_silence) {
            let user = store.users.all()[row.user as usize].as_str().as_bytes();
            let digest = match store.sessions.all().get(row.session as usize) {
                Some(name) => names::digest(&[b"session", user, name.as_bytes()]),
                None => names::digest(&[b"silence", user, &row.start_ms.to_le_bytes()]),
            };
            sessions.push(SessionId::new(format!("s-{digest}"))?);
        }
        before = Some(group);
        store.rows[at].session = sessions.len() as u32 - 1;
    }
    Ok(sessions)
}

fn end_all(store: &mut Store, report: &mut Report, scrobbles: bool) {
    for at in 0..store.rows.len() {
        let row = store.rows[at];
        let next = store.rows.get(at + 1).filter(|next| next.session == row.session);
        let heard = Heard {
            hint: row.hint,
            played_ms: known(row.played_ms),
            duration_ms: store.duration_ms(&row),
            next_in_ms: next.map(|next| next.start_ms - row.start_ms),
        };
        let outcome = resolve(heard, scrobbles);
        *report.endings.entry(outcome.ending.as_str()).or_default() += 1;
        let row = &mut store.rows[at];
        row.ending = outcome.ending;
        row.played_ms = outcome.played_ms.unwrap_or(NONE);
        row.lasted_ms = outcome.lasted_ms;
    }
}
