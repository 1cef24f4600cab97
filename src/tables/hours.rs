//! Directories of tables by the hour of their rows: `date=YYYY-MM-DD/hour=HH/`, as DuckDB, Spark and pandas know them.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::TableError;

const HOUR_MS: i64 = 3_600_000;
/// Last hour that is told apart, the last that jiff has: 9999-12-30T22.
const LAST: i64 = 70_389_502;

/// An hour, UTC: hours since 1970-01-01T00. Moments before 1970 and after 9999 count as the first and the last hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hour(i64);

impl Hour {
    /// The hour of a moment, Unix ms.
    pub fn of(ms: i64) -> Self {
        Self(ms.div_euclid(HOUR_MS).clamp(0, LAST))
    }

    /// When it ends, Unix ms.
    pub fn end_ms(self) -> i64 {
        (self.0 + 1) * HOUR_MS
    }

    /// Its directory, relative to that of its table.
    pub fn dir(self) -> PathBuf {
        let at = Timestamp::from_second(self.0 * 3_600).unwrap_or_default();
        PathBuf::from(at.strftime("date=%Y-%m-%d/hour=%H").to_string())
    }

    /// Makes its directory below that of its table, so that a power cut does not take it away; returns it.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn make(self, table: &Path) -> Result<PathBuf, TableError> {
        let dir = table.join(self.dir());
        if !dir.is_dir() {
            let made = fs::create_dir_all(&dir).and_then(|()| {
                let mut above = dir.ancestors().skip(1).take(3).filter(|above| !above.as_os_str().is_empty());
                above.try_for_each(|above| fs::File::open(above)?.sync_all())
            });
            made.map_err(|e| TableError::new(&dir, e))?;
        }
        Ok(dir)
    }

    /// The hour of a pair of directories.
    fn parse(date: &str, hour: &str) -> Option<Self> {
        let date: Date = date.strip_prefix("date=")?.parse().ok()?;
        let hour: i8 = hour.strip_prefix("hour=")?.parse().ok()?;
        let at = TimeZone::UTC.to_timestamp(date.at(hour.clamp(0, 23), 0, 0, 0)).ok()?;
        Some(Self::of(at.as_millisecond()))
    }
}

/// The files of a table that end in `.parquet`, by hour, each hour's in order of their names. None where there is no such
/// directory.
///
/// # Errors
/// If a directory cannot be read.
pub fn tables_by_hour(dir: &Path) -> Result<BTreeMap<Hour, Vec<PathBuf>>, TableError> {
    let mut found: BTreeMap<Hour, Vec<PathBuf>> = BTreeMap::new();
    for date in entries(dir)? {
        for hour in entries(&date)? {
            let name = |path: &Path| path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
            let Some(at) = Hour::parse(&name(&date), &name(&hour)) else { continue };
            let mut files: Vec<PathBuf> = entries(&hour)?
                .into_iter()
                .filter(|path| path.extension().is_some_and(|end| end == "parquet"))
                .collect();
            files.sort_unstable();
            if !files.is_empty() {
                found.entry(at).or_default().extend(files);
            }
        }
    }
    Ok(found)
}

/// What stands in a directory; nothing where it is none.
fn entries(dir: &Path) -> Result<Vec<PathBuf>, TableError> {
    match fs::read_dir(dir) {
        Ok(found) => {
            found.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>().map_err(|e| TableError::new(dir, e))
        }
        Err(error) if [io::ErrorKind::NotFound, io::ErrorKind::NotADirectory].contains(&error.kind()) => Ok(Vec::new()),
        Err(error) => Err(TableError::new(dir, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_have_the_directories_that_readers_expect() {
        let hour = Hour::of(1_750_000_000_000);
        assert_eq!(hour.dir(), Path::new("date=2025-06-15/hour=15"));
        assert!(hour.end_ms() > 1_750_000_000_000 && hour.end_ms() - 1_750_000_000_000 <= HOUR_MS);
        assert_eq!(Hour::of(i64::MIN).dir(), Path::new("date=1970-01-01/hour=00"));
        assert_eq!(Hour::of(i64::MAX).dir(), Path::new("date=9999-12-30/hour=22"));
    }

    #[test]
    fn tables_are_found_by_their_hour() {
        let dir = tempfile::tempdir().unwrap();
        let hours = [Hour::of(1_750_000_000_000), Hour::of(1_750_003_600_000), Hour::of(0)];
        for hour in hours {
            let at = dir.path().join(hour.dir());
            fs::create_dir_all(&at).unwrap();
            for name in ["b.parquet", "a.parquet", "c.partial"] {
                fs::write(at.join(name), "").unwrap();
            }
        }
        fs::create_dir_all(dir.path().join("date=soon/hour=1")).unwrap();
        fs::write(dir.path().join("date=soon/hour=1/a.parquet"), "").unwrap();
        let found = tables_by_hour(dir.path()).unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [hours[2], hours[0], hours[1]]);
        let names = ["a.parquet", "b.parquet"].map(|name| dir.path().join(hours[0].dir()).join(name));
        assert_eq!(found[&hours[0]], names);
        assert!(tables_by_hour(&dir.path().join("nowhere")).unwrap().is_empty());
    }
}
