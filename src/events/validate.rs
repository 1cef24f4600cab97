//! What must hold of an event before it counts.

use jiff::Timestamp;

use super::{RawContext, RawEvent};
use crate::config::EventsConfig;
use crate::domain::{EVENT_SCHEMA, Event, EventType};

/// Longest position, length or play that is believed, ms.
const DAY_MS: u32 = 86_400_000;

/// Difference of a client's clock that is left as it is, ms: it may be the way here, and how long a play sounded is told
/// by differences of the client's own times.
const TOLERANCE_MS: i64 = 60_000;

/// The server's clock, and a client's.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    now_ms: i64,
    shift_ms: i64,
    config: &'a EventsConfig,
}

impl<'a> Clock<'a> {
    /// It is `now_ms`, Unix ms. A client that says when it sent is corrected by how far its clock is off, where that is
    /// more than a minute and at most `events.clock_correction_max_s`.
    pub fn new(now_ms: i64, sent_at_ms: Option<i64>, config: &'a EventsConfig) -> Self {
        let off = sent_at_ms.map_or(0, |sent| now_ms.saturating_sub(sent));
        let most = i64::try_from(config.clock_correction_max_s).unwrap_or(i64::MAX).saturating_mul(1_000);
        let known = off.saturating_abs() > TOLERANCE_MS && off.saturating_abs() <= most;
        Self { now_ms, shift_ms: if known { off } else { 0 }, config }
    }

    /// What is added to the client's times, ms.
    pub fn shift_ms(&self) -> i64 {
        self.shift_ms
    }
}

/// Checks an event.
///
/// # Errors
/// What is wrong, beginning with the field's name.
pub fn validate(raw: &RawEvent, clock: Clock<'_>) -> Result<Event, String> {
    if let Some(version) = raw.schema_version.filter(|version| *version != EVENT_SCHEMA) {
        return Err(format!("schema_version: {version} is not known here, {EVENT_SCHEMA} is"));
    }
    with_time(raw, clock.check(&raw.client_ts)?)
}

/// Checks everything of an event but its time, which is `ts_ms`.
pub(super) fn with_time(raw: &RawEvent, ts_ms: i64) -> Result<Event, String> {
    for (field, value) in
        [("position_ms", raw.position_ms), ("duration_ms", raw.duration_ms), ("played_ms", raw.played_ms)]
    {
        if let Some(value) = value.filter(|v| *v > DAY_MS) {
            return Err(format!("{field}: {value} is more than 24 h ({DAY_MS})"));
        }
    }
    if raw.duration_ms == Some(0) {
        return Err("duration_ms: a track of no length; leave it out when unknown".into());
    }
    if raw.track_id.is_none() && raw.kind != EventType::Search {
        return Err(format!("track_id: required for {}", raw.kind.as_str()));
    }
    let RawContext { device, local_hour, market } = raw.context.clone().unwrap_or_default();
    if let Some(hour) = local_hour.filter(|h| *h > 23) {
        return Err(format!("context.local_hour: {hour} is not in 0..23"));
    }
    if let Some(market) = market.as_ref().filter(|m| m.len() != 2 || !m.bytes().all(|b| b.is_ascii_uppercase())) {
        let shown: String = market.chars().take(8).collect();
        return Err(format!("context.market: {shown:?} is not an ISO 3166 code of two capital letters"));
    }
    Ok(Event {
        event_id: raw.event_id.clone(),
        user_id: raw.user_id.clone(),
        session_id: raw.session_id.clone(),
        kind: raw.kind,
        ts_ms,
        track_id: raw.track_id.clone(),
        position_ms: raw.position_ms,
        duration_ms: raw.duration_ms,
        played_ms: raw.played_ms,
        reason_start: raw.reason_start,
        reason_end: raw.reason_end,
        recommendation_id: raw.recommendation_id.clone(),
        market,
        device,
        local_hour,
    })
}

