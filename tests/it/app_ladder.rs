//! Every rung of the ladder, through the wiring that serves.

use std::sync::Arc;

use segue::domain::{Knobs, Request, Rung, TrackIx};
use segue::inference::{InferenceError, OrtRanker, UserTower};
use segue::metrics::Metrics;
use segue::pipeline::{Deadline, OnFailure, PipelineBuilder, Width};
use segue::stages::context::UserVectorSource;
use segue::stages::observe::TraceStore;
use segue::stages::rank::MmoeRanker;
use segue::stages::retrieve::Popular;
use serde_json::json;

use crate::app_support::{TRACKS, TestApp, bundle, event, ids, request};

/// The rungs of one question as more and more looks at the clock find time left, until the best is reached.
async fn rungs_by_time_left(app: &TestApp, asked: &Request) -> Vec<Rung> {
    let mut rungs = Vec::new();
    for checks in 0..200 {
        let answer =
            app.engine.current().next_tracks(Arc::new(asked.clone()), Deadline::after_checks(checks)).await.unwrap();
        assert_eq!(answer.tracks.len(), asked.limit, "an answer always: {:?}", answer.degraded);
        assert!(answer.tracks.iter().all(|t| asked.exclude.binary_search(&t.track).is_err()));
        let blamed = answer.degraded.iter().all(|d| ["late", "absent", "empty"].contains(&d.reason));
        assert!(blamed && (answer.rung == Rung::Full || !answer.degraded.is_empty()), "{:?}", answer.degraded);
        let complete = answer.rung == Rung::Full && answer.degraded.is_empty();
        rungs.push(answer.rung);
        if complete {
            break;
        }
    }
    assert!(rungs.is_sorted_by(|a, b| a >= b), "more time never gives a worse rung: {rungs:?}");
    rungs.dedup();
    rungs
}

#[actix_web::test]
async fn time_decides_the_rung() {
    let app = TestApp::new();
    app.past("u1", [3, 4, 8]).await;
    let exclude = vec![TrackIx(1), TrackIx(2), TrackIx(5)];
    let asked = |user: &str, market: Option<&str>| {
        let market = market.map(str::to_owned);
        Request { market, exclude: exclude.clone(), ..request(user, None) }
    };
    let known = rungs_by_time_left(&app, &asked("u1", Some("SE"))).await;
    assert_eq!(known, [Rung::UserTop, Rung::RetrievalOrder, Rung::Full]);
    let new = rungs_by_time_left(&app, &asked("new", Some("SE"))).await;
    assert_eq!(new, [Rung::MarketTop, Rung::RetrievalOrder, Rung::Full]);
    for nowhere in [None, Some("ZZ")] {
        let rungs = rungs_by_time_left(&app, &asked("new", nowhere)).await;
        assert_eq!(rungs, [Rung::GlobalTop, Rung::RetrievalOrder, Rung::Full]);
    }
    for rung in Rung::ALL.into_iter().filter(|rung| *rung != Rung::Reduced) {
        assert!(app.metric(&format!("segue_answer_rungs_total{{rung=\"{}\"}}", rung.as_str())) > 0, "{rung:?}");
    }
}

#[actix_web::test]
async fn no_rung_forgets_what_the_listener_forbade() {
    let app = TestApp::new();
    let top: Vec<_> = bundle(&app).popularity.top.iter().take(30).copied().collect();
    let id = |track: &TrackIx| bundle(&app).catalogue.track(*track).track_id.to_string();
    app.past("u1", [3, 4, 8]).await;
    app.accept(top.iter().map(|track| event("u1", "s1", "dislike", &id(track))).collect()).await;
    for market in [None, Some("SE")] {
        for checks in 0..8 {
            let asked = Request { market: market.map(str::to_owned), limit: 30, ..request("u1", Some("s1")) };
            let answer =
                app.engine.current().next_tracks(Arc::new(asked), Deadline::after_checks(checks)).await.unwrap();
            let forbidden = answer.tracks.iter().find(|served| top.contains(&served.track));
            assert_eq!(forbidden, None, "disliked, yet served at {:?} with {checks} checks", answer.rung);
        }
    }
    let served = |answer: segue::domain::Answer| answer.tracks.into_iter().map(|t| t.track).collect::<Vec<_>>();
    let ask = async || {
        let asked = Arc::new(request("u2", Some("s2")));
        served(app.engine.current().next_tracks(asked, Deadline::after_checks(0)).await.unwrap())
    };
    let (first, second) = (ask().await, ask().await);
    assert!(first.iter().all(|track| !second.contains(track)), "nor what the session was served");
}

