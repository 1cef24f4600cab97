//! What an import read, wrote and left out.

use std::collections::BTreeMap;
use std::path::Path;

use super::ImportError;
use super::play::Fault;

/// Rows sampled for each reason.
const SAMPLES: usize = 10;

/// Longest detail of a sample, in characters.
const DETAIL_CHARS: usize = 200;

macro_rules! reasons {
    ($($(#[$doc:meta])* $variant:ident = $text:literal, $bad:literal;)*) => {
        /// Why a row is left out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(super) enum Reason { $($(#[$doc])* $variant),* }

        impl Reason {
            /// Every reason.
            const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The name in the report.
            pub(super) fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }

            /// Whether the row is a fault of the source; others are rows that no catalogue wants.
            pub(super) fn is_bad(self) -> bool {
                match self { $(Self::$variant => $bad),* }
            }
        }
    };
}

reasons! {
    /// Not a row of this format at all.
    Malformed = "malformed row", true;
    /// A value of another type than the format's.
    WrongType = "wrong type", true;
    /// The time cannot be read.
    BadTime = "unreadable time", true;
    /// Before 2000.
    TooOld = "before 2000-01-01", true;
    /// After the import's own time.
    InFuture = "in the future", true;
    /// No listener, or no id.
    BadUser = "bad user id", true;
    /// No track, or no id.
    BadTrack = "bad track id", true;
    /// Played less than nothing.
    NegativePlaytime = "negative playtime", true;
    /// Played more than a day.
    AbsurdPlaytime = "absurd playtime", true;
    /// The same listener, track and time again.
    Duplicate = "duplicate play", false;
    /// A podcast, audiobook or video.
    NotMusic = "not music", false;
    /// Listened in private.
    Private = "private session", false;
    /// A row of the catalogue file that cannot be used.
    BadCatalogueRow = "bad catalogue row", false;
    /// A row of the catalogue file for a track that an earlier one describes.
    RepeatedTrack = "repeated catalogue row", false;
}

/// Rows left out for one reason.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct LeftOut {
    /// How many.
    pub count: u64,
    /// The first ones.
    pub samples: Vec<Sample>,
}

/// One row that was left out.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Sample {
    /// The file.
    pub file: String,
    /// Line of a text file, else number of the row, both from 1.
    pub row: u64,
    /// What is wrong with it.
    pub detail: String,
}

/// The whole account; `import-report.json`.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Report {
    /// The format's name.
    pub format: String,
    /// Files read, in order.
    pub files: Vec<String>,
    /// Rows read.
    pub rows: u64,
    /// Rows of the catalogue file read.
    pub catalogue_rows: u64,
    /// Plays written.
    pub plays: u64,
    /// Events written.
    pub events: u64,
    /// Listeners.
    pub users: u64,
    /// Tracks written.
    pub tracks: u64,
    /// Sessions.
    pub sessions: u64,
    /// Start of the first play, Unix ms.
    pub first_ms: i64,
    /// Start of the last play, Unix ms.
    pub last_ms: i64,
    /// Plays by how they ended.
    pub endings: BTreeMap<&'static str, u64>,
    /// Rows left out by reason.
    pub left_out: BTreeMap<&'static str, LeftOut>,
    /// Values passed over in rows that were kept.
    pub ignored_values: BTreeMap<&'static str, u64>,
}

impl Report {
    /// Counts a row that is left out; the first of each reason are sampled.
    pub(super) fn leave_out(&mut self, file: u32, row: u64, fault: &Fault) {
        let left = self.left_out.entry(fault.reason.as_str()).or_default();
        left.count += 1;
        if left.samples.len() < SAMPLES {
            left.samples.push(Sample {
                file: self.files.get(file as usize).cloned().unwrap_or_default(),
                row,
                detail: fault.detail.chars().take(DETAIL_CHARS).collect(),
            });
        }
    }

    /// Counts a value that is passed over.
    pub(super) fn ignore(&mut self, what: &'static str) {
        *self.ignored_values.entry(what).or_default() += 1;
    }

    /// Rows left out for one reason.
    pub(super) fn count(&self, reason: Reason) -> u64 {
        self.left_out.get(reason.as_str()).map_or(0, |left| left.count)
    }

    /// Rows that are faults of the source.
    pub fn bad_rows(&self) -> u64 {
        Reason::ALL.iter().filter(|reason| reason.is_bad()).map(|reason| self.count(*reason)).sum()
    }

    /// The most frequent of the given kind of reason, the first of them at a tie.
    pub(super) fn foremost(&self, kind: impl Fn(Reason) -> bool) -> Option<(&'static str, &LeftOut)> {
        let counted = Reason::ALL.iter().rev().filter(|reason| kind(**reason));
        let most = counted.max_by_key(|reason| self.count(**reason))?;
        self.left_out.get(most.as_str()).map(|left| (most.as_str(), left))
    }

    /// Writes the report.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<(), ImportError> {
        let text = serde_json::to_string_pretty(self).map_err(|e| ImportError::file(path, e))?;
        std::fs::write(path, text + "\n").map_err(|e| ImportError::file(path, e))
    }
}

impl LeftOut {
    /// The first sample in words.
    pub(super) fn example(&self) -> String {
        self.samples.first().map_or_else(String::new, |s| format!("{} row {}: {}", s.file, s.row, s.detail))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_counts_and_the_first_are_sampled() {
        let mut report = Report { files: vec!["a".into()], ..Report::default() };
        for row in 0..25 {
            report.leave_out(0, row, &Fault::new(Reason::TooOld, "x".repeat(500)));
        }
        report.leave_out(0, 30, &Fault::new(Reason::NotMusic, "a podcast"));
        let left = &report.left_out["before 2000-01-01"];
        assert_eq!((left.count, left.samples.len(), left.samples[9].row), (25, SAMPLES, 9));
        assert_eq!(left.samples[0].detail.len(), DETAIL_CHARS);
        assert_eq!(report.bad_rows(), 25);
        assert_eq!(report.foremost(Reason::is_bad).unwrap().0, "before 2000-01-01");
        assert_eq!(report.foremost(|_| true).unwrap().1.count, 25);
        assert_eq!(Report::default().foremost(Reason::is_bad), None);
    }
}
