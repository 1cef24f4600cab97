//! Dense user-side columns: session, profile, clock and device.

use std::f32::consts::TAU;

use super::affinity;
use super::numbers::{log_scaled, minutes_between, tidy};
use super::reducer::local_hour;
use super::schema::{TEMPO_CENTRE, TEMPO_SCALE, USER};
use super::{day_of, moments};
use crate::domain::{Device, RequestContext, SessionState, UserProfile};

/// Number of user columns (U).
pub const USER_LEN: usize = USER.len();

/// Computes the row `[U]` in schema order; all values finite. A few hundred operations, no allocation.
pub fn user_columns(context: &RequestContext) -> [f32; USER_LEN] {
    let (request, session, profile) = (&context.request, &context.session, &context.profile);
    let hour = local_hour(request.local_hour, request.now_ms);
    let session_part = session_part(session, request.now_ms);
    let profile_part = profile_part(profile, session, hour, request.now_ms);
    let clock_part = clock_part(hour, request.now_ms);
    let device_part = device_part(request.device);
    let mut values = session_part.iter().chain(&profile_part).chain(&clock_part).chain(&device_part);
    std::array::from_fn(|at| tidy(values.next().copied().unwrap_or(USER[at].default), USER[at].default))
}

fn session_part(session: &SessionState, now_ms: i64) -> [f32; 11] {
    let minutes = if session.user_id.is_some() { minutes_between(session.started_ms, now_ms) } else { 0.0 };
    [
        log_scaled(session.plays.into(), 4.0),
        log_scaled(session.skips.into(), 4.0),
        log_scaled(session.completes.into(), 4.0),
        session.skips_in_row.min(5) as f32 / 5.0,
        log_scaled(minutes, 6.0),
        moments::mean(session.tempo).map_or(0.0, |bpm| (bpm - TEMPO_CENTRE) / TEMPO_SCALE),
        moments::spread(session.tempo) / TEMPO_SCALE,
        moments::mean(session.energy).unwrap_or(0.5),
        moments::spread(session.energy),
        moments::mean(session.valence).unwrap_or(0.5),
        moments::spread(session.valence),
    ]
}

fn profile_part(profile: &UserProfile, session: &SessionState, hour: usize, now_ms: i64) -> [f32; 6] {
    let all_hours: f32 = profile.hours.iter().sum();
    let before_ms = if session.user_id.is_some() { session.before_ms } else { profile.last_ms };
    let days = if before_ms > 0 { minutes_between(before_ms, now_ms) / 1_440.0 } else { 0.0 };
    [
        log_scaled(profile.plays as f64, 10.0),
        if profile.plays > 0 { (profile.skips as f64 / profile.plays as f64) as f32 } else { 0.0 },
        if all_hours > 0.0 { profile.hours[hour] / all_hours * 24.0 / 4.0 } else { 0.0 },
        affinity::top_share(&profile.artists),
        affinity::entropy(&profile.genres) / 4.0,
        log_scaled(days, 6.0),
    ]
}

fn clock_part(hour: usize, now_ms: i64) -> [f32; 4] {
    let (hour_sin, hour_cos) = (hour as f32 / 24.0 * TAU).sin_cos();
    // Day 0, 1970-01-01, was a Thursday; Monday is 0. Time zones are unknown: the weekday is UTC's.
    let weekday = (i64::from(day_of(now_ms)) + 3).rem_euclid(7);
    let (day_sin, day_cos) = (weekday as f32 / 7.0 * TAU).sin_cos();
    [hour_sin, hour_cos, day_sin, day_cos]
}