#[actix_web::test]
async fn load_narrows_the_funnel() {
    let app = TestApp::with(|config| config.retrieval.two_tower = 60);
    let metrics = Arc::new(Metrics::new().unwrap());
    let mut pipeline =
        app.engine.current().wiring().serving(&metrics, &TraceStore::new(&Default::default())).unwrap().build();
    let mut retrieved = |width| {
        let asked = Arc::new(request("u1", None));
        let answer = pipeline.execute(asked, Knobs::default(), &Deadline::never(), width);
        assert_eq!((answer.tracks.len(), answer.pool.ranked), (10, answer.pool.after_filters));
        let blamed = answer.degraded.iter().any(|d| (d.stage, d.reason) == ("lanes", "overload"));
        assert_eq!(blamed, width != Width::Full);
        let proposed = answer.reports.iter().find(|report| report.stage == "two_tower").unwrap().candidates_out;
        (answer.rung, proposed)
    };
    assert_eq!(retrieved(Width::Full), (Rung::Full, 60));
    assert_eq!(retrieved(Width::Half), (Rung::Reduced, 30));
    assert_eq!(retrieved(Width::Quarter), (Rung::Reduced, 15));
}

#[actix_web::test]
async fn without_a_ranker_retrieval_order_stands() {
    let app = TestApp::without_ranker();
    app.past("u1", [3, 4, 8]).await;
    let answer = app.next(json!({"user_id": "u1", "limit": 15})).await;
    assert_eq!((&answer["rung"], ids(&answer).len()), (&json!("retrieval_order"), 15));
    assert_eq!(answer["degraded"], json!([{"stage": "ranker", "reason": "absent"}]));
    assert_eq!((&answer["pool"]["ranked"], answer["tracks"][0].get("scores")), (&json!(0), None));
}

/// A tower whose every run fails.
struct Broken;

impl UserTower for Broken {
    fn embed(&mut self, _: &[f32], _: &[f32], _: &[f32], _: &mut Vec<f32>) -> Result<(), InferenceError> {
        Err(InferenceError::Run { model: "user_tower.onnx".into(), message: "out of memory".into() })
    }
}

#[actix_web::test]
async fn without_a_user_vector_popular_tracks_stand() {
    let app = TestApp::new();
    let serving = app.engine.current();
    let wiring = serving.wiring();
    let tower = UserVectorSource::new(Arc::clone(wiring.assembler()), Box::new(Broken));
    let ranker = Box::new(OrtRanker::new(bundle(&app).ranker.as_ref().unwrap()).unwrap());
    let ranker = MmoeRanker::new(Arc::clone(wiring.assembler()), Arc::clone(&bundle(&app).catalogue), ranker);
    let builder = PipelineBuilder::default()
        .context(tower, OnFailure::Skip)
        .retriever(Popular::new(Arc::clone(&bundle(&app).popularity)), 50, OnFailure::Skip)
        .ranker(ranker);
    let asked = Arc::new(request("u1", None));
    let answer = builder.build().execute(asked, Knobs::default(), &Deadline::never(), Width::Full);
    let blamed: Vec<_> = answer.degraded.iter().map(|d| (d.stage, d.reason)).collect();
    assert_eq!(blamed, [("user_vector", "failed"), ("mmoe", "absent")]);
    assert_eq!(answer.rung, Rung::RetrievalOrder);
    let served: Vec<_> = answer.tracks.iter().map(|t| t.track).collect();
    assert_eq!(served, bundle(&app).popularity.top[..10]);
}

#[actix_web::test]
async fn filters_may_leave_nothing() {
    let app = TestApp::new();
    app.past("u1", [3, 4, 8]).await;
    let all: Vec<_> = (0..TRACKS).map(|row| format!("t{row}")).collect();
    let answer = app.next(json!({"user_id": "u1", "market": "SE", "exclude_track_ids": all})).await;
    assert_eq!((&answer["rung"], &answer["tracks"]), (&json!("global_top"), &json!([])));
    for (stage, reason) in [("filter", "empty"), ("pool", "short")] {
        let blamed = json!({"stage": stage, "reason": reason});
        assert!(answer["degraded"].as_array().unwrap().contains(&blamed), "{answer}");
    }
    let short = app.next(json!({"user_id": "u1", "limit": 9, "exclude_track_ids": all[..TRACKS - 5]})).await;
    assert_eq!(short["rung"], "full");
    assert!((1..=5).contains(&ids(&short).len()) && short["degraded"][0]["reason"] == "short", "{short}");
}
