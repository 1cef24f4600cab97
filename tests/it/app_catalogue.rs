//! Tracks: takedowns, neighbours, top lists.

use actix_web::test::TestRequest;
use segue::domain::TrackIx;
use serde_json::json;

use crate::app_support::{TestApp, bundle, id_set, ids};

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
