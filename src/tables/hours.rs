//! Directories of tables by the hour of their rows: `date=YYYY-MM-DD/hour=HH/`, as DuckDB, Spark and pandas know them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::TableError;
use crate::store::{Store, Stored};

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

    /// Its folder, below that of its table.
    pub fn folder(self) -> String {
        let at = Timestamp::from_second(self.0 * 3_600).unwrap_or_default();
        at.strftime("date=%Y-%m-%d/hour=%H").to_string()
    }

    /// The key of a file of its table.
    pub fn key(self, table: &str, file: &str) -> String {
        format!("{table}/{}/{file}", self.folder())
    }

    /// The hour of a pair of folders.
    fn parse(date: &str, hour: &str) -> Option<Self> {
        let date: Date = date.strip_prefix("date=")?.parse().ok()?;
        let hour: i8 = hour.strip_prefix("hour=")?.parse().ok()?;
        let at = TimeZone::UTC.to_timestamp(date.at(hour.clamp(0, 23), 0, 0, 0)).ok()?;
        Some(Self::of(at.as_millisecond()))
    }
}

/// The objects of a table whose names end in `.parquet`, by hour, each hour's in order of their names. None where there is
/// no such folder.
///
/// # Errors
/// The store's.
pub fn tables_by_hour(store: &Arc<dyn Store>, table: &str) -> Result<BTreeMap<Hour, Vec<Stored>>, TableError> {
    let mut found: BTreeMap<Hour, Vec<Stored>> = BTreeMap::new();
    for object in Stored::list(store, table)? {
        let below = object.key.strip_prefix(table).unwrap_or_default().trim_start_matches('/');
        let [date, hour, name] = below.split('/').collect::<Vec<_>>()[..] else { continue };
        if let Some(hour) = Hour::parse(date, hour).filter(|_| name.ends_with(".parquet")) {
            found.entry(hour).or_default().push(object);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_have_the_directories_that_readers_expect() {
        let hour = Hour::of(1_750_000_000_000);
        assert_eq!(hour.folder(), "date=2025-06-15/hour=15");
        assert_eq!(hour.key("answers", "a.parquet"), "answers/date=2025-06-15/hour=15/a.parquet");
        assert!(hour.end_ms() > 1_750_000_000_000 && hour.end_ms() - 1_750_000_000_000 <= HOUR_MS);
        assert_eq!(Hour::of(i64::MIN).folder(), "date=1970-01-01/hour=00");
        assert_eq!(Hour::of(i64::MAX).folder(), "date=9999-12-30/hour=22");
    }

    #[test]
    fn tables_are_found_by_their_hour() {
        use std::fs;
        let dir = tempfile::tempdir().unwrap();
        let store = crate::store::open(dir.path()).unwrap();
        let hours = [Hour::of(1_750_000_000_000), Hour::of(1_750_003_600_000), Hour::of(0)];
        for hour in hours {
            let at = dir.path().join("t").join(hour.folder());
            fs::create_dir_all(&at).unwrap();
            for name in ["b.parquet", "a.parquet", "c.partial", "d.txt"] {
                fs::write(at.join(name), "").unwrap();
            }
        }
        fs::create_dir_all(dir.path().join("t/date=soon/hour=1")).unwrap();
        fs::write(dir.path().join("t/date=soon/hour=1/a.parquet"), "").unwrap();
        fs::write(dir.path().join("t/date=2025-06-15/a.parquet"), "").unwrap();
        let found = tables_by_hour(&store, "t").unwrap();
        assert_eq!(found.keys().copied().collect::<Vec<_>>(), [hours[2], hours[0], hours[1]]);
        let keys: Vec<_> = found[&hours[0]].iter().map(|object| object.key.clone()).collect();
        assert_eq!(keys, ["a.parquet", "b.parquet"].map(|name| hours[0].key("t", name)));
        assert!(tables_by_hour(&store, "nowhere").unwrap().is_empty());
    }
}
