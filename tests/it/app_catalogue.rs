//! Tracks: takedowns, neighbours, top lists.

use actix_web::test::TestRequest;
use segue::app::Engine as App;
use segue::config::{Engine, EventStore};
use segue::domain::TrackIx;
use serde_json::json;

use crate::app_support::{TestApp, bundle, event, id_set, ids, skip};

#[actix_web::test]
async fn a_takedown_counts_from_the_next_request() {
    let app = TestApp::new();
    let everywhere = async |track: &str| {
        let near = format!("/v1/tracks/{}/similar?limit=100", if track == "t3" { "t4" } else { "t3" });
        let next = app.next(json!({"user_id": "u1", "limit": 100})).await;
        let own = app.rank(json!({"user_id": "u1", "track_ids": [track, "t4"]})).await;
        let lists = [next, own, app.get(&near).await, app.get("/v1/top?limit=100").await];
        lists.map(|list| id_set(&list).contains(track))
    };
    let top = app.get("/v1/top?limit=100").await;
    let next = id_set(&app.next(json!({"user_id": "u1", "limit": 100})).await);
    let near = id_set(&app.get("/v1/tracks/t3/similar?limit=100").await);
    let track = ids(&top).into_iter().find(|id| next.contains(id) && near.contains(id) && id != "t4").unwrap();
    let path = format!("/v1/tracks/{track}");
    assert_eq!(everywhere(&track).await, [true; 4]);
    assert_eq!(app.get(&path).await["taken_down"], false);
    assert_eq!(app.status(TestRequest::delete(), &path).await, 204);
    assert_eq!(everywhere(&track).await, [false; 4]);
    assert_eq!(app.get(&path).await["taken_down"], true);
    assert_eq!(app.metric("segue_catalogue_takedowns_total"), 1);
    assert_eq!(app.status(TestRequest::put(), &format!("/v1/tracks/{track}")).await, 204);
    assert_eq!(everywhere(&track).await, [true; 4]);
    assert_eq!(app.status(TestRequest::delete(), "/v1/tracks/gone").await, 404);
    assert_eq!(app.status(TestRequest::put(), "/v1/tracks/gone").await, 404);
}

#[actix_web::test]
async fn a_new_track_is_found_at_once_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let start = || {
        TestApp::with(|config| {
            config.events.store = EventStore::Disk;
            config.events.data_dir = dir.path().to_owned();
            config.catalogue.max_added = 2;
        })
    };
    let app = start();
    let like = app.get("/v1/tracks/t3").await;
    let mut body = like.clone();
    body["title"] = json!("Single");
    body["track_id"] = json!("new");
    body["recording_id"] = json!("new");
    body["markets"] = json!(["NO"]);
    body["explicit"] = json!(true);
    let put = async |app: &TestApp, id: &str, body: &serde_json::Value| {
        app.ask(TestRequest::put().uri(&format!("/v1/tracks/{id}")).set_json(body)).await.status
    };
    assert_eq!(put(&app, "new", &body).await, 201);
    assert_eq!(put(&app, "new", &body).await, 200, "the same again changes nothing");
    // Among the tracks that this listener may hear; nowhere but in its market; not where explicit tracks are not wanted.
    let found = async |app: &TestApp, ask: serde_json::Value| {
        let mut ask = ask;
        ask["user_id"] = json!("u1");
        ask["track_ids"] = json!(["new", "t4"]);
        id_set(&app.rank(ask).await).contains("new")
    };
    let check = async |app: &TestApp| {
        assert_eq!(app.get("/v1/tracks/new").await["title"], "Single");
        assert!(id_set(&app.get("/v1/tracks/t3/similar?limit=100").await).contains("new"));
        assert_eq!(ids(&app.get("/v1/tracks/new/similar?limit=20").await).len(), 20);
        assert!(found(app, json!({})).await && found(app, json!({"market": "NO"})).await);
        assert!(!found(app, json!({"market": "SE"})).await && !found(app, json!({"allow_explicit": false})).await);
    };
    check(&app).await;
    app.accept(vec![event("u1", "s1", "play_start", "new"), skip("u1", "s1", "new")]).await;
    let session = app.get("/v1/sessions/s1").await;
    assert_eq!((&session["plays"], app.metric("segue_catalogue_added")), (&json!(1), 1));
    assert_eq!(app.status(TestRequest::delete(), "/v1/tracks/t5").await, 204);
    drop(app);
    let app = start();
    check(&app).await;
    assert_eq!(app.get("/v1/sessions/s1").await, session);
    assert_eq!(app.get("/v1/tracks/t5").await["taken_down"], true);
    // Known tracks can be told anew; then the catalogue is full, and says so.
    body["title"] = json!("Album version");
    assert_eq!(put(&app, "new", &body).await, 200);
    assert_eq!(app.get("/v1/tracks/new").await["title"], "Album version");
    let near = ids(&app.get("/v1/tracks/t3/similar?limit=100").await);
    assert_eq!(near.iter().filter(|id| *id == "new").count(), 1, "the old row is no more found");
    body["track_id"] = json!("newer");
    assert_eq!(put(&app, "newer", &body).await, 507);
    assert_eq!(app.status(TestRequest::delete(), "/v1/tracks/new").await, 204);
    assert!(!found(&app, json!({})).await);
    let mut less = app.engine.config().clone();
    less.catalogue.max_added = 1;
    let directory = bundle(&app).directory.clone();
    // The world's files go with the last application that uses them.
    let world = TestApp::new();
    drop(app);
    let refused = App::start(less, &directory).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("catalogue.max_added"), "{refused}");
    drop(world);
}

