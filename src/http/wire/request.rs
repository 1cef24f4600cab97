//! The question: `POST /v1/next-tracks`, `POST /v1/rank` and `POST /v1/explain`.

use super::{Checks, List};
use crate::domain::{
    ArtistId, ArtistIx, Catalogue, Device, ExplainLevel, GivenDials, RecommendationId, Request, SessionId, Target,
    TrackId, TrackIx, UserId,
};
use crate::events::optional_object;
use crate::http::problem::ApiError;

/// Tracks in an answer that does not ask for a number.
pub const DEFAULT_LIMIT: u64 = 20;
/// Most tracks of one answer.
pub const MAX_LIMIT: u64 = 100;
/// Tempo a target may ask for, beats per minute.
const TEMPO: std::ops::RangeInclusive<f32> = 20.0..=300.0;

/// A sound to aim at; absent parts do not count.
#[derive(Debug, Clone, Copy, Default, PartialEq, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetSound {
    /// Beats per minute.
    #[schema(minimum = 20, maximum = 300)]
    tempo: Option<f32>,
    /// From calm to loud and fast.
    #[schema(minimum = 0, maximum = 1)]
    energy: Option<f32>,
    /// From sad to happy.
    #[schema(minimum = 0, maximum = 1)]
    valence: Option<f32>,
}

/// Where the listener is. Named `context` on the wire.
#[derive(Debug, Clone, Default, PartialEq, serde::Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Surroundings {
    /// On what. Absent: `other`.
    device: Option<Device>,
    /// The listener's hour. Absent: the hour in UTC.
    #[schema(minimum = 0, maximum = 23)]
    local_hour: Option<u8>,
    /// What the listener is doing, e.g. `commute`. Checked, but no stage reads it yet.
    #[schema(max_length = 64)]
    activity: Option<String>,
}