fn device_part(device: Device) -> [f32; 5] {
    [Device::Phone, Device::Desktop, Device::Car, Device::Speaker, Device::Tv].map(|one| f32::from(one == device))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Affinity, ArtistIx, GenreIx, Knobs, UserId};
    use crate::features::numbers::LIMIT;
    use crate::features::testing::request;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn context(session: SessionState, profile: UserProfile, now_ms: i64) -> RequestContext {
        let mut context = RequestContext::new(Arc::new(request("u", now_ms)), Knobs::default());
        (context.session, context.profile) = (Arc::new(session), Arc::new(profile));
        context
    }

    fn assert_columns(context: &RequestContext, expected: &[(&str, f32)]) {
        let row = user_columns(context);
        for (name, value) in expected {
            let at = USER.iter().position(|c| c.name == *name).unwrap();
            assert!((row[at] - value).abs() < 1e-5, "{name}: {} is not {value}", row[at]);
        }
    }

    #[test]
    fn the_parts_fill_the_schema() {
        assert_eq!(11 + 6 + 4 + 5, USER_LEN);
        let fresh = context(SessionState::default(), UserProfile::default(), 0);
        let clock = ["hour_sin", "hour_cos", "weekday_sin", "weekday_cos"];
        let defaults: Vec<_> = USER.iter().filter(|c| !clock.contains(&c.name)).map(|c| (c.name, c.default)).collect();
        assert_columns(&fresh, &defaults);
    }

    #[test]
    fn each_column_is_what_the_schema_says() {
        const DAY: i64 = 86_400_000;
        let session = SessionState {
            user_id: Some(UserId::new("u").unwrap()),
            started_ms: 20 * DAY,
            before_ms: 17 * DAY,
            plays: 9,
            skips: 3,
            completes: 5,
            skips_in_row: 2,
            tempo: (4.0, 150.0, 400.0),
            energy: (4.0, 0.75, 0.16),
            valence: (4.0, 0.25, 0.04),
            ..SessionState::default()
        };
        let mut profile = UserProfile {
            plays: 100,
            skips: 30,
            last_ms: 20 * DAY,
            artists: Affinity { entries: vec![(ArtistIx(0), 3.0), (ArtistIx(4), 1.0)], as_of_ms: 0 },
            genres: Affinity { entries: vec![(GenreIx(0), 1.0), (GenreIx(1), 1.0)], as_of_ms: 0 },
            ..UserProfile::default()
        };
        (profile.hours[6], profile.hours[7]) = (2.0, 6.0);
        let mut context = context(session, profile, 20 * DAY + 600_000);
        let mut request = request("u", 20 * DAY + 600_000);
        (request.local_hour, request.device) = (Some(6), Device::Car);
        context.request = Arc::new(request);
        let ln = |n: f32| (1.0 + n).ln();
        assert_columns(
            &context,
            &[
                ("session_plays_log", ln(9.0) / 4.0),
                ("session_skips_log", ln(3.0) / 4.0),
                ("session_completes_log", ln(5.0) / 4.0),
                ("skips_in_row", 0.4),
                ("session_minutes_log", ln(10.0) / 6.0),
                ("session_tempo_mean", 0.5),
                ("session_tempo_spread", 10.0 / 60.0),
                ("session_energy_mean", 0.75),
                ("session_energy_spread", 0.2),
                ("session_valence_mean", 0.25),
                ("session_valence_spread", 0.1),
                ("profile_plays_log", ln(100.0) / 10.0),
                ("profile_skip_rate", 0.3),
                ("profile_hour_share", 0.25 * 6.0),
                ("profile_top_artist_share", 0.75),
                ("profile_genre_entropy", 2f32.ln() / 4.0),
                ("days_since_last_log", ln(3.0 + 600.0 / 86_400.0) / 6.0),
                ("hour_sin", 1.0),
                ("hour_cos", 0.0),
                // Day 20 = Wednesday 1970-01-21.
                ("weekday_sin", (TAU * 2.0 / 7.0).sin()),
                ("weekday_cos", (TAU * 2.0 / 7.0).cos()),
                ("device_phone", 0.0),
                ("device_desktop", 0.0),
                ("device_car", 1.0),
                ("device_speaker", 0.0),
                ("device_tv", 0.0),
            ],
        );
    }

    proptest! {
        #[test]
        fn is_finite_on_any_state(
            now in any::<i64>(), started in any::<i64>(), before in any::<i64>(), plays in any::<u64>(), skips in any::<u64>(),
            sum in prop::sample::select(vec![0.0, f32::MAX, f32::INFINITY, f32::NAN, -1.0]),
        ) {
            let session = SessionState {
                user_id: Some(UserId::new("u").unwrap()), started_ms: started, before_ms: before, skips_in_row: u32::MAX,
                tempo: (sum, sum, sum), energy: (1.0, sum, sum), ..SessionState::default()
            };
            let profile = UserProfile {
                plays, skips, hours: [sum; 24],
                artists: Affinity { entries: vec![(ArtistIx(0), sum)], as_of_ms: 0 },
                genres: Affinity { entries: vec![(GenreIx(0), sum)], as_of_ms: 0 },
                ..UserProfile::default()
            };
            let row = user_columns(&context(session, profile, now));
            prop_assert!(row.iter().all(|v| v.is_finite() && v.abs() <= LIMIT));
        }
    }
}
