//! Ranges of the knobs, as `domain::Knobs` documents them.

use super::Checks;
use crate::domain::Knobs;
use crate::http::problem::ApiError;

/// Checks every weight.
///
/// # Errors
/// All that are out of range.
pub fn check_knobs(knobs: &Knobs) -> Result<(), ApiError> {
    let mut checks = Checks::default();
    checks.range("blend.complete", knobs.blend.complete, 0.0..=10.0);
    checks.range("blend.skip", knobs.blend.skip, 0.0..=10.0);
    checks.range("blend.like", knobs.blend.like, 0.0..=10.0);
    checks.range("popularity_penalty", knobs.popularity_penalty, 0.0..=5.0);
    checks.range("skip_penalty", knobs.skip_penalty, 0.0..=5.0);
    checks.range("artist_window", knobs.artist_window, 1..=50);
    checks.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_is_out_of_range() {
        assert!(check_knobs(&Knobs::default()).is_ok());
        let mut knobs = Knobs { artist_window: 0, popularity_penalty: f32::INFINITY, ..Knobs::default() };
        knobs.blend.like = -1.0;
        let Err(ApiError::Invalid(errors)) = check_knobs(&knobs) else { panic!("three are wrong") };
        assert_eq!(errors.len(), 3);
    }
}
