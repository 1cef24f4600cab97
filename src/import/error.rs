//! Why an import fails as a whole. A bad row is no error: it is counted.

use crate::domain::IdError;
use crate::tables::TableError;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file or directory cannot be used; the text names it and says what to do.
    #[error("{0}")]
    Input(String),
    /// The mapping cannot be used.
    #[error("mapping: {0}")]
    Mapping(String),
    /// The output directory already holds tables.
    #[error("{0} is already there: choose another --out, or move it away first")]
    Exists(String),
    /// More rows are bad than the plan allows.
    #[error(
        "{bad} of {rows} rows cannot be used, most of them for {reason:?} (e.g. {example}); see {report}. Check --format \
         and the mapping, or allow it with --max-bad-share"
    )]
    TooManyBad {
        /// Bad rows.
        bad: u64,
        /// Rows read.
        rows: u64,
        /// The most frequent reason.
        reason: &'static str,
        /// The first row that it befell.
        example: String,
        /// Where the report lies.
        report: String,
    },
    /// No play is left.
    #[error("no play in {rows} rows of {files} files can be used ({why}); check --format and --input, see {report}")]
    NoPlays {
        /// Rows read.
        rows: u64,
        /// Files read.
        files: usize,
        /// The most frequent reason.
        why: String,
        /// Where the report lies.
        report: String,
    },
    /// More distinct users, tracks or plays than row numbers can count.
    #[error("more than {limit} {what}: import the history in parts")]
    TooMany {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// A table cannot be read or written.
    #[error(transparent)]
    Table(#[from] TableError),
    /// An id that was made here is none.
    #[error("an id that the import made is not valid: {0}")]
    Id(#[from] IdError),
}

impl ImportError {
    /// A file or directory that cannot be read or written.
    pub(super) fn file(path: &std::path::Path, fault: impl std::fmt::Display) -> Self {
        Self::Input(format!("{}: {fault}", path.display()))
    }
}