#[actix_web::test]
async fn readers_never_see_half_a_track() {
    let app = TestApp::new();
    let like = app.get("/v1/tracks/t3").await;
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            actix_web::rt::System::new().block_on(async {
                for at in 0..150 {
                    let mut body = like.clone();
                    body["track_id"] = json!(format!("new{at}"));
                    body["artist"]["artist_id"] = json!(format!("newcomer{}", at / 4));
                    let path = format!("/v1/tracks/new{at}");
                    assert_eq!(app.ask(TestRequest::put().uri(&path).set_json(&body)).await.status, 201);
                }
            });
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        scope.spawn(|| {
            actix_web::rt::System::new().block_on(async {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let next = app.next(json!({"user_id": "u1", "limit": 100})).await;
                    assert!(next["tracks"].as_array().unwrap().len() >= 20, "{next}");
                    app.get("/v1/tracks/t3/similar?limit=100").await;
                }
            });
        });
    });
    let near = ids(&app.get("/v1/tracks/new0/similar?limit=100").await);
    assert!(near.iter().filter(|id| id.starts_with("new")).count() > 50, "they sound alike: {near:?}");
}

#[actix_web::test]
async fn similar_tracks_are_the_nearest() {
    let app = TestApp::new();
    let (vectors, catalogue) = (&bundle(&app).vectors, &bundle(&app).catalogue);
    let cosine = |a: usize, b: usize| vectors.row(a).iter().zip(vectors.row(b)).map(|(x, y)| x * y).sum::<f32>();
    let mut nearest: Vec<usize> = (0..catalogue.len()).filter(|row| *row != 3).collect();
    nearest.sort_by(|a, b| cosine(3, *b).total_cmp(&cosine(3, *a)).then(a.cmp(b)));
    let reply = app.get("/v1/tracks/t3/similar?limit=10").await;
    let similarity = |at: usize| reply["tracks"][at]["similarity"].as_f64().unwrap();
    for (at, row) in nearest[..10].iter().enumerate() {
        assert!((similarity(at) - f64::from(cosine(3, *row))).abs() < 1e-5, "place {at}: {reply}");
    }
    assert_eq!(ids(&reply).len(), 10);
    assert!(!id_set(&reply).contains("t3"));
    assert_eq!(app.status(TestRequest::get(), "/v1/tracks/gone/similar").await, 404);
    assert_eq!(app.ask(TestRequest::get().uri("/v1/tracks/t3/similar?limit=0")).await.problem_fields(), ["limit"]);
}

#[actix_web::test]
async fn top_lists_are_the_bundles() {
    let app = TestApp::new();
    let popularity = &bundle(&app).popularity;
    let names = |list: &[TrackIx]| -> Vec<String> {
        list.iter().map(|track| bundle(&app).catalogue.track(*track).track_id.to_string()).collect()
    };
    let global = names(&popularity.top[..20]);
    assert_eq!(ids(&app.get("/v1/top?limit=20").await), global);
    assert_eq!(ids(&app.get("/v1/top?scope=global&limit=20").await), global);
    let market = &popularity.markets[0];
    let reply = app.get(&format!("/v1/top?limit=5&scope=market:{}", market.market)).await;
    assert_eq!(reply["scope"], format!("market:{}", market.market));
    assert_eq!(ids(&reply), names(&market.top[..market.top.len().min(5)]));
    let nowhere = app.get("/v1/top?limit=20&scope=market:ZZ").await;
    assert_eq!((&nowhere["scope"], ids(&nowhere)), (&json!("global"), global));
}

#[actix_web::test]
async fn recall_is_probed_in_the_background() {
    let app = TestApp::with(|config| {
        config.index.engine = Engine::Lists;
        config.index.probe_every = 2;
        config.retrieval.two_tower = 40;
    });
    app.past("u1", 0..10).await;
    let [wanted, found, dropped] = ["wanted", "found", "dropped"]
        .map(|what| format!("segue_index_probe{}_{what}_total", if what == "dropped" { "s" } else { "" }));
    let mut asked = 0;
    // The thread needs no time that is worth mentioning; where it gets none, this fails after ten seconds.
    for _ in 0..1_000 {
        app.next(json!({"user_id": "u1", "limit": 5})).await;
        asked += 1;
        if app.metric(&wanted) > 0 {
            break;
        }
        actix_web::rt::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    assert!(app.metric(&wanted).is_multiple_of(40) && app.metric(&wanted) > 0);
    assert!(app.metric(&found) <= app.metric(&wanted) && app.metric(&found) * 10 >= app.metric(&wanted) * 9);
    assert!(app.metric(&dropped) <= asked / 2);
}
