//! Reading JSON so that an error names the field.

use serde::de::{Deserialize, DeserializeOwned, Deserializer};
use serde_json::error::Category;

use super::problem::{ApiError, FieldError};

/// Reads a whole body.
///
/// # Errors
/// [`ApiError::NotJson`] for what is not JSON, [`ApiError::Invalid`] naming the first wrong field otherwise.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // Derived readers would take `["u1"]` for `{"user_id": "u1"}`.
    if bytes.trim_ascii_start().starts_with(b"[") {
        return Err(ApiError::field("body", "must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = named(&mut reader).map_err(|(path, error)| {
        let number = error.to_string().starts_with("number out of range");
        match error.classify() {
            Category::Data => ApiError::Invalid(vec![field_error(&path, &error)]),
            Category::Syntax if number => ApiError::field(path, "the number is out of range"),
            Category::Syntax | Category::Eof | Category::Io => ApiError::NotJson(error.to_string()),
        }
    })?;
    reader.end().map_err(|error| ApiError::NotJson(error.to_string()))?;
    Ok(value)
}

/// Reads one value that is already JSON.
///
/// # Errors
/// The wrong field; its path starts below `value`.
pub(super) fn parse_value<T: DeserializeOwned>(value: &serde_json::Value) -> Result<T, FieldError> {
    if !value.is_object() {
        return Err(FieldError::new("", "must be a JSON object"));
    }
    named(value).map_err(|(path, error)| field_error(&path, &error))
}

fn named<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<T, (String, D::Error)> {
    serde_path_to_error::deserialize(from).map_err(|error| (error.path().to_string(), error.into_inner()))
}

/// An unknown, missing or repeated field is named by the message only: it is moved to the end of the path.
fn field_error(path: &str, error: &serde_json::Error) -> FieldError {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let parent = if path == "." || path == "?" { "" } else { path };
    let own = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix)?.split('`').next());
    match own {
        Some(own) if !parent.is_empty() && parent != own && !parent.ends_with(&format!(".{own}")) => {
            FieldError::new(format!("{parent}.{own}"), message)
        }
        Some(own) if parent.is_empty() => FieldError::new(own, message),
        Some(_) | None if parent.is_empty() => FieldError::new("body", message),
        Some(_) | None => FieldError::new(parent, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Inner {
        #[expect(dead_code, reason = "only its parsing is looked at")]
        hour: u8,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Outer {
        #[serde(default)]
        #[expect(dead_code, reason = "only its parsing is looked at")]
        ids: Vec<u32>,
        #[expect(dead_code, reason = "only its parsing is looked at")]
        inner: Inner,
    }

    fn field_of(body: &str) -> String {
        match parse::<Outer>(body.as_bytes()) {
            Err(ApiError::Invalid(errors)) => errors[0].field.clone(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn names_the_field() {
        assert_eq!(field_of(r#"{"inner":{"hour":1},"x":2}"#), "x");
        assert_eq!(field_of(r#"{"inner":{"hour":1,"x":2}}"#), "inner.x");
        assert_eq!(field_of(r#"{"inner":{}}"#), "inner.hour");
        assert_eq!(field_of("{}"), "inner");
        assert_eq!(field_of(r#"{"inner":{"hour":300}}"#), "inner.hour");
        assert_eq!(field_of(r#"{"inner":{"hour":1e999}}"#), "inner.hour");
        assert_eq!(field_of(r#"{"ids":[1,"a"],"inner":{"hour":1}}"#), "ids[1]");
        assert_eq!(field_of(r#"{"inner":{"hour":1,"hour":1}}"#), "inner.hour");
        assert_eq!(field_of("5"), "body");
        assert_eq!(field_of("[[1],{}]"), "body");
    }

    #[test]
    fn tells_broken_json_from_wrong_json() {
        for body in ["", "{", "{\"inner\":{\"hour\":1}} x", "{\"inner\":NaN}", "\u{0}"] {
            assert!(matches!(parse::<Outer>(body.as_bytes()), Err(ApiError::NotJson(_))), "{body:?}");
        }
    }

    #[test]
    fn reads_values() {
        let error = parse_value::<Outer>(&serde_json::json!({"inner": {"hour": "x"}})).unwrap_err();
        assert_eq!(error.field, "inner.hour");
        assert!(parse_value::<Outer>(&serde_json::json!({"inner": {"hour": 3}})).is_ok());
    }
}
