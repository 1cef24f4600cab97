//! `POST /admin/bundles/{name}/activate`.

use crate::http::problem::ApiError;

/// Longest reason, characters.
const MAX_REASON: usize = 500;

/// How a bundle is activated. `{}`: if the guardrail lets it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActivateRequest {
    /// Why it is to be served whatever the guardrail says: it is logged and counted. A bundle that is damaged or fails its
    /// self-test is refused all the same.
    #[schema(min_length = 1, max_length = 500)]
    override_reason: Option<String>,
}

impl ActivateRequest {
    /// The reason to override the guardrail, if there is one.
    ///
    /// # Errors
    /// One that is empty or too long.
    pub fn validate(self) -> Result<Option<String>, ApiError> {
        let is_reason = |text: &String| !text.trim().is_empty() && text.chars().count() <= MAX_REASON;
        match self.override_reason {
            Some(text) if !is_reason(&text) => {
                Err(ApiError::field("override_reason", format!("say why, in 1 to {MAX_REASON} characters")))
            }
            reason => Ok(reason),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_override_has_a_reason() {
        let read = |text: &str| {
            crate::http::json::parse::<ActivateRequest>(text.as_bytes()).and_then(ActivateRequest::validate)
        };
        assert_eq!(read("{}").unwrap(), None);
        assert_eq!(read(r#"{"override_reason": "new towers"}"#).unwrap().as_deref(), Some("new towers"));
        let long = format!(r#"{{"override_reason": "{}"}}"#, "x".repeat(MAX_REASON + 1));
        for wrong in [r#"{"override_reason": " "}"#, r#"{"override": true}"#, &long] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
