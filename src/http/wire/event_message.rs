//! Events as Protobuf. `docs/events.proto` is the schema for clients, the tests hold it against what is here; messages are
//! turned into the JSON that says the same, so that one definition and one check decide about both.

use actix_web::web::Bytes;
use prost::Message;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::domain::{Device, EndReason, EventType, StartReason};

/// A batch whose events are still to be read: a message and its bytes look the same on the wire.
#[derive(Clone, PartialEq, Message)]
struct EventBatch {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    events: Vec<Bytes>,
}

/// An event: an empty string and value 0 of an enum are absent.
#[derive(Clone, PartialEq, Message, Serialize)]
struct EventMessage {
    #[prost(uint32, optional, tag = "1")]
    #[serde(skip_serializing_if = "Option::is_none")]
    schema_version: Option<u32>,
    #[prost(string, tag = "2")]
    #[serde(skip_serializing_if = "String::is_empty")]
    event_id: String,
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "String::is_empty")]
    user_id: String,
    #[prost(string, tag = "4")]
    #[serde(skip_serializing_if = "String::is_empty")]
    session_id: String,
    #[prost(string, tag = "5")]
    #[serde(skip_serializing_if = "String::is_empty")]
    track_id: String,
    #[prost(int32, tag = "6")]
    #[serde(rename = "type", skip_serializing_if = "is_absent", serialize_with = "event_type")]
    kind: i32,
    #[prost(string, tag = "7")]
    #[serde(skip_serializing_if = "String::is_empty")]
    recommendation_id: String,
    #[prost(uint32, optional, tag = "8")]
    #[serde(skip_serializing_if = "Option::is_none")]
    position_ms: Option<u32>,
    #[prost(uint32, optional, tag = "9")]
    #[serde(skip_serializing_if = "Option::is_none")]
    duration_ms: Option<u32>,
    #[prost(uint32, optional, tag = "10")]
    #[serde(skip_serializing_if = "Option::is_none")]
    played_ms: Option<u32>,
    #[prost(int32, tag = "11")]
    #[serde(skip_serializing_if = "is_absent", serialize_with = "start_reason")]
    reason_start: i32,
    #[prost(int32, tag = "12")]
    #[serde(skip_serializing_if = "is_absent", serialize_with = "end_reason")]
    reason_end: i32,
    #[prost(string, tag = "13")]
    #[serde(skip_serializing_if = "String::is_empty")]
    client_ts: String,
    #[prost(message, optional, tag = "14")]
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<ContextMessage>,
}

/// The moment of an event.
#[derive(Clone, PartialEq, Message, Serialize)]
struct ContextMessage {
    #[prost(int32, tag = "1")]
    #[serde(skip_serializing_if = "is_absent", serialize_with = "device")]
    device: i32,
    #[prost(uint32, optional, tag = "2")]
    #[serde(skip_serializing_if = "Option::is_none")]
    local_hour: Option<u32>,
    #[prost(string, tag = "3")]
    #[serde(skip_serializing_if = "String::is_empty")]
    market: String,
}

fn is_absent(number: &i32) -> bool {
    *number == 0
}

/// The name in JSON of the value with that number, which is its place in the declaration; an unknown number is written as it
/// is, as a name that nothing has.
fn name<T: Copy, S: Serializer>(number: i32, all: &[T], name: fn(T) -> &'static str, to: S) -> Result<S::Ok, S::Error> {
    let place = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
    match place.and_then(|place| all.get(place)) {
        Some(value) => to.serialize_str(name(*value)),
        None => to.collect_str(&number),
    }
}

fn event_type<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
    name(*number, EventType::ALL, EventType::as_str, to)
}

fn start_reason<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
    name(*number, StartReason::ALL, StartReason::as_str, to)
}

fn end_reason<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
    name(*number, EndReason::ALL, EndReason::as_str, to)
}

fn device<S: Serializer>(number: &i32, to: S) -> Result<S::Ok, S::Error> {
    name(*number, Device::ALL, Device::as_str, to)
}

/// The events of a batch, each as its bytes; they share the body's memory.
///
/// # Errors
/// What is wrong with the bytes.
pub(in crate::http) fn messages(batch: Bytes) -> Result<Vec<Bytes>, String> {
    EventBatch::decode(batch).map(|batch| batch.events).map_err(|error| error.to_string())
}

