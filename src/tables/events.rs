//! `events.parquet`.

use std::path::Path;

use super::{Closed, Column, RowWriter, Rows, TableError, Type, read_rows, stored_rows};
use crate::domain::{
    Device, EndReason, Event, EventId, EventType, RecommendationId, SessionId, StartReason, TrackId, UserId,
};
use crate::store::{Draft, Stored};

const COLUMNS: [Column; 15] = [
    Column::required("event_id", Type::Utf8),
    Column::required("user_id", Type::Utf8),
    Column::required("session_id", Type::Utf8),
    Column::required("type", Type::Utf8),
    Column::required("ts_ms", Type::Int64),
    Column::optional("track_id", Type::Utf8),
    Column::optional("position_ms", Type::Int32),
    Column::optional("duration_ms", Type::Int32),
    Column::optional("played_ms", Type::Int32),
    Column::optional("reason_start", Type::Utf8),
    Column::optional("reason_end", Type::Utf8),
    Column::optional("recommendation_id", Type::Utf8),
    Column::optional("market", Type::Utf8),
    Column::optional("device", Type::Utf8),
    Column::optional("local_hour", Type::Int8),
];

/// One row as it lies in the file; nothing in it has been checked.
#[derive(serde::Serialize, serde::Deserialize)]
struct EventRow {
    event_id: String,
    user_id: String,
    session_id: String,
    r#type: String,
    ts_ms: i64,
    track_id: Option<String>,
    position_ms: Option<i32>,
    duration_ms: Option<i32>,
    played_ms: Option<i32>,
    reason_start: Option<String>,
    reason_end: Option<String>,
    recommendation_id: Option<String>,
    market: Option<String>,
    device: Option<String>,
    local_hour: Option<i8>,
    /// Only in the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    offset: Option<i64>,
}

/// An event with its place in the event log.
#[derive(Debug, Clone, PartialEq)]
pub struct ArchivedEvent {
    /// Its offset.
    pub offset: u64,
    /// The event.
    pub event: Event,
}

/// Writes `events.parquet`; the caller brings events in time order.
pub struct EventWriter(RowWriter<EventRow>);

impl EventWriter {
    /// Opens the table.
    ///
    /// # Errors
    /// As [`RowWriter::create`].
    pub fn create(path: &Path) -> Result<Self, TableError> {
        RowWriter::create(path, &COLUMNS).map(Self)
    }

    /// Adds an event.
    ///
    /// # Errors
    /// As [`RowWriter::write`].
    pub fn write(&mut self, event: &Event) -> Result<(), TableError> {
        self.0.write(to_row(event, None))
    }

    /// Opens a table of the archive: `events.parquet` with the column `offset`.
    ///
    /// # Errors
    /// As [`RowWriter::on`].
    pub fn archive(draft: Draft) -> Result<Self, TableError> {
        let columns = [&COLUMNS[..], &[Column::required("offset", Type::Int64)]].concat();
        RowWriter::on(draft, &columns).map(Self)
    }

    /// Adds an event to a table of the archive.
    ///
    /// # Errors
    /// As [`RowWriter::write`].
    pub fn write_archived(&mut self, archived: &ArchivedEvent) -> Result<(), TableError> {
        self.0.write(to_row(&archived.event, Some(archived.offset.cast_signed())))
    }

    /// As [`RowWriter::note`].
    pub fn note(&mut self, key: &str, value: impl ToString) {
        self.0.note(key, value);
    }

    /// Completes the table; returns the number of events.
    ///
    /// # Errors
    /// As [`RowWriter::finish`].
    pub fn finish(self) -> Result<u64, TableError> {
        self.0.finish()
    }

    /// As [`RowWriter::close`].
    ///
    /// # Errors
    /// As [`RowWriter::close`].
    pub fn close(self) -> Result<Closed, TableError> {
        self.0.close()
    }
}

/// Reads events one by one, checked.
///
/// # Errors
/// As [`read_rows`]; a row with an unknown type, a bad id or a negative number is an error that names row and fault.
pub fn read_events(path: &Path) -> Result<impl Iterator<Item = Result<Event, TableError>> + use<>, TableError> {
    Ok(checked(read_rows(path)?, from_row))
}

