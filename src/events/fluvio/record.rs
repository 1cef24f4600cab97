//! An entry as a record of the topic: JSON, keyed by listener, so that a listener's entries stay in one partition and order.

use crate::domain::{EVENT_SCHEMA, Event, UserId};
use crate::events::validate::with_time;
use crate::events::{Entry, RawEvent};

/// What a record holds.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct Record {
    /// Schema of the event.
    v: u32,
    /// The node that logged it.
    node: String,
    /// What happened,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<RawEvent>,
    /// or the listener who was erased.
    #[serde(skip_serializing_if = "Option::is_none")]
    erase: Option<String>,
}

/// What another node logged.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Sent {
    /// An event.
    Event(Event),
    /// An erasure.
    Erase(UserId),
    /// It is this node's own.
    Own,
}

/// Key and record of an entry; `None` for what an erasure left, of which nothing is to be told.
pub(super) fn encode(node: &str, entry: &Entry) -> Option<(String, String)> {
    let (key, event, erase) = match entry {
        Entry::Event(event) => (&event.user_id, Some(RawEvent::from(event)), None),
        Entry::Erase(user) => (user, None, Some(user.to_string())),
        Entry::Erased => return None,
    };
    let record = Record { v: EVENT_SCHEMA, node: node.to_owned(), event, erase };
    // Structs of strings and numbers can always be written.
    Some((key.to_string(), serde_json::to_string(&record).unwrap_or_default()))
}

/// Reads a record; what is wrong with one that cannot be.
pub(super) fn decode(node: &str, bytes: &[u8]) -> Result<Sent, String> {
    let record: Record = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    if record.v != EVENT_SCHEMA {
        return Err(format!("v: {} is not known here, {EVENT_SCHEMA} is", record.v));
    }
    if record.node == node {
        return Ok(Sent::Own);
    }
    match (record.event, record.erase) {
        (Some(raw), None) => {
            let ts: jiff::Timestamp =
                raw.client_ts.parse().map_err(|_| "client_ts: not an RFC 3339 time".to_owned())?;
            with_time(&raw, ts.as_millisecond()).map(Sent::Event)
        }
        (None, Some(user)) => UserId::new(user).map(Sent::Erase).map_err(|error| format!("erase: {error}")),
        (Some(_), Some(_)) | (None, None) => Err("it must hold either an event or an erasure".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Device, EndReason, EventType};
    use crate::features::testing::event;

    #[test]
    fn what_is_sent_is_read() {
        let full = Event {
            played_ms: Some(7),
            reason_end: Some(EndReason::AppClosed),
            market: Some("SE".into()),
            device: Some(Device::Car),
            local_hour: Some(23),
            ..event("e", "u", "s", EventType::Skip, Some("t1"), 1_767_225_600_123)
        };
        let (key, record) = encode("a", &Entry::Event(full.clone())).unwrap();
        assert_eq!(
            (key.as_str(), decode("b", record.as_bytes()), decode("a", record.as_bytes())),
            ("u", Ok(Sent::Event(full)), Ok(Sent::Own))
        );
        let user = UserId::new("ü").unwrap();
        let (key, record) = encode("a", &Entry::Erase(user.clone())).unwrap();
        assert_eq!((key.as_str(), decode("b", record.as_bytes())), ("ü", Ok(Sent::Erase(user))));
        assert_eq!(encode("a", &Entry::Erased), None);
    }

    #[test]
    fn foreign_records_are_told_apart() {
        for (bytes, why) in [
            (&b"\xff"[..], "expected value"),
            (br#"{"v":2,"node":"a"}"#, "v: 2"),
            (br#"{"v":1,"node":"a"}"#, "either"),
            (br#"{"v":1,"node":"a","erase":""}"#, "erase: "),
            (br#"{"v":1,"node":"a","event":{}}"#, "missing field"),
        ] {
            let fault = decode("b", bytes).unwrap_err();
            assert!(fault.contains(why), "{fault}");
        }
    }
}
