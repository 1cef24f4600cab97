//! Off-policy evaluation over what a real engine logged.

use std::path::Path;

use segue::backfill::{JoinPlan, Logs, join};
use segue::bundle::Bundle;
use segue::config::{Config, EventStore};
use segue::domain::{BlendWeights, RecommendationId};
use segue::ope::{Choice, Collected, OpeError, Policy, RankerOf, Reward, collect, report, text_table};
use serde_json::{Value, json};

use crate::app_support::{TestApp, event, exploring, finished, ids, runtime, skip};

/// What was sent and answered.
struct Served {
    dir: tempfile::TempDir,
    answers: Vec<Value>,
    /// Tracks that were still in each contest, of the traces: every cold candidate of its answer.
    cold: Vec<usize>,
    bundle: std::path::PathBuf,
    config: Config,
}

const LISTENERS: usize = 5;

/// Listeners ask, play what exploration chose at the first of its places to the end and skip at the second.
async fn served() -> Served {
    let dir = tempfile::tempdir().unwrap();
    let app = TestApp::with(|config| {
        config.lanes.count = 1;
        config.events.store = EventStore::Disk;
        config.events.data_dir = dir.path().join("data");
        config.events.export.dir = Some(dir.path().join("archive"));
        config.feature_log.dir = Some(dir.path().join("log"));
        config.feature_log.unserved_share = 0.0;
        exploring(config);
    });
    let (mut answers, mut cold) = (Vec::new(), Vec::new());
    for at in 0..3 * LISTENERS {
        let (user, session) = (format!("u{}", at % LISTENERS), format!("s{at}"));
        let body =
            json!({"user_id": user, "session_id": session, "limit": 8, "discovery": 0.5, "seed": at, "market": "SE"});
        let answer = app.next(body).await;
        let id = RecommendationId::new(answer["recommendation_id"].as_str().unwrap()).unwrap();
        let trace = app.engine.current().traces().get(&id).unwrap();
        let posteriors = &trace.answer.detail.as_ref().unwrap().posteriors.tracks;
        cold.push(posteriors.iter().filter(|(_, posterior)| posterior.is_cold).count());
        let mut events = Vec::new();
        for (place, track) in drawn(&answer).iter().enumerate() {
            let mut begin = event(&user, &session, "play_start", track);
            let mut end = if place == 0 { finished(&user, &session, track) } else { skip(&user, &session, track) };
            begin["recommendation_id"] = answer["recommendation_id"].clone();
            end["recommendation_id"] = answer["recommendation_id"].clone();
            events.extend([begin, end]);
        }
        app.accept(events).await;
        answers.push(answer);
    }
    let (bundle, config) = (app.engine.current().bundle().directory.clone(), app.engine.config().clone());
    // Keeps the bundle's files for as long as the test runs.
    let kept = dir.path().join("bundle");
    std::fs::create_dir(&kept).unwrap();
    for file in std::fs::read_dir(&bundle).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), kept.join(file.file_name())).unwrap();
    }
    drop(app);
    Served { dir, answers, cold, bundle: kept, config }
}

/// The tracks of an answer that were drawn.
fn drawn(answer: &Value) -> Vec<String> {
    let tracks = answer["tracks"].as_array().unwrap().iter();
    tracks
        .filter(|track| track["propensity"].is_number())
        .map(|track| track["track_id"].as_str().unwrap().into())
        .collect()
}

fn policy<'a>(name: &str, choice: Choice, ranker: Option<RankerOf<'a>>) -> Policy<'a> {
    Policy { name: name.into(), choice, blend: BlendWeights::default(), epsilon: 0.0, ranker }
}

fn logs(dir: &Path) -> Logs {
    Logs { log: dir.join("log"), archive: dir.join("archive"), to_the_end: true }
}