/// An event as the JSON that says the same, and what is wrong with the bytes; where they are wrong the JSON has what was
/// read before.
pub(in crate::http) fn json_of(message: &Bytes) -> (Value, Option<String>) {
    let mut event = EventMessage::default();
    let fault = event.merge(message.clone()).err().map(|error| error.to_string());
    match serde_json::to_value(&event) {
        Ok(json) => (json, fault),
        Err(error) => (Value::Null, Some(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::domain::{EventId, RecommendationId, SessionId, TrackId, UserId};
    use crate::events::{RawContext, RawEvent};
    use crate::http::event_body::{EventBody, Form};

    const SCHEMA: &str = include_str!("../../../docs/events.proto");

    /// A field as the schema declares it: label, type, name, number.
    struct Field<'a> {
        optional: bool,
        kind: &'a str,
        name: &'a str,
        number: u32,
    }

    /// Fields of each message and values of each enum.
    #[derive(Default)]
    struct Schema<'a> {
        messages: BTreeMap<&'a str, Vec<Field<'a>>>,
        enums: BTreeMap<&'a str, Vec<(&'a str, i32)>>,
    }

    impl<'a> Schema<'a> {
        /// Reads what `docs/events.proto` uses of the language: one declaration a line.
        fn read(text: &'a str) -> Self {
            let (mut schema, mut block) = (Self::default(), ("", ""));
            for line in text.lines().map(|line| line.split("//").next().unwrap().trim()) {
                let words: Vec<&str> = line.trim_end_matches(';').split_whitespace().collect();
                match words.as_slice() {
                    [] | ["syntax" | "package", ..] | ["}"] => {}
                    [kind @ ("message" | "enum"), name, "{"] => block = (*kind, *name),
                    [label @ .., kind, name, "=", number] if block.0 == "message" => {
                        let (optional, number) = (label == ["optional"], number.parse().unwrap());
                        let field = Field { optional, kind, name, number };
                        schema.messages.entry(block.1).or_default().push(field);
                    }
                    [name, "=", number] if block.0 == "enum" => {
                        schema.enums.entry(block.1).or_default().push((name, number.parse().unwrap()));
                    }
                    _ => panic!("not understood: {line}"),
                }
            }
            schema
        }
    }

    fn names(object: &Value) -> BTreeSet<&str> {
        object.as_object().unwrap().keys().map(String::as_str).collect()
    }

    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number > 127 {
            bytes.push(number as u8 | 128);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }

    /// One field on the wire, and with a value that only a field with presence keeps.
    fn on_the_wire(field: &Field<'_>) -> [Vec<u8>; 2] {
        let key = |kind: u32| varint(u64::from(field.number << 3 | kind));
        match field.kind {
            "string" => [[key(2), vec![2], b"x1".to_vec()].concat(), [key(2), vec![0]].concat()],
            "Context" => [[key(2), vec![2, 8, 1]].concat(), [key(2), vec![0]].concat()],
            _ => [[key(0), vec![1]].concat(), [key(0), vec![0]].concat()],
        }
    }

    fn check_fields(fields: &[Field<'_>], schema: &Schema<'_>, read: impl Fn(&[u8]) -> Value) {
        for field in fields {
            let [set, empty] = on_the_wire(field).map(|bytes| read(&bytes));
            let (value, has_presence) = match field.kind {
                "string" => (json!("x1"), false),
                "uint32" => (json!(1), true),
                "Context" => (json!({"device": "phone"}), true),
                name => (json!(value_names(name, schema)[1].to_lowercase()), false),
            };
            assert_eq!(set, json!({ field.name: value }), "{}", field.name);
            assert_eq!(!empty.as_object().unwrap().is_empty(), has_presence, "{}", field.name);
            assert_eq!(field.optional, field.kind == "uint32", "{}: numbers may be 0", field.name);
        }
    }

    /// Names of an enum's values by number, without its own before them.
    fn value_names<'a>(name: &str, schema: &Schema<'a>) -> Vec<&'a str> {
        let own = name.chars().map(|c| if c.is_uppercase() { format!("_{c}") } else { c.to_uppercase().to_string() });
        let own = own.collect::<String>().trim_start_matches('_').to_owned() + "_";
        let values = schema.enums[name].iter().enumerate();
        values
            .map(|(place, (name, number))| {
                assert_eq!(*number, place as i32, "{name}");
                name.strip_prefix(&own).unwrap()
            })
            .collect()
    }

    #[test]
    fn the_schema_for_clients_declares_what_is_read() {
        let schema = Schema::read(SCHEMA);
        assert_eq!(schema.messages.keys().collect::<Vec<_>>(), [&"Context", &"Event", &"EventBatch"]);
        check_fields(&schema.messages["Event"], &schema, |bytes| json_of(&Bytes::copy_from_slice(bytes)).0);
        check_fields(&schema.messages["Context"], &schema, |bytes| {
            serde_json::to_value(ContextMessage::decode(bytes).unwrap()).unwrap()
        });
        let batch = schema.messages["EventBatch"].iter().map(|field| (field.kind, field.name, field.number));
        assert_eq!(batch.collect::<Vec<_>>(), [("Event", "events", 1)]);
        assert!(SCHEMA.contains("  repeated Event events = 1;"));

        // Nothing that JSON has is missing, and nothing is read that is not declared.
        let full = serde_json::to_value(message(&full_event())).unwrap();
        let declared = |name: &str| schema.messages[name].iter().map(|field| field.name).collect::<BTreeSet<_>>();
        let raw = RawEvent { context: Some(RawContext::default()), ..full_event() };
        let json = serde_json::to_value(raw).unwrap();
        assert_eq!((names(&full), names(&full["context"])), (declared("Event"), declared("Context")));
        assert_eq!((names(&json), names(&json["context"])), (declared("Event"), declared("Context")));
    }

    #[test]
    fn the_schema_for_clients_has_every_value() {
        let schema = Schema::read(SCHEMA);
        let all = |names: Vec<&'static str>| [vec!["unspecified"], names].concat();
        let expected = [
            ("Device", all(Device::ALL.iter().map(|v| v.as_str()).collect())),
            ("EndReason", all(EndReason::ALL.iter().map(|v| v.as_str()).collect())),
            ("EventType", all(EventType::ALL.iter().map(|v| v.as_str()).collect())),
            ("StartReason", all(StartReason::ALL.iter().map(|v| v.as_str()).collect())),
        ];
        assert_eq!(schema.enums.len(), expected.len());
        for (name, values) in expected {
            let declared: Vec<String> = value_names(name, &schema).iter().map(|name| name.to_lowercase()).collect();
            assert_eq!(declared, values, "{name}");
        }
    }

    /// An event with every field.
    fn full_event() -> RawEvent {
        let json = json!({"schema_version": 1, "event_id": "e1", "user_id": "u1", "session_id": "s1", "track_id": "t1",
            "type": "play_end", "recommendation_id": "r1", "position_ms": 1, "duration_ms": 2, "played_ms": 3,
            "reason_start": "click", "reason_end": "done", "client_ts": "2026-01-01T00:00:00Z",
            "context": {"device": "car", "local_hour": 8, "market": "SE"}});
        serde_json::from_value(json).unwrap()
    }

    /// As a client of the schema writes it.
    fn message(raw: &RawEvent) -> EventMessage {
        fn number<T: PartialEq>(all: &[T], value: Option<T>) -> i32 {
            value.map_or(0, |value| 1 + all.iter().position(|one| *one == value).unwrap() as i32)
        }
        EventMessage {
            schema_version: raw.schema_version,
            event_id: raw.event_id.to_string(),
            user_id: raw.user_id.to_string(),
            session_id: raw.session_id.to_string(),
            track_id: raw.track_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            kind: number(EventType::ALL, Some(raw.kind)),
            recommendation_id: raw.recommendation_id.as_ref().map(ToString::to_string).unwrap_or_default(),
            position_ms: raw.position_ms,
            duration_ms: raw.duration_ms,
            played_ms: raw.played_ms,
            reason_start: number(StartReason::ALL, raw.reason_start),
            reason_end: number(EndReason::ALL, raw.reason_end),
            client_ts: raw.client_ts.clone(),
            context: raw.context.as_ref().map(|context| ContextMessage {
                device: number(Device::ALL, context.device),
                local_hour: context.local_hour.map(u32::from),
                market: context.market.clone().unwrap_or_default(),
            }),
        }
    }

    fn any_event() -> impl Strategy<Value = RawEvent> {
        let ids = proptest::array::uniform4("[a-zü :/]{1,6}");
        let optional = (any::<bool>(), any::<bool>(), prop::option::of(any::<u32>()));
        let times = proptest::array::uniform3(prop::option::of(any::<u32>()));
        let values = (
            prop::sample::select(EventType::ALL),
            prop::option::of(prop::sample::select(StartReason::ALL)),
            prop::option::of(prop::sample::select(EndReason::ALL)),
        );
        let device = prop::option::of(prop::sample::select(Device::ALL));
        let context = (device, prop::option::of(any::<u8>()), prop::option::of(".{1,3}"))
            .prop_map(|(device, local_hour, market)| RawContext { device, local_hour, market });
        (ids, optional, times, values, "(2026-01-01T00:00:00Z|.{1,9})", prop::option::of(context)).prop_map(
            |([event, user, session, other], (track, answer, version), times, values, client_ts, context)| RawEvent {
                schema_version: version,
                event_id: EventId::new(event).unwrap(),
                user_id: UserId::new(user).unwrap(),
                session_id: SessionId::new(session).unwrap(),
                track_id: track.then(|| TrackId::new(&other).unwrap()),
                kind: values.0,
                recommendation_id: answer.then(|| RecommendationId::new(&other).unwrap()),
                position_ms: times[0],
                duration_ms: times[1],
                played_ms: times[2],
                reason_start: values.1,
                reason_end: values.2,
                client_ts,
                context,
            },
        )
    }

    /// The same fault in both.
    fn damage(fault: u8, json: &mut Value, message: &mut EventMessage) {
        match fault {
            0 => (json["type"], message.kind) = (json!("99"), 99),
            1 => (json["reason_end"], message.reason_end) = (json!("-1"), -1),
            2 => {
                json["context"] = json!({"local_hour": 300});
                message.context = Some(ContextMessage { local_hour: Some(300), ..ContextMessage::default() });
            }
            3 => (json["user_id"], message.user_id) = (json!("a\nb"), "a\nb".into()),
            4 => {
                json.as_object_mut().unwrap().remove("event_id");
                message.event_id.clear();
            }
            5 => {
                json.as_object_mut().unwrap().remove("type");
                message.kind = 0;
            }
            _ => {}
        }
    }

    /// The event as JSON without what is absent.
    fn sparse(value: Value) -> Value {
        let Value::Object(map) = value else { return value };
        map.into_iter().filter(|(_, value)| !value.is_null()).map(|(key, value)| (key, sparse(value))).collect()
    }

    fn encoded(events: &[EventMessage]) -> Bytes {
        let events = events.iter().map(|event| event.encode_to_vec().into()).collect();
        EventBatch { events }.encode_to_vec().into()
    }

    proptest! {
        #[test]
        fn an_event_is_the_same_through_json_and_protobuf(sent in prop::collection::vec((any_event(), 0_u8..12), 0..5)) {
            let pairs = sent.iter().map(|(raw, fault)| {
                let (mut json, mut message) = (sparse(serde_json::to_value(raw).unwrap()), message(raw));
                damage(*fault, &mut json, &mut message);
                (json, message)
            });
            let (json, messages): (Vec<_>, Vec<_>) = pairs.unzip();
            let json = EventBody::parse(json!({ "events": json }).to_string().into(), Form::Json, Some(5)).unwrap().read();
            let protobuf = EventBody::parse(encoded(&messages), Form::Protobuf, Some(5)).unwrap().read();
            let good = sent.iter().filter(|(_, fault)| *fault > 5).map(|(raw, _)| raw);
            prop_assert!(json.0.events.iter().flatten().eq(good));
            prop_assert_eq!((json.0.events, json.1), (protobuf.0.events, protobuf.1));
            prop_assert_eq!((json.0.sent_at_ms, protobuf.0.sent_at_ms), (Some(5), Some(5)));
        }

        #[test]
        fn no_bytes_break_the_reader(raw in any_event(), noise in prop::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>()) {
            let mut near = encoded(&[message(&raw), message(&raw)]).to_vec();
            let place = at.index(near.len());
            let end = (place + noise.len()).min(near.len());
            near.splice(place..end, noise.iter().copied());
            for bytes in [near, noise] {
                if let Ok(body) = EventBody::parse(bytes.into(), Form::Protobuf, None) {
                    let events = body.len();
                    let (batch, results) = body.read();
                    prop_assert_eq!((batch.events.len(), results.len()), (events, events));
                }
            }
        }
    }

    #[test]
    fn a_broken_message_costs_itself_alone_and_says_whose_it_was() {
        let good = Bytes::from(message(&full_event()).encode_to_vec());
        // Its sixth field, the type, as a text; and a track that is no UTF-8.
        let wrong_type = [b"\x12\x02e2\x1a\x02u2".as_slice(), b"\x32\x01x"].concat();
        let no_text = b"\x1a\x02u3\x2a\x01\xff".to_vec();
        let events = vec![good.clone(), wrong_type.into(), no_text.into(), good];
        let bytes = EventBatch { events }.encode_to_vec();
        let (batch, results) = EventBody::parse(bytes.into(), Form::Protobuf, None).unwrap().read();
        let [Ok(first), Err(wrong_type), Err(no_text), Ok(last)] = &batch.events[..] else { panic!("{batch:?}") };
        assert_eq!((first, last), (&full_event(), &full_event()));
        assert_eq!((wrong_type.body.as_str(), no_text.body.as_str()), ("120265321a027532320178", "1a0275332a01ff"));
        let listeners = [wrong_type, no_text].map(|event| event.listener.as_ref().map(UserId::as_str));
        assert_eq!(listeners, [Some("u2"), Some("u3")]);
        assert!(wrong_type.reason.contains("not an event of docs/events.proto"), "{}", wrong_type.reason);
        assert!(no_text.reason.contains("track_id"), "{}", no_text.reason);
        assert_eq!(serde_json::to_value(&results[1]).unwrap()["event_id"], "e2");
        let cut = EventBody::parse(Bytes::from_static(b"\x0a\x7f"), Form::Protobuf, None).unwrap_err();
        assert_eq!((cut.kind().0.as_u16(), cut.kind().1), (400, "malformed-protobuf"));
    }
}
