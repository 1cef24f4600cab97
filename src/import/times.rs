//! Points in time as sources write them.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::TimeZone;

use super::cell::Cell;

/// How a column writes time.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(from = "String")]
pub(super) enum TimeFormat {
    /// Unix time in a unit of so many to the second.
    Unix(i64),
    /// RFC 3339 or ISO 8601; UTC where no offset is written.
    Iso,
    /// A `strftime` pattern; UTC where it has no offset.
    Pattern(String),
}

impl From<String> for TimeFormat {
    fn from(name: String) -> Self {
        match name.as_str() {
            "unix_s" => Self::Unix(1),
            "unix_ms" => Self::Unix(1_000),
            "unix_us" => Self::Unix(1_000_000),
            "unix_ns" => Self::Unix(1_000_000_000),
            "iso" => Self::Iso,
            _ => Self::Pattern(name),
        }
    }
}

impl TimeFormat {
    /// Unix milliseconds of a cell.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(super) fn read(&self, cell: &Cell) -> Result<i64, String> {
        match self {
            Self::Unix(per_s) => unix(cell, *per_s),
            Self::Iso => {
                let text = words(cell, "a date and time")?;
                iso(&text).ok_or_else(|| cell.instead_of("a time such as 2024-01-31T18:00:00Z"))
            }
            Self::Pattern(pattern) => {
                let text = words(cell, "a date and time")?;
                by_pattern(pattern, &text).ok_or_else(|| cell.instead_of(&format!("a time like {pattern:?}")))
            }
        }
    }
}

fn words(cell: &Cell, wanted: &str) -> Result<String, String> {
    let text = if let Cell::Text(text) = cell { text.trim() } else { "" };
    if text.is_empty() { Err(cell.instead_of(wanted)) } else { Ok(text.to_owned()) }
}

fn unix(cell: &Cell, per_s: i64) -> Result<i64, String> {
    let wanted = "a Unix time";
    let whole = match cell {
        Cell::Int(n) => Some(*n),
        Cell::Text(text) => text.trim().parse().ok(),
        Cell::Null | Cell::Bool(_) | Cell::Float(_) | Cell::Nested => None,
    };
    if let Some(n) = whole {
        let ms = i128::from(n) * 1_000 / i128::from(per_s);
        return i64::try_from(ms).map_err(|_| cell.instead_of(wanted));
    }
    let n = cell.number()?.ok_or_else(|| cell.instead_of(wanted))?;
    let ms = (n * (1_000.0 / per_s as f64)).round();
    if ms.is_finite() && ms.abs() < 1e15 { Ok(ms as i64) } else { Err(cell.instead_of(wanted)) }
}

/// Reads RFC 3339, or a date and time without offset as UTC.
pub(super) fn iso(text: &str) -> Option<i64> {
    if let Ok(stamp) = text.parse::<Timestamp>() {
        return Some(stamp.as_millisecond());
    }
    utc(text.parse::<DateTime>().ok()?)
}

fn by_pattern(pattern: &str, text: &str) -> Option<i64> {
    let parsed = BrokenDownTime::parse(pattern, text).ok()?;
    if let Ok(stamp) = parsed.to_timestamp() {
        return Some(stamp.as_millisecond());
    }
    let local = parsed.to_datetime().or_else(|_| parsed.to_date().map(|date| date.at(0, 0, 0, 0)));
    utc(local.ok()?)
}

fn utc(local: DateTime) -> Option<i64> {
    TimeZone::UTC.to_timestamp(local).ok().map(Timestamp::as_millisecond)
}

/// Days since 1970-01-01 of a date, of which month and day may be missing: the first of each then.
pub(super) fn day(text: &str) -> Option<i32> {
    let text = text.trim();
    let whole = match text.len() {
        4 => format!("{text}-01-01"),
        7 => format!("{text}-01"),
        _ => text.chars().take(10).collect(),
    };
    let date: Date = whole.parse().ok()?;
    // Day numbers have four digits, too: they must not pass for years.
    if !(1900..=2100).contains(&date.year()) {
        return None;
    }
    let ms = utc(date.at(0, 0, 0, 0))?;
    i32::try_from(ms.div_euclid(86_400_000)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: i64 = 1_241_478_537_000;

    fn read(format: &str, cell: Cell) -> Result<i64, String> {
        TimeFormat::from(format.to_owned()).read(&cell)
    }

    #[test]
    fn every_way_to_write_a_time_is_read() {
        let text = |t: &str| Cell::Text(t.into());
        assert_eq!(read("unix_s", Cell::Int(T / 1_000)), Ok(T));
        assert_eq!(read("unix_s", text(" 1241478537 ")), Ok(T));
        assert_eq!(read("unix_s", Cell::Float(1_241_478_537.25)), Ok(T + 250));
        assert_eq!(read("unix_ns", Cell::Int(T * 1_000_000)), Ok(T));
        assert_eq!(read("iso", text("2009-05-04T23:08:57Z")), Ok(T));
        assert_eq!(read("iso", text("2009-05-05T01:08:57+02:00")), Ok(T));
        assert_eq!(read("iso", text("2009-05-04 23:08:57")), Ok(T));
        assert_eq!(read("%d %b %Y, %H:%M:%S", text("04 May 2009, 23:08:57")), Ok(T));
        assert_eq!(read("%Y-%m-%d %H:%M:%S %z", text("2009-05-04 22:08:57 -0100")), Ok(T));
        assert_eq!(read("%Y-%m-%d", text("2009-05-04")), Ok(T - 83_337_000));
    }

    #[test]
    fn what_is_no_time_is_named() {
        assert!(read("iso", Cell::Int(5)).unwrap_err().contains("found 5"));
        assert!(read("unix_s", Cell::Text("soon".into())).unwrap_err().contains("\"soon\""));
        assert!(read("unix_s", Cell::Float(f64::INFINITY)).is_err());
        assert!(read("unix_s", Cell::Int(i64::MAX)).is_err());
        assert!(read("%Y", Cell::Text("x".into())).is_err());
    }

    #[test]
    fn dates_may_be_short() {
        assert_eq!(day("1970-01-02"), Some(1));
        assert_eq!(day("1970-02"), Some(31));
        assert_eq!(day("1971"), Some(365));
        assert_eq!(day("1969-12-31T10:00:00Z"), Some(-1));
        assert_eq!(day("soon"), None);
        assert_eq!(day("5479"), None);
    }
}