#[actix_web::test]
async fn what_was_drawn_is_found_with_its_chance_and_its_outcome() {
    let served = served().await;
    let bundle = Bundle::load(&served.bundle, &served.config, &runtime()).unwrap();
    let own = RankerOf::new(&bundle).unwrap();
    let mut policies = vec![
        policy("uniform", Choice::Uniform, None),
        policy("soft", Choice::Softmax(0.2), None),
        policy("the same ranker", Choice::Softmax(0.2), own),
    ];
    let logs = logs(served.dir.path());
    let read = |reward, policies: &mut [Policy<'_>]| -> Collected {
        collect(&logs, &bundle.catalogue, &served.config, reward, policies, &mut |_| {}).unwrap()
    };
    let found = read(Reward::Complete, &mut policies);
    let propensities: Vec<f32> = served
        .answers
        .iter()
        .flat_map(|answer| {
            let tracks = answer["tracks"].as_array().unwrap().iter();
            tracks.filter_map(|track| track["propensity"].as_f64()).map(|chance| chance as f32).collect::<Vec<_>>()
        })
        .collect();
    assert!(propensities.len() > 20, "two places of most answers: {}", propensities.len());
    let mut logged: Vec<f32> = found.decisions.iter().map(|decision| decision.propensity as f32).collect();
    // Each that was served is there; one that a later stage pushed off the list is, too, and earned nothing.
    for chance in &propensities {
        let at = logged.iter().position(|other| other == chance).unwrap();
        logged.swap_remove(at);
    }
    let completed = found.decisions.iter().map(|decision| decision.reward).sum::<f64>();
    let first = served.answers.iter().filter(|answer| !drawn(answer).is_empty()).count() as f64;
    assert_eq!((completed, found.unknown, found.broken), (first, 0, 0));
    assert_eq!((found.answers, found.listeners as usize), (served.answers.len() as u64, LISTENERS));
    // A uniform choice is one of all that are cold, or of one less at the second place.
    let shares: Vec<usize> = found.asked[0].iter().map(|asked| (1.0 / asked.chance).round() as usize).collect();
    let expected: Vec<usize> =
        served.cold.iter().flat_map(|cold| (0..2.min(*cold)).map(move |place| cold - place)).collect();
    assert_eq!(shares, expected);
    assert_eq!(found.asked[1], found.asked[2], "the ranker that served says the same again");
    // Nobody was logged by chance: the training rows are those that were served, without those who only competed.
    let at = |name: &str| served.dir.path().join(name);
    let (log, archive, out, tracks) = (at("log"), at("archive"), at("rows"), at("bundle/tracks.parquet"));
    let plan = JoinPlan { log, archive, tracks, out, to_the_end: true, untouched: true };
    let joined = join(&plan, &served.config, &mut |_| {}).unwrap();
    assert_eq!(joined.rows as usize, served.answers.iter().map(|answer| ids(answer).len()).sum::<usize>());
    let skips = read(Reward::Skip, &mut policies);
    let skipped = skips.decisions.iter().map(|decision| decision.reward).sum::<f64>();
    assert_eq!(skipped, served.answers.iter().filter(|answer| drawn(answer).len() > 1).count() as f64);
    let names = ["uniform".to_owned(), "soft".to_owned(), "the same ranker".to_owned()];
    let told = report(&names, &found, Reward::Complete, None).unwrap();
    assert!(told.policies.iter().all(|policy| policy.value.is_none()), "five listeners say nothing");
    assert!(text_table(&told).contains("no estimate: 5 listeners, at least 30 are needed"), "{}", text_table(&told));
}

#[actix_web::test]
async fn a_log_without_exploration_and_a_ranker_over_other_towers_are_refused() {
    let served = served().await;
    let bundle = Bundle::load(&served.bundle, &served.config, &runtime()).unwrap();
    let demo = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/demo");
    let demo = Bundle::load(&demo, &Config::default(), &runtime()).unwrap();
    let mut other = vec![policy("other", Choice::Best, RankerOf::new(&demo).unwrap())];
    let dir = served.dir.path();
    let error = collect(&logs(dir), &bundle.catalogue, &served.config, Reward::Complete, &mut other, &mut |_| {});
    assert!(matches!(&error, Err(OpeError::Unfit { policy, .. }) if policy == "other"), "{error:?}");
    assert!(served.answers.iter().all(|answer| ids(answer).len() == 8));
    assert!(matches!(report(&[], &Collected::default(), Reward::Complete, None), Err(OpeError::NothingDrawn)));
}