impl Clock<'_> {
    /// Reads a client's time stamp, corrects it and holds it against the server's clock.
    fn check(self, client_ts: &str) -> Result<i64, String> {
        let stamp: Timestamp = client_ts.parse().map_err(|_| {
            let shown: String = client_ts.chars().take(40).collect();
            format!("client_ts: {shown:?} is not an RFC 3339 time such as 2026-01-01T00:00:00Z")
        })?;
        let ts_ms = stamp.as_millisecond().saturating_add(self.shift_ms);
        let ahead_s = (ts_ms - self.now_ms) / 1_000;
        let age_days = (self.now_ms - ts_ms) / i64::from(DAY_MS);
        if ahead_s > self.config.max_future_s as i64 {
            return Err(format!(
                "client_ts: {ahead_s} s ahead of the server's clock, at most {} s are taken",
                self.config.max_future_s
            ));
        }
        if age_days >= self.config.max_age_days as i64 {
            return Err(format!(
                "client_ts: {age_days} days old, at most {} days are taken; import older histories with `segue import`",
                self.config.max_age_days
            ));
        }
        Ok(ts_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// 2026-01-01T00:00:00Z.
    const NOW_MS: i64 = 1_767_225_600_000;

    fn base() -> Value {
        json!({ "event_id": "e1", "user_id": "u", "session_id": "s", "track_id": "t", "type": "skip",
            "client_ts": "2026-01-01T00:00:00Z", "context": { "device": "car", "local_hour": 8, "market": "SE" } })
    }

    fn check(change: impl Fn(&mut Value)) -> Result<Event, String> {
        let mut value = base();
        change(&mut value);
        let raw = serde_json::from_value(value).map_err(|e| e.to_string())?;
        validate(&raw, Clock::new(NOW_MS, None, &EventsConfig::default()))
    }

    #[test]
    fn a_good_event_passes_whole() {
        let event = check(|_| {}).unwrap();
        assert_eq!((event.ts_ms, event.kind, event.local_hour), (NOW_MS, EventType::Skip, Some(8)));
        assert!(check(|v| v["type"] = "search".into()).is_ok());
        assert!(check(|v| v["schema_version"] = 1.into()).is_ok());
        assert!(check(|v| v["client_ts"] = "2026-01-01T00:04:59Z".into()).is_ok());
    }

    #[test]
    fn every_fault_names_its_field() {
        let faults: [(&str, Value, &str); 10] = [
            ("schema_version", 2.into(), "schema_version: 2 is not known here, 1 is"),
            ("client_ts", "yesterday".into(), "client_ts: \"yesterday\" is not an RFC 3339"),
            ("client_ts", "2026-01-01T00:06:00Z".into(), "client_ts: 360 s ahead"),
            ("client_ts", "9999-12-30T00:00:00Z".into(), "client_ts: "),
            ("client_ts", "1890-01-01T00:00:00Z".into(), "client_ts: "),
            ("played_ms", 86_400_001.into(), "played_ms: 86400001 is more than 24 h"),
            ("duration_ms", 0.into(), "duration_ms: a track of no length"),
            ("track_id", Value::Null, "track_id: required for skip"),
            ("context", json!({"local_hour": 24}), "context.local_hour: 24 is not in 0..23"),
            ("context", json!({"market": "sweden"}), "context.market: \"sweden\" is not an ISO 3166"),
        ];
        for (field, value, begins) in faults {
            let fault = check(|v| v[field] = value.clone()).unwrap_err();
            assert!(fault.starts_with(begins), "{fault}");
        }
        assert!(check(|v| v["posision_ms"] = 1.into()).unwrap_err().contains("unknown field `posision_ms`"));
        assert!(check(|v| v["played_ms"] = (-1).into()).is_err());
        assert!(check(|v| v["type"] = "hum".into()).unwrap_err().contains("unknown variant `hum`"));
    }

    #[test]
    fn a_clock_that_is_off_is_corrected_by_what_it_is_off() {
        const YEAR_MS: i64 = 365 * 86_400_000;
        let config = EventsConfig { clock_correction_max_s: 63_072_000, ..EventsConfig::default() };
        let read = |off: i64| {
            let raw = RawEvent::from(&Event { ts_ms: NOW_MS - 5_000 + off, ..check(|_| {}).unwrap() });
            let clock = Clock::new(NOW_MS, Some(NOW_MS + off), &config);
            validate(&raw, clock).map(|event| event.ts_ms - NOW_MS)
        };
        for off in [YEAR_MS, -YEAR_MS, 61_000, -61_000] {
            assert_eq!(read(off), Ok(-5_000), "off by {off} ms");
        }
        assert_eq!((read(60_000), read(-3_000)), (Ok(55_000), Ok(-8_000)), "that may be the way here");
        assert!(read(3 * YEAR_MS).unwrap_err().starts_with("client_ts: "), "more than is corrected");
        for sent in [i64::MIN, i64::MAX] {
            assert_eq!(Clock::new(NOW_MS, Some(sent), &config).shift_ms(), 0);
        }
    }

    #[test]
    fn an_event_can_be_sent_again_as_it_is_known() {
        let event = check(|_| {}).unwrap();
        assert_eq!(validate(&RawEvent::from(&event), Clock::new(NOW_MS, None, &EventsConfig::default())), Ok(event));
    }
}
