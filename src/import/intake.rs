//! Takes plays from the readers: checks, counts, numbers.

use std::collections::HashSet;
use std::sync::Arc;

use super::ImportError;
use super::about::{About, DAY_MS};
use super::ending::Ending;
use super::play::{Fault, Hint, RawPlay, check};
use super::report::{Reason, Report};
use super::store::{NONE, Row, Store};
use crate::domain::{TrackId, UserId};

/// Distinct genres that a catalogue may hold.
const MAX_GENRES: usize = 65_000;

/// One row of a catalogue file, unchecked.
pub(super) struct Described {
    /// The track's id.
    pub(super) track: String,
    /// What the row says of it.
    pub(super) about: About,
    /// Values of the row that were passed over.
    pub(super) notes: Vec<&'static str>,
}

/// Where plays go while files are read.
pub(super) struct Intake<'a> {
    /// The plays so far.
    pub(super) store: Store,
    /// The account so far.
    pub(super) report: Report,
    /// Now, Unix ms.
    now_ms: i64,
    /// The file that is being read.
    file: u32,
    genres: HashSet<String>,
    /// Tracks that the catalogue file has described.
    described: HashSet<TrackId>,
    /// Hears how many bytes of the file are read.
    progress: &'a dyn Fn(u64),
}

impl<'a> Intake<'a> {
    /// An empty one.
    pub(super) fn new(report: Report, now_ms: i64, progress: &'a dyn Fn(u64)) -> Self {
        Self {
            store: Store::default(),
            report,
            now_ms,
            file: 0,
            genres: HashSet::new(),
            described: HashSet::new(),
            progress,
        }
    }

    /// Goes on with another file, by its number in the report.
    pub(super) fn begin(&mut self, file: u32) {
        self.file = file;
    }

    /// Tells how many bytes of the file are read.
    pub(super) fn at_byte(&self, bytes: u64) {
        (self.progress)(bytes);
    }

    /// Takes one row of a source: a play, or why it is none.
    ///
    /// # Errors
    /// Only when numbers run out; a bad row is counted.
    pub(super) fn row(&mut self, at: u64, play: Result<RawPlay, Fault>) -> Result<(), ImportError> {
        self.report.rows += 1;
        let checked = play.and_then(|play| check(&play, self.now_ms).map(|()| play));
        match checked.and_then(|play| self.identify(&play).map(|ids| (play, ids))) {
            Ok((play, (user, track))) => self.keep(at, play, user, track),
            Err(fault) => {
                self.report.leave_out(self.file, at, &fault);
                Ok(())
            }
        }
    }

    /// Takes one row of the catalogue file; what it says goes before what plays say.
    ///
    /// # Errors
    /// Only when numbers run out.
    pub(super) fn catalogue_row(
        &mut self,
        at: u64,
        row: Result<Described, Fault>,
        unplayed: bool,
    ) -> Result<(), ImportError> {
        self.report.catalogue_rows += 1;
        let bad = |detail: String| Fault::new(Reason::BadCatalogueRow, detail);
        let checked = row.map_err(|fault| bad(fault.detail)).and_then(|row| {
            let id = TrackId::new(&row.track).map_err(|e| bad(e.to_string()))?;
            if self.described.insert(id.clone()) {
                Ok((id, row.about, row.notes))
            } else {
                Err(Fault::new(Reason::RepeatedTrack, format!("track {id}: the first row stands")))
            }
        });
        let (id, mut about, notes) = match checked {
            Ok(row) => row,
            Err(fault) => {
                self.report.leave_out(self.file, at, &fault);
                return Ok(());
            }
        };
        notes.into_iter().for_each(|note| self.report.ignore(note));
        self.clean(&mut about);
        match self.store.tracks.find(id.as_str()) {
            Some(number) => {
                let place = &mut self.store.about[number as usize];
                let of_plays = std::mem::replace(place, about);
                place.fill(of_plays);
            }
            None if unplayed => {
                self.store.track(None, id, about)?;
            }
            None => {}
        }
        Ok(())
    }

    /// Checks both ids before anything is numbered: a row that is left out leaves no trace.
    fn identify(&self, play: &RawPlay) -> Result<(Option<u32>, Option<u32>), Fault> {
        let (user, track) = (self.store.users.find(&play.user), self.store.tracks.find(&play.track));
        if user.is_none() {
            UserId::new(&play.user).map_err(|e| Fault::new(Reason::BadUser, e.to_string()))?;
        }
        if track.is_none() {
            TrackId::new(&play.track).map_err(|e| Fault::new(Reason::BadTrack, e.to_string()))?;
        }
        Ok((user, track))
    }

    fn keep(&mut self, at: u64, mut play: RawPlay, user: Option<u32>, track: Option<u32>) -> Result<(), ImportError> {
        play.notes.iter().for_each(|note| self.report.ignore(note));
        let duration_ms = play.about.duration_ms.filter(|ms| *ms > 0 && *ms <= DAY_MS);
        self.clean(&mut play.about);
        let store = &mut self.store;
        let user = match user {
            Some(user) => user,
            None => store.users.add(UserId::new(&play.user)?, "users")?,
        };
        let id = match track {
            Some(track) => store.tracks.all()[track as usize].clone(),
            None => TrackId::new(&play.track)?,
        };
        let track = store.track(track, id, play.about)?;
        let session = match play.session.as_deref() {
            None => NONE,
            Some(text) => match store.sessions.find(text) {
                Some(session) => session,
                None => store.sessions.add(Arc::from(text), "sessions")?,
            },
        };
        let market = self.market(play.market)?;
        let hour = play.local_hour.filter(|hour| *hour < 24).unwrap_or(u8::MAX);
        let number = |ms: Option<i64>| ms.and_then(|ms| u32::try_from(ms).ok()).unwrap_or(NONE);
        self.store.push(Row {
            start_ms: play.start_ms,
            at,
            file: self.file,
            user,
            track,
            session,
            played_ms: number(play.played_ms),
            duration_ms: number(duration_ms),
            lasted_ms: 0,
            market,
            hint: play.hint,
            ending: Ending::Unheard,
            reason_start: play.reason_start,
            device: play.device,
            local_hour: hour,
            liked: play.liked,
        })
    }

    fn market(&mut self, market: Option<String>) -> Result<u16, ImportError> {
        let Some(code) = market.map(|code| code.to_ascii_uppercase()) else { return Ok(u16::MAX) };
        // ZZ is how services write "unknown".
        if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase()) || code == "ZZ" {
            self.report.ignore("market that is no ISO 3166 code");
            return Ok(u16::MAX);
        }
        let number = match self.store.markets.find(&code) {
            Some(number) => number,
            None => self.store.markets.add(Arc::from(code), "markets")?,
        };
        Ok(number as u16)
    }

    fn clean(&mut self, about: &mut About) {
        about.clean(&mut |note| self.report.ignore(note));
        if let Some(genre) = about.genre.as_ref().filter(|genre| !self.genres.contains(*genre)) {
            if self.genres.len() < MAX_GENRES {
                self.genres.insert(genre.clone());
            } else {
                about.genre = None;
                self.report.ignore("genre beyond the 65,000th");
            }
        }
    }
}

/// What a skip flag says.
pub(super) fn hint_of_flag(skipped: Option<bool>) -> Hint {
    match skipped {
        Some(true) => Hint::Skipped,
        Some(false) => Hint::NotSkipped,
        None => Hint::Nothing,
    }
}
