//! One entry of the log as a row of its table, with a checksum of its own: SQLite's pages have none.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Row, Statement, params_from_iter};

use crate::domain::{
    Device, EndReason, Event, EventId, EventType, RecommendationId, SessionId, StartReason, TrackId, UserId,
};
use crate::events::Entry;

/// The table. A column may be added at the end; a change of meaning needs a new `FORMAT`.
pub(super) const TABLE: &str = "CREATE TABLE IF NOT EXISTS events (
    at INTEGER PRIMARY KEY, kind TEXT NOT NULL, listener TEXT, event_id TEXT, session TEXT, ts_ms INTEGER, track TEXT,
    position_ms INTEGER, duration_ms INTEGER, played_ms INTEGER, reason_start TEXT, reason_end TEXT,
    recommendation TEXT, market TEXT, device TEXT, local_hour INTEGER, sum INTEGER NOT NULL
) STRICT";
/// Binds what [`insert`] gives.
pub(super) const INSERT: &str =
    "INSERT INTO events VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)";
/// Gives what [`read`] takes, from an offset on.
pub(super) const SELECT: &str = "SELECT at, kind, listener, event_id, session, ts_ms, track, position_ms, duration_ms,
    played_ms, reason_start, reason_end, recommendation, market, device, local_hour, sum
    FROM events WHERE at >= ?1 ORDER BY at";
/// Gives what [`read`] takes, of the last entry.
pub(super) const LAST: &str = "SELECT at, kind, listener, event_id, session, ts_ms, track, position_ms, duration_ms,
    played_ms, reason_start, reason_end, recommendation, market, device, local_hour, sum
    FROM events ORDER BY at DESC LIMIT 1";
/// Puts an entry in another's place.
pub(super) const REPLACE: &str =
    "REPLACE INTO events VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,?10,?11,?12,?13,?14,?15,?16,?17)";

/// `kind` of an erasure.
const ERASE: &str = "erase";
/// `kind` of what an erasure left of an event.
const ERASED: &str = "erased";

/// Columns but the checksum.
const COLUMNS: usize = 16;

type Columns<'a> = [ValueRef<'a>; COLUMNS];

/// Runs [`INSERT`] or [`REPLACE`] for an entry.
pub(super) fn insert(statement: &mut Statement<'_>, at: u64, entry: &Entry) -> rusqlite::Result<()> {
    let columns = columns(at, entry);
    let sum = ValueRef::Integer(sum(&columns));
    statement.execute(params_from_iter(columns.into_iter().chain([sum]).map(ToSqlOutput::Borrowed))).map(|_| ())
}

/// Reads a row of [`SELECT`]; the fault of a row that is not as it was written.
pub(super) fn read(row: &Row<'_>) -> rusqlite::Result<Result<(u64, Entry), String>> {
    let mut columns = [ValueRef::Null; COLUMNS];
    for (at, column) in columns.iter_mut().enumerate() {
        *column = row.get_ref(at)?;
    }
    let stored: i64 = row.get_ref(COLUMNS)?.as_i64().unwrap_or(-1);
    Ok(if stored == sum(&columns) { entry(&columns) } else { Err("its checksum does not fit".into()) })
}

fn columns(at: u64, entry: &Entry) -> Columns<'_> {
    let mut columns = [ValueRef::Null; COLUMNS];
    columns[0] = ValueRef::Integer(at as i64);
    let event = match entry {
        Entry::Event(event) => event,
        Entry::Erase(user) => {
            (columns[1], columns[2]) = (text(ERASE), text(user.as_str()));
            return columns;
        }
        Entry::Erased => {
            columns[1] = text(ERASED);
            return columns;
        }
    };
    columns[1] = text(event.kind.as_str());
    columns[2] = text(event.user_id.as_str());
    columns[3] = text(event.event_id.as_str());
    columns[4] = text(event.session_id.as_str());
    columns[5] = ValueRef::Integer(event.ts_ms);
    columns[6] = optional(event.track_id.as_ref().map(TrackId::as_str));
    columns[7] = number(event.position_ms);
    columns[8] = number(event.duration_ms);
    columns[9] = number(event.played_ms);
    columns[10] = optional(event.reason_start.map(StartReason::as_str));
    columns[11] = optional(event.reason_end.map(EndReason::as_str));
    columns[12] = optional(event.recommendation_id.as_ref().map(RecommendationId::as_str));
    columns[13] = optional(event.market.as_deref());
    columns[14] = optional(event.device.map(Device::as_str));
    columns[15] = number(event.local_hour);
    columns
}

fn text(value: &str) -> ValueRef<'_> {
    ValueRef::Text(value.as_bytes())
}

fn optional(value: Option<&str>) -> ValueRef<'_> {
    value.map_or(ValueRef::Null, text)
}

fn number(value: Option<impl Into<i64>>) -> ValueRef<'static> {
    value.map_or(ValueRef::Null, |value| ValueRef::Integer(value.into()))
}

