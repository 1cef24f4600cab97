//! A small service behind the real router: what is tested with it is the protocol, not recommendations.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use actix_web::body::MessageBody;
use actix_web::dev::ServiceResponse;
use actix_web::http::header::HeaderMap;
use actix_web::test::{self, TestRequest};
use segue::app::{Asked, Bundles, Explained, RehearsalError, ReplayChanges, ReplayError, Replayed, SwapReport};
use segue::config::{Config, KeyConfig, ServerConfig};
use segue::domain::{
    Answer, Catalogue, Knobs, PoolCounts, RecommendationId, Request, Retrieved, Rung, ServedTrack, SessionId,
    SessionState, Source, Track, TrackId, TrackIx, UserId,
};
use segue::events::{Batch, Clock, EventOutcome, validate};
use segue::http::{
    Audience, ChangeFault, IngestError, PROBLEM_JSON, Reply, ServedBundle, Service, SwapFault, Traced, app,
};
use segue::pipeline::{Refused, Terms, Watched};
use segue::replay::Capture;
use segue::security::{KeyRing, Signer};
use segue::stages::why::Why;
use serde_json::{Value, json};

/// Ten tracks, one session (`s1`), one listener (`u1`).
pub(crate) struct Small {
    this: Weak<Self>,
    config: Config,
    catalogue: Catalogue,
    knobs: Mutex<Knobs>,
    taken_down: Mutex<Vec<TrackIx>>,
    traced: Mutex<Option<Arc<Traced>>>,
    events: Mutex<HashSet<String>>,
    /// What was asked last.
    pub(crate) asked: Mutex<Option<(Arc<Request>, Terms)>>,
    /// Refuse work.
    pub(crate) overloaded: AtomicBool,
    /// Not ready.
    pub(crate) down: AtomicBool,
    /// Routes and statuses observed.
    pub(crate) observed: Mutex<Vec<(String, u16)>>,
    /// Clients and outcomes observed.
    pub(crate) callers: Mutex<Vec<String>>,
    keys: KeyRing,
}

impl Small {
    pub(crate) fn new() -> Arc<Self> {
        Self::with(|_| {})
    }

    /// With another configuration of the server.
    pub(crate) fn with(change: impl FnOnce(&mut ServerConfig)) -> Arc<Self> {
        let track = |id: String| -> Track {
            let row =
                json!({"track_id": id, "title": "Song", "artist_id": "a1", "artist_name": "Artist", "explicit": false});
            serde_json::from_value(row).unwrap()
        };
        let ids = (0..9).map(|n| format!("t{n}")).chain(["odd/id ü".to_owned()]);
        let mut config = Config::default();
        config.server.listen = ([127, 0, 0, 1], 0).into();
        config.server.workers = 1;
        change(&mut config.server);
        Arc::new_cyclic(|this| Self {
            this: Weak::clone(this),
            config,
            catalogue: Catalogue::new(ids.map(track).collect()).unwrap(),
            knobs: Mutex::default(),
            taken_down: Mutex::default(),
            traced: Mutex::default(),
            events: Mutex::default(),
            asked: Mutex::default(),
            overloaded: AtomicBool::new(false),
            down: AtomicBool::new(false),
            observed: Mutex::default(),
            callers: Mutex::default(),
            keys: KeyRing::default(),
        })
    }

    /// That asks for API keys.
    pub(crate) fn with_keys(keys: &[KeyConfig]) -> Arc<Self> {
        let service = Self::new();
        service.keys.replace(keys, std::time::Instant::now());
        service
    }

    fn answer(&self, request: &Request) -> Answer {
        let tracks = request.candidates.clone().unwrap_or_else(|| (0..10).map(TrackIx).collect());
        let served = tracks.into_iter().filter(|t| !request.exclude.contains(t)).take(request.limit);
        Answer {
            recommendation_id: RecommendationId::new("r-1").unwrap(),
            rung: Rung::MarketTop,
            degraded: Vec::new(),
            intent: None,
            tracks: served
                .map(|track| ServedTrack {
                    track,
                    score: 1.0,
                    source: Source::Fallback,
                    tasks: None,
                    propensity: None,
                    rules: Vec::new(),
                    reasons: Vec::new(),
                })
                .collect(),
            pool: PoolCounts::default(),
            reports: Vec::new(),
            seed: request.seed,
            experiments: Vec::new(),
            detail: None,
        }
    }

