//! JSON objects that must be objects: derived readers would take `["car", 8]` for `{"device": "car", "local_hour": 8}`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};

/// Reads an optional field that holds an object; for `#[serde(default, deserialize_with = "...")]`.
///
/// # Errors
/// Anything but an object or null, or what is wrong inside it.
pub fn optional_object<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    from.deserialize_option(Optional(PhantomData))
}

struct Optional<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Optional<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or null")
    }

    fn visit_none<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_some<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_map(Object(PhantomData)).map(Some)
    }
}

struct Object<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Object<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        hour: u8,
    }

    #[derive(Debug, PartialEq, serde::Deserialize)]
    struct Outer {
        #[serde(default, deserialize_with = "optional_object")]
        inner: Option<Inner>,
    }

    #[test]
    fn takes_objects_and_null_only() {
        let read = |json: &str| serde_json::from_str::<Outer>(json).map(|outer| outer.inner).map_err(|e| e.to_string());
        assert_eq!(read(r#"{"inner":{"hour":3}}"#), Ok(Some(Inner { hour: 3 })));
        assert_eq!((read(r#"{"inner":null}"#), read("{}")), (Ok(None), Ok(None)));
        assert!(read(r#"{"inner":[3]}"#).unwrap_err().contains("expected an object"));
        assert!(read(r#"{"inner":{"hour":3,"x":1}}"#).unwrap_err().contains("unknown field"));
    }
}