/// CRC-32 over types, lengths and values, so that no two rows of different content read the same.
fn sum(columns: &Columns<'_>) -> i64 {
    let mut crc = crc32fast::Hasher::new();
    for column in columns {
        match column {
            ValueRef::Null => crc.update(&[0]),
            ValueRef::Integer(value) => {
                crc.update(&[1]);
                crc.update(&value.to_le_bytes());
            }
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
                crc.update(&[2]);
                crc.update(&(bytes.len() as u32).to_le_bytes());
                crc.update(bytes);
            }
            ValueRef::Real(value) => {
                crc.update(&[3]);
                crc.update(&value.to_le_bytes());
            }
        }
    }
    i64::from(crc.finalize())
}

fn entry(columns: &Columns<'_>) -> Result<(u64, Entry), String> {
    let at = needed("at", columns[0].as_i64().ok().and_then(|at| u64::try_from(at).ok()))?;
    let listener = || needed("listener", id(columns[2], UserId::new));
    let kind = match needed("kind", as_text(columns[1]))? {
        ERASE => return Ok((at, Entry::Erase(listener()?))),
        ERASED => return Ok((at, Entry::Erased)),
        kind => needed("kind", EventType::parse(kind))?,
    };
    let event = Event {
        event_id: needed("event_id", id(columns[3], EventId::new))?,
        user_id: listener()?,
        session_id: needed("session", id(columns[4], SessionId::new))?,
        kind,
        ts_ms: needed("ts_ms", columns[5].as_i64().ok())?,
        track_id: id(columns[6], TrackId::new),
        position_ms: whole(columns[7]),
        duration_ms: whole(columns[8]),
        played_ms: whole(columns[9]),
        reason_start: as_text(columns[10]).and_then(StartReason::parse),
        reason_end: as_text(columns[11]).and_then(EndReason::parse),
        recommendation_id: id(columns[12], RecommendationId::new),
        market: as_text(columns[13]).map(str::to_owned),
        device: as_text(columns[14]).and_then(Device::parse),
        local_hour: whole(columns[15]),
    };
    Ok((at, Entry::Event(event)))
}

fn needed<T>(column: &str, value: Option<T>) -> Result<T, String> {
    value.ok_or_else(|| format!("its column {column} makes no sense"))
}

fn as_text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

fn id<'a, T, E>(value: ValueRef<'a>, make: impl Fn(&'a str) -> Result<T, E>) -> Option<T> {
    as_text(value).and_then(|text| make(text).ok())
}

fn whole<T: TryFrom<i64>>(value: ValueRef<'_>) -> Option<T> {
    value.as_i64().ok().and_then(|value| T::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::testing::event;
    use proptest::prelude::*;
    use rusqlite::Connection;

    fn any_event() -> impl Strategy<Value = Event> {
        let of = |n: usize| 0..n;
        let word = || prop::option::of("[a-zü ]{1,12}");
        let numbers =
            (any::<i64>(), prop::option::of(any::<u32>()), prop::option::of(any::<u32>()), any::<Option<u8>>());
        (of(14), "[a-z]{1,9}", word(), numbers, of(5), of(7), of(7), prop::option::of("[A-Z]{2}")).prop_map(
            |(kind, name, track, (ts_ms, position_ms, played_ms, local_hour), start, end, device, market)| Event {
                position_ms,
                played_ms,
                duration_ms: played_ms.map(|ms| ms / 2),
                recommendation_id: track.as_ref().map(|id| RecommendationId::new(id).unwrap()),
                reason_start: StartReason::ALL.get(start).copied(),
                reason_end: EndReason::ALL.get(end).copied(),
                device: Device::ALL.get(device).copied(),
                market,
                local_hour,
                ..event(&name, &name, &name, EventType::ALL[kind], track.as_deref(), ts_ms)
            },
        )
    }

    fn table() -> Connection {
        let db = Connection::open_in_memory().unwrap();
        db.execute_batch(TABLE).unwrap();
        db
    }

    fn stored(db: &Connection) -> Vec<Result<(u64, Entry), String>> {
        let mut statement = db.prepare(SELECT).unwrap();
        let rows = statement.query_map([0], read).unwrap().collect::<rusqlite::Result<_>>();
        rows.unwrap()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_written_is_read(event in any_event(), at in 0u64..1 << 40) {
            let db = table();
            let entries = [Entry::Erase(event.user_id.clone()), Entry::Event(event), Entry::Erased];
            for (step, entry) in (0u64..).zip(&entries) {
                insert(&mut db.prepare(INSERT).unwrap(), at + step, entry).unwrap();
            }
            let expected: Vec<_> = (at..).zip(entries).map(Ok).collect();
            prop_assert_eq!(stored(&db), expected);
        }
    }

    #[test]
    fn a_changed_column_is_a_fault() {
        let changes =
            ["played_ms = 7", "track = 't'", "track = NULL", "kind = 'like'", "at = 9", "sum = 1", "event_id = 'f'"];
        for change in changes {
            let db = table();
            let row = Entry::Event(event("e", "u", "s", EventType::Skip, Some("t1"), 5));
            insert(&mut db.prepare(INSERT).unwrap(), 1, &row).unwrap();
            db.execute_batch(&format!("UPDATE events SET {change}")).unwrap();
            assert_eq!(stored(&db), [Err("its checksum does not fit".to_owned())], "{change}");
        }
    }
}