    fn refusal(&self) -> Option<Refused> {
        self.overloaded.load(Ordering::Relaxed).then_some(Refused::Overloaded { retry_after_ms: 1_500 })
    }
}

impl Service for Small {
    fn config(&self) -> &Config {
        &self.config
    }

    fn current(&self) -> Arc<dyn ServedBundle> {
        self.this.upgrade().unwrap()
    }

    fn keys(&self) -> &KeyRing {
        &self.keys
    }

    fn signer(&self) -> Option<&Signer> {
        None
    }

    fn knobs(&self) -> Knobs {
        *self.knobs.lock().unwrap()
    }

    fn set_knobs(&self, knobs: Knobs) -> Result<(), String> {
        *self.knobs.lock().unwrap() = knobs;
        Ok(())
    }

    fn captures(&self, _: usize) -> Reply<'_, Vec<Capture>> {
        Box::pin(std::future::ready(Vec::new()))
    }

    fn ingest(&self, batch: Batch) -> Reply<'_, Result<Vec<EventOutcome>, IngestError>> {
        if self.overloaded.load(Ordering::Relaxed) {
            return Box::pin(std::future::ready(Err(IngestError::Log("disk full".into()))));
        }
        let mut seen = self.events.lock().unwrap();
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let clock = Clock::new(now_ms, batch.sent_at_ms, &self.config.events);
        let read = batch.events.into_iter().map(|sent| sent.map_err(|malformed| malformed.reason));
        let outcomes = read.map(|sent| match sent.and_then(|raw| validate(&raw, clock)) {
            Err(reason) => EventOutcome::Rejected(reason),
            Ok(event) if seen.insert(event.event_id.to_string()) => EventOutcome::Accepted,
            Ok(_) => EventOutcome::Duplicate,
        });
        let outcomes = Ok(outcomes.collect());
        Box::pin(std::future::ready(outcomes))
    }

    fn put_track(&self, track: Track) -> Reply<'_, Result<bool, ChangeFault>> {
        let fault = match track.title.as_str() {
            "full" => Some(ChangeFault::Full("build the next bundle".into())),
            "broken" => Some(ChangeFault::Failed("disk full".into())),
            "odd" => Some(ChangeFault::Refused("too many markets".into())),
            _ => None,
        };
        let is_new = self.catalogue.find(track.track_id.as_str()).is_none();
        let done =
            fault.map_or_else(|| self.catalogue.add(track).map(|_| is_new).map_err(|_| ChangeFault::Unknown), Err);
        Box::pin(std::future::ready(done))
    }

    fn take_down(&self, track: &TrackId) -> Reply<'_, Result<(), ChangeFault>> {
        self.taken_down.lock().unwrap().extend(self.catalogue.find(track.as_str()));
        Box::pin(std::future::ready(Ok(())))
    }

    fn restore(&self, track: &TrackId) -> Reply<'_, Result<(), ChangeFault>> {
        let row = self.catalogue.find(track.as_str());
        self.taken_down.lock().unwrap().retain(|t| Some(*t) != row);
        Box::pin(std::future::ready(Ok(())))
    }

    fn bundles(&self) -> Reply<'_, Option<Bundles>> {
        Box::pin(std::future::ready(None))
    }

    fn activate(&self, _: String, _: Option<String>) -> Reply<'_, Result<SwapReport, SwapFault>> {
        Box::pin(std::future::ready(Err(SwapFault::Unknown)))
    }

    fn roll_back(&self) -> Reply<'_, Result<SwapReport, SwapFault>> {
        Box::pin(std::future::ready(Err(SwapFault::Busy)))
    }

    fn erase_user(&self, user: &UserId) -> Reply<'_, Result<bool, IngestError>> {
        Box::pin(std::future::ready(Ok(user.as_str() == "u1")))
    }

    fn ready(&self) -> bool {
        !self.down.load(Ordering::Relaxed)
    }

    fn metrics_text(&self) -> String {
        "segue_up 1\n".into()
    }

    fn observe_caller(&self, known: Option<(&str, &'static str)>) {
        let text = known.map_or_else(|| "unknown".to_owned(), |(client, outcome)| format!("{client} {outcome}"));
        self.callers.lock().unwrap().push(text);
    }

    fn observe_http(&self, route: &str, status: u16, seconds: f64) {
        assert!(seconds >= 0.0);
        self.observed.lock().unwrap().push((route.to_owned(), status));
    }
}

