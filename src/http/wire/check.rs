//! Range checks that collect every fault of a request before it is refused.

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::http::problem::{ApiError, FieldError};

/// Longest label (surface, activity), bytes.
const MAX_LABEL_BYTES: usize = 64;

/// Collects what is wrong.
#[derive(Debug, Default)]
pub struct Checks(Vec<FieldError>);

impl Checks {
    /// The value must lie in the range; NaN lies in none.
    pub fn range<T: PartialOrd + Display>(&mut self, field: &str, value: T, range: RangeInclusive<T>) {
        if !range.contains(&value) {
            let (low, high) = range.into_inner();
            self.fail(field, format!("must be in {low}..={high}, is {value}"));
        }
    }

    /// The list must have at least `least` and at most `most` entries.
    pub fn list(&mut self, field: &str, len: usize, least: usize, most: usize) {
        if len < least || len > most {
            self.fail(field, format!("must have {least} to {most} entries, has {len}"));
        }
    }

    /// An ISO 3166-1 alpha-2 code: two letters A to Z. Whether anything is licensed there is not asked.
    pub fn market(&mut self, field: &str, code: &str) {
        if code.len() != 2 || !code.bytes().all(|b| b.is_ascii_uppercase()) {
            self.fail(field, "must be an ISO 3166 country code such as SE");
        }
    }

    /// A short text without control characters.
    pub fn label(&mut self, field: &str, text: &str) {
        if text.is_empty() || text.len() > MAX_LABEL_BYTES || text.chars().any(char::is_control) {
            self.fail(field, format!("must be 1 to {MAX_LABEL_BYTES} bytes without control characters"));
        }
    }

    /// Notes a fault.
    pub fn fail(&mut self, field: &str, message: impl AsRef<str>) {
        self.0.push(FieldError::new(field, message));
    }

    /// # Errors
    /// All faults noted.
    pub fn finish(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(ApiError::Invalid(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn collects_every_fault() {
        let mut checks = Checks::default();
        checks.range("a", f32::NAN, 0.0..=1.0);
        checks.range("b", 101, 1..=100);
        checks.range("fine", 1, 1..=100);
        checks.list("c", 3, 0, 2);
        for market in ["se", "SWE", "", "S1", "ÅÄ"] {
            checks.market("d", market);
        }
        checks.market("fine", "ZZ");
        checks.label("e", "a\nb");
        checks.label("fine", "radio");
        let Err(ApiError::Invalid(errors)) = checks.finish() else { panic!("faults were noted") };
        assert_eq!(errors.iter().map(|e| &*e.field).collect::<String>(), "abcddddde");
        assert_eq!(errors[1].message, "must be in 1..=100, is 101");
        assert!(Checks::default().finish().is_ok());
    }
}
