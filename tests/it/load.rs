//! The load generator against the real server over real sockets.

use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::rt::{spawn, task::spawn_blocking};
use segue::domain::{EndReason, Event, EventId, EventType, SessionId, TrackId, UserId};
use segue::http::{Signals, bind};
use segue::load::{Arrivals, Crowd, MixPlan, Observed, Phase, Plan, Schedule, Target, phase_report, recall, run};

use crate::http_support::Small;

const SEED: u64 = 5;

fn crowd() -> Crowd {
    let event = |number: i64, kind, played_ms| Event {
        event_id: EventId::new(format!("past-{number}")).unwrap(),
        user_id: UserId::new("u1").unwrap(),
        session_id: SessionId::new("past").unwrap(),
        kind,
        ts_ms: 1_000 * number,
        track_id: Some(TrackId::new("t3").unwrap()),
        position_ms: None,
        duration_ms: None,
        played_ms,
        reason_start: None,
        reason_end: played_ms.map(|_| EndReason::Done),
        recommendation_id: None,
        market: Some("SE".into()),
        device: None,
        local_hour: None,
    };
    Crowd::of(vec![event(1, EventType::PlayStart, None), event(2, EventType::PlayEnd, Some(90_000))]).unwrap()
}

fn plan() -> Plan {
    Plan {
        phases: vec![Phase { rate: 400.0, seconds: 0.1 }, Phase { rate: 800.0, seconds: 0.1 }],
        arrivals: Arrivals::Poisson,
        mix: MixPlan { think_s: 0.002, new_share: 0.5, ..MixPlan::default() },
        fields: serde_json::Map::new(),
        seed: SEED,
        threads: 2,
        connections: 16,
        patience: Duration::from_secs(20),
        objective: Duration::from_secs(20),
        pids: vec![std::process::id()],
    }
}

/// Runs against a server; with what was observed and the statuses that the server counted by route.
async fn loaded(overloaded: bool) -> (Observed, Vec<(String, u16)>) {
    let service = Small::new();
    let bound = bind(service.clone()).unwrap();
    let (address, stopper) = (bound.address().unwrap(), bound.stopper());
    let server = spawn(bound.run(Signals::listen()));
    let shared = service.clone();
    let observed = spawn_blocking(move || {
        let target: Target = address.to_string().parse().unwrap();
        let crowd = crowd();
        assert_eq!(recall(&target, &crowd, Duration::from_secs(20)).unwrap(), 2);
        shared.overloaded.store(overloaded, Ordering::Relaxed);
        run(&plan(), &target, &crowd).unwrap()
    });
    let observed = observed.await.unwrap();
    stopper.stop();
    server.await.unwrap().unwrap();
    let counted = service.observed.lock().unwrap().clone();
    (observed, counted)
}

/// What is due in each phase, of both workers.
fn due() -> [u64; 2] {
    let plan = plan();
    let all = (0..plan.threads)
        .flat_map(|worker| Schedule::new(plan.arrivals, &plan.phases, SEED, worker, plan.threads).collect::<Vec<_>>());
    all.fold([0, 0], |mut counts, due| {
        counts[due.phase] += 1;
        counts
    })
}

fn count(counted: &[(String, u16)], route: &str, status: u16) -> u64 {
    counted.iter().filter(|(at, told)| at == route && *told == status).count() as u64
}

#[actix_web::test]
async fn what_is_due_is_asked_and_told() {
    let (observed, counted) = loaded(false).await;
    let due = due();
    assert!(due[0] > 20 && due[1] > 50, "{due:?}");
    let mut told = 0;
    for ((phase, record), due) in plan().phases.iter().zip(&observed.records).zip(due) {
        let report = phase_report(*phase, record);
        assert_eq!((report.latency.count, report.admitted.count, record.good), (due, due, due));
        assert_eq!((report.failed, report.timed_out, report.refused.count, report.events_lost), (0, 0, 0, 0));
        assert_eq!(report.rungs.get("market_top"), Some(&due), "the server's own rung: {:?}", report.rungs);
        assert!(report.warm.count > 0 && report.cold.count > 0);
        assert_eq!(record.slices.iter().map(|slice| slice.asked).sum::<u64>(), due);
        told += report.events.count;
    }
    assert!(told > 0);
    assert_eq!(count(&counted, "/v1/next-tracks", 200), due.iter().sum::<u64>());
    assert_eq!(count(&counted, "/v1/events", 202), told + 1, "and the past");
    assert!(observed.used.unwrap().resident > 0);
}

#[actix_web::test]
async fn refusals_are_no_answers() {
    let (observed, _) = loaded(true).await;
    for (record, due) in observed.records.iter().zip(due()) {
        assert_eq!((record.refused.len(), record.admitted.len(), record.good), (due, 0, 0));
        assert_eq!((record.failed, record.events.len()), (0, 0), "nobody hears what was not answered");
    }
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap();
    let target: Target = free.to_string().parse().unwrap();
    let error = run(&plan(), &target, &crowd()).unwrap_err().to_string();
    assert!(error.starts_with(&format!("{free}: cannot connect")), "{error}");
}