impl ServedBundle for Small {
    fn version(&self) -> &str {
        "test.1"
    }

    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    fn next_tracks(&self, request: Arc<Request>, terms: Terms) -> Reply<'_, Result<Answer, Refused>> {
        Box::pin(async move {
            assert_ne!(request.surface.as_deref(), Some("boom"), "a bug");
            *self.asked.lock().unwrap() = Some((Arc::clone(&request), terms));
            if let Some(refused) = self.refusal() {
                return Err(refused);
            }
            let answer = self.answer(&request);
            *self.traced.lock().unwrap() = Some(Arc::new(Traced {
                bundle: "test.1".into(),
                request,
                knobs: Knobs::default(),
                answer: answer.clone(),
                replayable: false,
            }));
            Ok(answer)
        })
    }

    fn explain(&self, asked: Asked, track: TrackIx, _: Terms) -> Reply<'_, Result<Explained, RehearsalError>> {
        let explained = match asked {
            Asked::Recorded(_) => Err(RehearsalError::Unknown),
            Asked::Now(request) => self.refusal().map_or_else(
                || {
                    let (answer, watched) = (self.answer(&request), Watched { track, ..Watched::default() });
                    Ok(Explained { answer, limit: request.limit, why: Why::NotRetrieved, watched, similarity: None })
                },
                |refused| Err(refused.into()),
            ),
        };
        Box::pin(std::future::ready(explained))
    }

    fn replay(&self, _: &RecommendationId, _: ReplayChanges, _: Terms) -> Reply<'_, Result<Replayed, ReplayError>> {
        Box::pin(std::future::ready(Err(RehearsalError::Unknown.into())))
    }

    fn similar(&self, track: TrackIx, k: usize, _: Terms) -> Reply<'_, Result<Vec<Retrieved>, Refused>> {
        let others = (0..10).map(TrackIx).filter(move |t| *t != track).take(k);
        let hits = others.map(|track| Retrieved { track, score: 0.5 }).collect();
        let refusal = self.refusal();
        Box::pin(async move { refusal.map_or(Ok(hits), Err) })
    }

    fn session(&self, id: &SessionId) -> Option<Arc<SessionState>> {
        (id.as_str() == "s1").then(Arc::default)
    }

    fn top(&self, market: Option<&str>) -> Vec<TrackIx> {
        match market {
            None => (0..10).map(TrackIx).collect(),
            Some("SE") => vec![TrackIx(3), TrackIx(1)],
            Some(_) => Vec::new(),
        }
    }

    fn trace(&self, recommendation_id: &str) -> Option<Arc<Traced>> {
        let traced = self.traced.lock().unwrap().clone();
        traced.filter(|t| t.answer.recommendation_id.as_str() == recommendation_id)
    }

    fn taken_down(&self, track: TrackIx) -> bool {
        self.taken_down.lock().unwrap().contains(&track)
    }
}

/// A response, read.
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The fields that a problem document names; checks that it is one.
    pub(crate) fn problem_fields(&self) -> Vec<String> {
        let problem = self.json();
        assert_eq!(self.header("content-type"), PROBLEM_JSON);
        assert_eq!(problem["status"], self.status);
        assert_eq!(problem["instance"], self.header("x-request-id"));
        assert!(problem["type"].as_str().unwrap().starts_with("urn:segue:problem:"));
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        let errors = problem["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| error["field"].as_str().unwrap().to_owned()).collect()
    }
}

/// Reads a response to its end.
pub(crate) async fn read<B: MessageBody>(response: ServiceResponse<B>) -> Got {
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Got { status, headers, body: test::read_body(response).await.to_vec() }
}

/// Sends one request to a service through the real router.
pub(crate) async fn ask(service: &Arc<Small>, request: TestRequest) -> Got {
    let service: Arc<dyn Service> = service.clone();
    let app = test::init_service(app(service, Arc::default(), Audience::Everyone)).await;
    read(test::call_service(&app, request.to_request()).await).await
}

/// A request with a JSON body.
pub(crate) fn post(path: &str, body: &Value) -> TestRequest {
    TestRequest::post().uri(path).set_json(body)
}

/// A request with any body that claims to be JSON.
pub(crate) fn post_text(path: &str, body: impl Into<String>) -> TestRequest {
    TestRequest::post().uri(path).insert_header(("content-type", "application/json")).set_payload(body.into())
}
