//! What must hold of an event before it counts.

use jiff::Timestamp;

use super::{RawContext, RawEvent};
use crate::config::EventsConfig;
use crate::domain::{Event, EventType};

/// Longest position, length or play that is believed, ms.
const DAY_MS: u32 = 86_400_000;

/// The server's clock and how far a client's may differ from it.
#[derive(Debug, Clone, Copy)]
pub struct Clock<'a> {
    /// Now, Unix ms.
    pub now_ms: i64,
    /// The bounds.
    pub config: &'a EventsConfig,
}

/// Checks an event.
///
/// # Errors
/// What is wrong, beginning with the field's name.
pub fn validate(raw: RawEvent, clock: Clock<'_>) -> Result<Event, String> {
    let ts_ms = clock.check(&raw.client_ts)?;
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
    let RawContext { device, local_hour, market } = raw.context.unwrap_or_default();
    if let Some(hour) = local_hour.filter(|h| *h > 23) {
        return Err(format!("context.local_hour: {hour} is not in 0..23"));
    }
    if let Some(market) = market.as_ref().filter(|m| m.len() != 2 || !m.bytes().all(|b| b.is_ascii_uppercase())) {
        let shown: String = market.chars().take(8).collect();
        return Err(format!("context.market: {shown:?} is not an ISO 3166 code of two capital letters"));
    }
    Ok(Event {
        event_id: raw.event_id,
        user_id: raw.user_id,
        session_id: raw.session_id,
        kind: raw.kind,
        ts_ms,
        track_id: raw.track_id,
        position_ms: raw.position_ms,
        duration_ms: raw.duration_ms,
        played_ms: raw.played_ms,
        reason_start: raw.reason_start,
        reason_end: raw.reason_end,
        recommendation_id: raw.recommendation_id,
        market,
        device,
        local_hour,
    })
}

impl Clock<'_> {
    /// Reads a client's time stamp and holds it against the server's clock.
    fn check(self, client_ts: &str) -> Result<i64, String> {
        let stamp: Timestamp = client_ts.parse().map_err(|_| {
            let shown: String = client_ts.chars().take(40).collect();
            format!("client_ts: {shown:?} is not an RFC 3339 time such as 2026-01-01T00:00:00Z")
        })?;
        let ts_ms = stamp.as_millisecond();
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
        validate(raw, Clock { now_ms: NOW_MS, config: &EventsConfig::default() })
    }

    #[test]
    fn a_good_event_passes_whole() {
        let event = check(|_| {}).unwrap();
        assert_eq!((event.ts_ms, event.kind, event.local_hour), (NOW_MS, EventType::Skip, Some(8)));
        assert!(check(|v| v["type"] = "search".into()).is_ok());
        assert!(check(|v| v["client_ts"] = "2026-01-01T00:04:59Z".into()).is_ok());
    }

    #[test]
    fn every_fault_names_its_field() {
        let faults: [(&str, Value, &str); 9] = [
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
}