/// All requests from one list of fields: `flatten` would lose the refusal of unknown fields and their paths.
macro_rules! requests {
    ($($(#[$meta:meta])* $field:ident: $type:ty),* $(,)?) => {
        /// What to hear next.
        #[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct NextTracksRequest {
            /// Who listens. A listener who is not known is a new one.
            #[schema(value_type = String, max_length = 128)]
            user_id: UserId,
            $($(#[$meta])* $field: $type),*
        }

        /// In which order to play the caller's own tracks.
        #[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct RankRequest {
            /// The tracks to rank, 1 to `server.max_list_len`. Repeated and unknown ones are dropped.
            #[schema(value_type = Vec<String>, min_items = 1, max_items = 10_000)]
            track_ids: List<TrackId>,
            /// Who listens. A listener who is not known is a new one.
            #[schema(value_type = String, max_length = 128)]
            user_id: UserId,
            $($(#[$meta])* $field: $type),*
        }

        /// Why is, or is not, this track in the answer? Either to a request, whose fields are those of `/v1/next-tracks`,
        /// as things are now, or to one that was answered.
        #[derive(Debug, Clone, serde::Deserialize, utoipa::ToSchema)]
        #[serde(deny_unknown_fields)]
        pub struct ExplainRequest {
            /// The track.
            #[schema(value_type = String, max_length = 128)]
            track_id: TrackId,
            /// An answer that is kept: its request, with the weights and the state of then. No other field then.
            #[schema(value_type = Option<String>, max_length = 128)]
            recommendation_id: Option<RecommendationId>,
            /// Who listens; without `recommendation_id` it must be given.
            #[schema(value_type = Option<String>, max_length = 128)]
            user_id: Option<UserId>,
            $($(#[$meta])* $field: $type),*
        }

        impl ExplainRequest {
            /// The track, and the answer or the request that is meant.
            ///
            /// # Errors
            /// Neither or both are given.
            pub fn split(self) -> Result<(TrackId, WhichAnswer), ApiError> {
                match (self.recommendation_id, self.user_id) {
                    (Some(id), user) => {
                        let mut checks = Checks::default();
                        let mut refuse = |field: &str, given: bool| if given {
                            checks.fail(field, "must not be given beside recommendation_id");
                        };
                        refuse("user_id", user.is_some());
                        $(refuse(stringify!($field), self.$field.is_given());)*
                        checks.finish().map(|()| (self.track_id, WhichAnswer::Recorded(id)))
                    }
                    (None, Some(user_id)) => {
                        let request = NextTracksRequest { user_id, $($field: self.$field),* };
                        Ok((self.track_id, WhichAnswer::Now(Box::new(request))))
                    }
                    (None, None) => Err(ApiError::field("user_id", "must be given, or recommendation_id")),
                }
            }
        }

        impl RankRequest {
            fn split(self) -> (Vec<TrackId>, NextTracksRequest) {
                (self.track_ids.0, NextTracksRequest { user_id: self.user_id, $($field: self.$field),* })
            }
        }
    };
}

requests! {
    /// The listening session, chosen by the client. Absent: nothing of a session counts.
    #[schema(value_type = Option<String>, max_length = 128)]
    session_id: Option<SessionId>,
    /// Tracks wanted. Absent: 20; for `/v1/rank` as many as are given, at most 100.
    #[schema(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// Where the list is shown, e.g. `radio`. One of `rerank.rank_order_surfaces` leaves the list in rank order; else it is
    /// ordered so that each track flows from the one before.
    #[schema(max_length = 64)]
    surface: Option<String>,
    /// What sounds now: not served, and the first answer goes on from it.
    #[schema(value_type = Option<String>, max_length = 128)]
    current_track_id: Option<TrackId>,
    /// Tracks to start from. Unknown ids are dropped and counted, here and in the lists below.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10_000)]
    seed_track_ids: List<TrackId>,
    /// Artists to start from.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10_000)]
    seed_artist_ids: List<ArtistId>,
    /// Tracks not to serve.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 10_000)]
    exclude_track_ids: List<TrackId>,
    /// ISO 3166 code of the country. In one that no licence names, only tracks licensed everywhere are served. Absent: no
    /// market filter, global popularity.
    #[schema(pattern = "^[A-Z]{2}$")]
    market: Option<String>,
    /// Whether explicit tracks may be served. Absent: true.
    allow_explicit: Option<bool>,
    /// 0 = familiar, 1 = mostly unheard artists. Absent: 0.3.
    #[schema(minimum = 0, maximum = 1)]
    discovery: Option<f32>,
    /// 0 = by score alone, 1 = as diverse as the candidates permit. Absent: 0.5.
    #[schema(minimum = 0, maximum = 1)]
    diversity: Option<f32>,
    /// A sound to aim at.
    #[serde(default, deserialize_with = "optional_object")]
    target: Option<TargetSound>,
    /// Where the listener is.
    #[serde(default, deserialize_with = "optional_object")]
    context: Option<Surroundings>,
    /// How much the answer explains. Absent: none.
    #[serde(default)]
    explain: ExplainLevel,
    /// Seed of all randomness: the same seed, state, bundle and moment give the same answer. Absent: drawn.
    seed: Option<u64>,
}

impl NextTracksRequest {
    /// Checks and resolves the request. `now_ms`: its time, Unix ms. Ids in lists that the catalogue lacks are dropped and
    /// counted. `O(n log n)` in the lists.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] with every number and list that is out of range.
    pub fn validate(self, catalogue: &Catalogue, max_list_len: usize, now_ms: i64) -> Result<Request, ApiError> {
        self.check(max_list_len)?;
        let mut ids = Resolver { catalogue, unknown: 0 };
        let current_track = self.current_track_id.map(|id| ids.tracks([id])).unwrap_or_default().first().copied();
        let seed_tracks = ids.tracks(self.seed_track_ids.0);
        let seed_artists = ids.artists(&self.seed_artist_ids.0);
        let mut exclude = ids.tracks(self.exclude_track_ids.0);
        exclude.sort_unstable();
        exclude.dedup();
        let target = self.target.unwrap_or_default();
        let context = self.context.unwrap_or_default();
        Ok(Request {
            user_id: self.user_id,
            session_id: self.session_id,
            limit: self.limit.unwrap_or(DEFAULT_LIMIT) as usize,
            surface: self.surface,
            current_track,
            seed_tracks,
            seed_artists,
            exclude,
            market_ix: self.market.as_deref().and_then(|code| catalogue.find_market(code)),
            market: self.market,
            allow_explicit: self.allow_explicit.unwrap_or(true),
            discovery: self.discovery.unwrap_or(Request::DISCOVERY),
            diversity: self.diversity.unwrap_or(Request::DIVERSITY),
            target: Target { tempo: target.tempo, energy: target.energy, valence: target.valence },
            device: context.device.unwrap_or(Device::Other),
            local_hour: context.local_hour,
            explain: self.explain,
            seed: self.seed.unwrap_or_else(rand::random),
            now_ms,
            unknown_ids: ids.unknown,
            candidates: None,
            given: GivenDials { discovery: self.discovery.is_some(), diversity: self.diversity.is_some() },
            arms: Vec::new(),
        })
    }

    fn check(&self, max_list_len: usize) -> Result<(), ApiError> {
        let mut checks = Checks::default();
        checks.range("limit", self.limit.unwrap_or(DEFAULT_LIMIT), 1..=MAX_LIMIT);
        checks.list("seed_track_ids", self.seed_track_ids.0.len(), 0, max_list_len);
        checks.list("seed_artist_ids", self.seed_artist_ids.0.len(), 0, max_list_len);
        checks.list("exclude_track_ids", self.exclude_track_ids.0.len(), 0, max_list_len);
        self.surface.iter().for_each(|text| checks.label("surface", text));
        self.market.iter().for_each(|code| checks.market("market", code));
        self.discovery.iter().for_each(|value| checks.range("discovery", *value, 0.0..=1.0));
        self.diversity.iter().for_each(|value| checks.range("diversity", *value, 0.0..=1.0));
        if let Some(target) = &self.target {
            target.tempo.iter().for_each(|value| checks.range("target.tempo", *value, TEMPO));
            target.energy.iter().for_each(|value| checks.range("target.energy", *value, 0.0..=1.0));
            target.valence.iter().for_each(|value| checks.range("target.valence", *value, 0.0..=1.0));
        }
        if let Some(context) = &self.context {
            context.local_hour.iter().for_each(|hour| checks.range("context.local_hour", *hour, 0..=23));
            context.activity.iter().for_each(|text| checks.label("context.activity", text));
        }
        checks.finish()
    }
}

impl RankRequest {
    /// As [`NextTracksRequest::validate`]; the answer's candidates are the given tracks that are known.
    ///
    /// # Errors
    /// As there; also when there are no tracks or too many.
    pub fn validate(self, catalogue: &Catalogue, max_list_len: usize, now_ms: i64) -> Result<Request, ApiError> {
        let (track_ids, mut request) = self.split();
        let mut checks = Checks::default();
        checks.list("track_ids", track_ids.len(), 1, max_list_len);
        checks.finish()?;
        request.limit = request.limit.or(Some((track_ids.len() as u64).min(MAX_LIMIT)));
        let mut request = request.validate(catalogue, max_list_len, now_ms)?;
        let mut ids = Resolver { catalogue, unknown: 0 };
        request.candidates = Some(ids.tracks(track_ids));
        request.unknown_ids += ids.unknown;
        Ok(request)
    }
}

/// Which answer is to be explained.
#[derive(Debug, Clone)]
pub enum WhichAnswer {
    /// The one to this request.
    Now(Box<NextTracksRequest>),
    /// The one of this id.
    Recorded(RecommendationId),
}

/// Whether a field was given.
trait IsGiven {
    fn is_given(&self) -> bool;
}

impl<T> IsGiven for Option<T> {
    fn is_given(&self) -> bool {
        self.is_some()
    }
}

impl<T> IsGiven for List<T> {
    fn is_given(&self) -> bool {
        !self.0.is_empty()
    }
}

impl IsGiven for ExplainLevel {
    fn is_given(&self) -> bool {
        *self != Self::None
    }
}

/// Turns ids into rows and counts those that are not known.
struct Resolver<'a> {
    catalogue: &'a Catalogue,
    unknown: u32,
}

impl Resolver<'_> {
    fn tracks(&mut self, ids: impl IntoIterator<Item = TrackId>) -> Vec<TrackIx> {
        let rows = ids.into_iter().map(|id| self.catalogue.find(id.as_str()));
        rows.filter_map(|row| count_none(row, &mut self.unknown)).collect()
    }

    fn artists(&mut self, ids: &[ArtistId]) -> Vec<ArtistIx> {
        let rows = ids.iter().map(|id| self.catalogue.find_artist(id.as_str()));
        rows.filter_map(|row| count_none(row, &mut self.unknown)).collect()
    }
}

fn count_none<T>(row: Option<T>, unknown: &mut u32) -> Option<T> {
    if row.is_none() {
        *unknown += 1;
    }
    row
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::http::json::parse;
    use crate::http::testing::catalogue;

    fn next_tracks(body: &Value) -> Result<Request, ApiError> {
        parse::<NextTracksRequest>(body.to_string().as_bytes())?.validate(&catalogue(), 3, 5)
    }

    fn rank(body: &Value) -> Result<Request, ApiError> {
        parse::<RankRequest>(body.to_string().as_bytes())?.validate(&catalogue(), 3, 5)
    }

    fn fields(result: Result<Request, ApiError>) -> Vec<String> {
        match result {
            Err(ApiError::Invalid(errors)) => errors.into_iter().map(|e| e.field).collect(),
            other => panic!("expected faults, got {other:?}"),
        }
    }

    #[test]
    fn a_user_alone_is_a_request() {
        let request = next_tracks(&json!({"user_id": "u1", "session_id": null, "seed": null})).unwrap();
        assert_eq!((request.limit, request.now_ms, request.allow_explicit), (20, 5, true));
        assert_eq!((request.discovery, request.diversity, request.device), (0.3, 0.5, Device::Other));
    }

    #[test]
    fn resolves_ids_and_counts_those_it_does_not_know() {
        let request = next_tracks(&json!({
            "user_id": "u1", "current_track_id": "t1", "seed_track_ids": ["t2", "nope"], "seed_artist_ids": ["a0", "nope"],
            "exclude_track_ids": ["t2", "t0", "t2"], "market": "SE", "seed": 7,
        }));
        let request = request.unwrap();
        assert_eq!(request.current_track, Some(TrackIx(1)));
        assert_eq!(request.seed_tracks, [TrackIx(2)]);
        assert_eq!(request.seed_artists.len(), 1);
        assert_eq!(request.exclude, [TrackIx(0), TrackIx(2)]);
        assert!(request.market_ix.is_some());
        assert_eq!((request.unknown_ids, request.seed), (2, 7));
        assert!(next_tracks(&json!({"user_id": "u1", "market": "ZZ"})).unwrap().market_ix.is_none());
    }

    #[test]
    fn names_every_number_out_of_range() {
        let body = json!({
            "user_id": "u1", "limit": 0, "discovery": 1.5, "diversity": -0.1, "market": "se", "surface": "",
            "target": {"tempo": 1000, "energy": 2}, "context": {"local_hour": 24}, "exclude_track_ids": ["1", "2", "3", "4"],
        });
        let mut found = fields(next_tracks(&body));
        found.sort_unstable();
        let expected = [
            "context.local_hour",
            "discovery",
            "diversity",
            "exclude_track_ids",
            "limit",
            "market",
            "surface",
            "target.energy",
            "target.tempo",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn explains_a_request_or_an_answer_and_not_both() {
        let split = |body: serde_json::Value| {
            crate::http::json::parse::<ExplainRequest>(body.to_string().as_bytes()).and_then(ExplainRequest::split)
        };
        let failed = |body| match split(body) {
            Err(ApiError::Invalid(errors)) => errors.into_iter().map(|error| error.field).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        let now = split(json!({"track_id": "t1", "user_id": "u1", "limit": 3, "market": "SE"})).unwrap();
        assert!(matches!(now, (id, WhichAnswer::Now(request)) if id.as_str() == "t1" && request.limit == Some(3)));
        let then = split(json!({"track_id": "t1", "recommendation_id": "r-1"})).unwrap();
        assert!(matches!(then.1, WhichAnswer::Recorded(id) if id.as_str() == "r-1"));
        let both = json!({"track_id": "t1", "recommendation_id": "r-1", "user_id": "u1", "limit": 3,
            "seed_track_ids": ["t2"], "explain": "trace"});
        assert_eq!(failed(both), ["user_id", "limit", "seed_track_ids", "explain"]);
        assert_eq!(failed(json!({"track_id": "t1"})), ["user_id"]);
        assert_eq!(failed(json!({"user_id": "u1"})), ["track_id"]);
    }

    #[test]
    fn ranks_the_callers_tracks() {
        let request = rank(&json!({"user_id": "u1", "track_ids": ["t2", "nope", "t0"]})).unwrap();
        assert_eq!((request.limit, request.unknown_ids), (3, 1));
        assert_eq!(request.candidates, Some(vec![TrackIx(2), TrackIx(0)]));
        assert_eq!(fields(rank(&json!({"user_id": "u1", "track_ids": []}))), ["track_ids"]);
        assert_eq!(fields(rank(&json!({"user_id": "u1", "track_ids": ["1", "2", "3", "4"]}))), ["track_ids"]);
        assert_eq!(fields(rank(&json!({"user_id": "u1"}))), ["track_ids"]);
        assert_eq!(fields(next_tracks(&json!({"user_id": "u1", "track_ids": ["t0"]}))), ["track_ids"]);
    }
}