/// The same of an object.
///
/// # Errors
/// As [`read_events`].
pub fn stored_events(object: &Stored) -> Result<impl Iterator<Item = Result<Event, TableError>> + use<>, TableError> {
    Ok(checked(stored_rows(object)?, from_row))
}

/// Reads the events of a table of the archive, checked.
///
/// # Errors
/// As [`read_events`]; also a row without an offset.
pub fn read_archived(
    object: &Stored,
) -> Result<impl Iterator<Item = Result<ArchivedEvent, TableError>> + use<>, TableError> {
    Ok(checked(stored_rows(object)?, |row| {
        let offset = row.offset.and_then(|offset| u64::try_from(offset).ok()).ok_or("it has no offset")?;
        Ok(ArchivedEvent { offset, event: from_row(row)? })
    }))
}

/// Rows that are more than their columns say; what is wrong with one is told with its place.
fn checked<T>(
    rows: Rows<EventRow>,
    check: fn(EventRow) -> Result<T, String>,
) -> impl Iterator<Item = Result<T, TableError>> {
    let name = rows.name().to_owned();
    rows.enumerate()
        .map(move |(at, row)| check(row?).map_err(|fault| TableError::new(&name, format!("row {at}: {fault}"))))
}

fn to_row(event: &Event, offset: Option<i64>) -> EventRow {
    let number = |n: Option<u32>| n.map(|n| i32::try_from(n).unwrap_or(i32::MAX));
    EventRow {
        event_id: event.event_id.to_string(),
        user_id: event.user_id.to_string(),
        session_id: event.session_id.to_string(),
        r#type: event.kind.as_str().into(),
        ts_ms: event.ts_ms,
        track_id: event.track_id.as_ref().map(ToString::to_string),
        position_ms: number(event.position_ms),
        duration_ms: number(event.duration_ms),
        played_ms: number(event.played_ms),
        reason_start: event.reason_start.map(|r| r.as_str().into()),
        reason_end: event.reason_end.map(|r| r.as_str().into()),
        recommendation_id: event.recommendation_id.as_ref().map(ToString::to_string),
        market: event.market.clone(),
        device: event.device.map(|d| d.as_str().into()),
        local_hour: event.local_hour.map(|h| h.min(23) as i8),
        offset,
    }
}

fn from_row(row: EventRow) -> Result<Event, String> {
    Ok(Event {
        event_id: EventId::new(&row.event_id).map_err(|e| format!("event_id: {e}"))?,
        user_id: UserId::new(&row.user_id).map_err(|e| format!("user_id: {e}"))?,
        session_id: SessionId::new(&row.session_id).map_err(|e| format!("session_id: {e}"))?,
        kind: EventType::parse(&row.r#type).ok_or_else(|| format!("type {:?} is not known", row.r#type))?,
        ts_ms: row.ts_ms,
        track_id: row.track_id.map(TrackId::new).transpose().map_err(|e| format!("track_id: {e}"))?,
        position_ms: natural("position_ms", row.position_ms)?,
        duration_ms: natural("duration_ms", row.duration_ms)?,
        played_ms: natural("played_ms", row.played_ms)?,
        reason_start: word("reason_start", row.reason_start, StartReason::parse)?,
        reason_end: word("reason_end", row.reason_end, EndReason::parse)?,
        recommendation_id: row
            .recommendation_id
            .map(RecommendationId::new)
            .transpose()
            .map_err(|e| format!("recommendation_id: {e}"))?,
        market: row.market,
        device: word("device", row.device, Device::parse)?,
        local_hour: match row.local_hour {
            Some(hour) if !(0..24).contains(&hour) => return Err(format!("local_hour {hour} is not in 0..23")),
            hour => hour.map(|h| h as u8),
        },
    })
}

fn natural(column: &str, value: Option<i32>) -> Result<Option<u32>, String> {
    value.map(|v| u32::try_from(v).map_err(|_| format!("{column} {v} is negative"))).transpose()
}

fn word<T>(column: &str, value: Option<String>, parse: fn(&str) -> Option<T>) -> Result<Option<T>, String> {
    value.map(|v| parse(&v).ok_or_else(|| format!("{column} {v:?} is not known"))).transpose()
}
