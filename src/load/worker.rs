//! One thread of the generator: sends what is due, whatever became of what was sent before.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::{Duration, Instant};

use tokio::task::{JoinSet, LocalSet};

use super::arrivals::{Due, Schedule};
use super::client::{Client, ClientError, Reply, Target};
use super::crowd::{Crowd, Play};
use super::mix::Mix;
use super::record::{Kind, Outcome, Record, Sample};
use super::run::Plan;
use super::wire::{Answered, Session, question};

/// What one worker knows.
pub(super) struct Worker<'a> {
    pub(super) plan: &'a Plan,
    pub(super) crowd: &'a Crowd,
    pub(super) target: &'a Target,
    /// Its number.
    pub(super) index: usize,
    /// Names the run in ids that must be new to the server.
    pub(super) run: &'a str,
    /// When the first phase begins.
    pub(super) start: Instant,
}

/// What its requests share.
struct Shared {
    client: Client,
    start: Instant,
    records: RefCell<Vec<Record>>,
    /// Where the last phase ends; what listeners do later is not sent.
    end: Duration,
    /// What sounds in each session.
    current: RefCell<Vec<Option<String>>>,
    /// Batches of events so far.
    batches: Cell<u64>,
    /// Begins this worker's ids.
    name: String,
}

/// A request on its way.
struct Sending {
    due: Due,
    kind: Kind,
    session: Session,
    number: usize,
    plays: Vec<Play>,
    think: Duration,
    body: String,
}

impl Worker<'_> {
    /// Sends everything that is due, then waits for what is at work; takes and gives one record a phase.
    ///
    /// # Errors
    /// If the system gives no timers or sockets.
    pub(super) fn work(&self, records: Vec<Record>) -> std::io::Result<Vec<Record>> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let plan = self.plan;
        let shared = Rc::new(Shared {
            client: Client::new(self.target, plan.connections.div_ceil(plan.threads), plan.patience),
            start: self.start,
            records: RefCell::new(records),
            end: Duration::from_secs_f64(plan.phases.iter().map(|phase| phase.seconds).sum()),
            current: RefCell::default(),
            batches: Cell::new(0),
            name: format!("{}-{}", self.run, self.index),
        });
        LocalSet::new().block_on(&runtime, self.send_all(&shared));
        Ok(shared.records.take())
    }

    async fn send_all(&self, shared: &Rc<Shared>) {
        let plan = self.plan;
        let mut mix = Mix::new(self.crowd, plan.mix, plan.seed, self.index as u64);
        let mut at_work = JoinSet::new();
        for due in Schedule::new(plan.arrivals, &plan.phases, plan.seed, self.index, plan.threads) {
            // Drawn and written before it is due.
            let sending = prepare(shared, plan, due, &mut mix);
            tokio::time::sleep_until((self.start + due.at).into()).await;
            at_work.spawn_local(ask(Rc::clone(shared), sending));
            while at_work.try_join_next().is_some() {}
        }
        while at_work.join_next().await.is_some() {}
    }
}

fn prepare(shared: &Shared, plan: &Plan, due: Due, mix: &mut Mix<'_>) -> Sending {
    let ask = mix.ask(due.at);
    let session = Session::of(&ask, &shared.name);
    let mut current = shared.current.borrow_mut();
    if current.len() <= ask.session {
        current.resize(ask.session + 1, None);
    }
    let body = question(&session, &ask, plan.mix.limit, &plan.fields, current[ask.session].as_deref());
    let kind = if ask.listener.is_some() { Kind::Warm } else { Kind::Cold };
    Sending { due, kind, session, number: ask.session, plays: ask.plays, think: ask.think, body }
}

/// Asks, and later tells what the listener did with the answer.
async fn ask(shared: Rc<Shared>, sending: Sending) {
    let Sending { due, kind, session, number, plays, think, body } = sending;
    let sent = shared.start.elapsed();
    let reply = shared.client.post("/v1/next-tracks", body).await;
    let (mut outcome, reply) = judge(reply);
    let answered = reply.as_ref().and_then(|reply| Answered::read(&reply.body));
    if outcome == Outcome::Ok && answered.is_none() {
        outcome = Outcome::Failed;
    }
    let rung = reply.and_then(|reply| reply.rung);
    shared.add(due.phase, &Sample { kind, due: due.at, sent, done: shared.start.elapsed(), outcome, rung });
    let Some(answered) = answered.filter(|_| outcome == Outcome::Ok) else { return };
    if let Some(track) = answered.last_heard(plays.len()) {
        shared.current.borrow_mut()[number] = Some(track.to_owned());
    }
    // An answer that comes later than its listener would have heard it puts off what follows.
    let at = (due.at + think).max(shared.start.elapsed());
    if at < shared.end {
        tokio::time::sleep_until((shared.start + at).into()).await;
        tell(&shared, due.phase, at, &answered, &session, &plays).await;
    }
}

/// Sends what the listener did. It is due when the listener has heard it, or has the answer at last.
async fn tell(shared: &Shared, phase: usize, at: Duration, answered: &Answered, session: &Session, plays: &[Play]) {
    let batch = shared.batches.replace(shared.batches.get() + 1);
    let name = format!("e{}-{batch}", shared.name);
    let body = answered.events(session, plays, &name, jiff::Timestamp::now().as_millisecond());
    let sent = shared.start.elapsed();
    let (outcome, _) = judge(shared.client.post("/v1/events", body).await);
    let done = shared.start.elapsed();
    shared.add(phase, &Sample { kind: Kind::Events, due: at, sent, done, outcome, rung: None });
}

impl Shared {
    fn add(&self, phase: usize, sample: &Sample) {
        self.records.borrow_mut()[phase].add(sample);
    }
}

fn judge(reply: Result<Reply, ClientError>) -> (Outcome, Option<Reply>) {
    match reply {
        Ok(reply) => match reply.status {
            200..=299 => (Outcome::Ok, Some(reply)),
            429 | 503 => (Outcome::Refused, None),
            _ => (Outcome::Failed, None),
        },
        Err(ClientError::TimedOut(_)) => (Outcome::TimedOut, None),
        Err(ClientError::Connect(_) | ClientError::Http(_) | ClientError::Request(_)) => (Outcome::Failed, None),
    }
}
