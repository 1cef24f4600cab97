//! What is asked for at each moment: sessions of listeners who are known and of new ones.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::LoadError;
use super::crowd::{Crowd, Listener, Play};

/// What requests are like.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct MixPlan {
    /// Share of sessions of listeners whom the server has never met, 0..=1.
    pub new_share: f64,
    /// Share of sessions that start from one of the listener's tracks, 0..=1.
    pub radio_share: f64,
    /// Mean time between an answer's request and the session's next one, s; exponential.
    pub think_s: f64,
    /// Mean requests of a session, at least 1; geometric.
    pub asks: f64,
    /// Most plays of an answer before the next request, 1..=20; uniform from 1.
    pub plays: usize,
    /// Tracks asked for, 1..=100.
    pub limit: usize,
}

impl Default for MixPlan {
    fn default() -> Self {
        Self { new_share: 0.2, radio_share: 0.1, think_s: 5.0, asks: 6.0, plays: 4, limit: 20 }
    }
}

impl MixPlan {
    /// # Errors
    /// The first number out of its range.
    pub fn check(&self) -> Result<(), LoadError> {
        let shares = [("new share", self.new_share), ("radio share", self.radio_share)];
        let share = |(_, value): &(&str, f64)| !(0.0..=1.0).contains(value);
        if let Some((name, value)) = shares.into_iter().find(share) {
            return Err(LoadError::Plan(format!("{name} {value}: must be in 0..=1")));
        }
        let rest = [
            ("think time", self.think_s, 0.001, 3_600.0),
            ("asks a session", self.asks, 1.0, 1_000.0),
            ("plays an answer", self.plays as f64, 1.0, 20.0),
            ("limit", self.limit as f64, 1.0, 100.0),
        ];
        match rest.into_iter().find(|(_, value, low, high)| !(low..=high).contains(&value)) {
            Some((name, value, low, high)) => {
                Err(LoadError::Plan(format!("{name} {value}: must be in {low}..={high}")))
            }
            None => Ok(()),
        }
    }
}

/// One request, and what its listener will do with the answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask<'a> {
    /// Number of the session within this mix.
    pub session: usize,
    /// Who; absent: somebody new, of that number.
    pub listener: Option<&'a Listener>,
    /// A track to start from.
    pub seed_track: Option<&'a str>,
    /// How the first tracks of the answer will be heard.
    pub plays: Vec<Play>,
    /// From this request's moment to that of its events.
    pub think: Duration,
}

/// A session between two requests.
#[derive(Debug)]
struct Open<'a> {
    listener: Option<&'a Listener>,
    seed_track: Option<&'a str>,
}

/// Sessions of one worker. A session asks again at the first moment after its think time; where none is ready, a new one begins.
/// So moments and sessions depend on nothing but the seed, and there are as many sessions as the rate needs.
#[derive(Debug)]
pub struct Mix<'a> {
    crowd: &'a Crowd,
    plan: MixPlan,
    rng: ChaCha8Rng,
    open: Vec<Open<'a>>,
    ready: BinaryHeap<Reverse<(Duration, usize)>>,
}

impl<'a> Mix<'a> {
    /// The same seed and stream give the same requests.
    pub fn new(crowd: &'a Crowd, plan: MixPlan, seed: u64, stream: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        rng.set_stream(stream);
        Self { crowd, plan, rng, open: Vec::new(), ready: BinaryHeap::new() }
    }

    /// The request that is due at that moment; moments do not go back. `O(log sessions)`.
    pub fn ask(&mut self, at: Duration) -> Ask<'a> {
        let ready = self.ready.peek().is_some_and(|Reverse((when, _))| *when <= at);
        let waiting = if ready { self.ready.pop() } else { None };
        let session = match waiting {
            Some(Reverse((_, session))) => session,
            None => self.begin(),
        };
        let think = Duration::from_secs_f64(-self.plan.think_s * (1.0 - self.rng.random::<f64>()).ln());
        if !self.rng.random_bool(1.0 / self.plan.asks) {
            self.ready.push(Reverse((at + think, session)));
        }
        let Open { listener, seed_track } = self.open[session];
        let of = listener.unwrap_or_else(|| self.somebody());
        let plays = (0..self.rng.random_range(1..=self.plan.plays)).map(|_| of.plays[self.draw(of.plays.len())]);
        Ask { session, listener, seed_track, plays: plays.collect(), think }
    }

    fn begin(&mut self) -> usize {
        let is_new = self.rng.random_bool(self.plan.new_share);
        let who = self.somebody();
        let is_radio = self.rng.random_bool(self.plan.radio_share) && !who.tracks.is_empty();
        let seed_track = is_radio.then(|| who.tracks[self.draw(who.tracks.len())].as_str());
        self.open.push(Open { listener: (!is_new).then_some(who), seed_track });
        self.open.len() - 1
    }

    fn somebody(&mut self) -> &'a Listener {
        &self.crowd.listeners[self.draw(self.crowd.listeners.len())]
    }

    fn draw(&mut self, below: usize) -> usize {
        self.rng.random_range(0..below)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::super::crowd::tests::play;
    use super::*;
    use crate::domain::EventType;

    fn crowd() -> Crowd {
        let events = [
            play("a", "t1", 1, EventType::Skip, 4_000),
            play("b", "t2", 2, EventType::PlayEnd, 200_000),
            play("b", "t3", 3, EventType::PlayEnd, 190_000),
        ];
        Crowd::of(events.concat()).unwrap()
    }

    fn asks(crowd: &Crowd, plan: MixPlan, seed: u64) -> Vec<(Duration, Ask<'_>)> {
        let mut mix = Mix::new(crowd, plan, seed, 0);
        (0..20_000).map(|n| Duration::from_millis(10 * n)).map(|at| (at, mix.ask(at))).collect()
    }

    #[test]
    fn shares_and_means_are_those_of_the_plan() {
        let crowd = crowd();
        let plan = MixPlan::default();
        let asks = asks(&crowd, plan, 3);
        let mut sessions: HashMap<usize, Vec<&(Duration, Ask<'_>)>> = HashMap::new();
        for ask in &asks {
            sessions.entry(ask.1.session).or_default().push(ask);
        }
        let share = |count: usize| count as f64 / sessions.len() as f64;
        let firsts = || sessions.values().map(|asks| &asks[0].1);
        let new = share(firsts().filter(|ask| ask.listener.is_none()).count());
        let radios = share(firsts().filter(|ask| ask.seed_track.is_some()).count());
        assert!((new - plan.new_share).abs() < 0.03 && (radios - plan.radio_share).abs() < 0.03, "{new} {radios}");
        // Sessions of the first half are over by the end.
        let lengths: Vec<f64> = sessions
            .values()
            .filter(|asks| asks[0].0 < Duration::from_secs(100))
            .map(|asks| asks.len() as f64)
            .collect();
        let mean = lengths.iter().sum::<f64>() / lengths.len() as f64;
        assert!((mean - plan.asks).abs() < 0.4, "{mean} requests a session");
        // Nobody asks before they have heard the last answer.
        for session in sessions.values() {
            assert!(session.windows(2).all(|two| two[1].0 >= two[0].0 + two[0].1.think));
            assert!(session.iter().all(|ask| ask.1.listener == session[0].1.listener));
        }
        let think: f64 = asks.iter().map(|(_, ask)| ask.think.as_secs_f64()).sum::<f64>() / asks.len() as f64;
        assert!((think - plan.think_s).abs() < 0.2, "{think}");
    }

    #[test]
    fn listeners_play_as_they_did() {
        let crowd = crowd();
        let plan = MixPlan { new_share: 0.0, ..MixPlan::default() };
        for (_, ask) in asks(&crowd, plan, 5).iter().take(2_000) {
            let own = &ask.listener.unwrap().plays;
            assert!((1..=plan.plays).contains(&ask.plays.len()) && ask.plays.iter().all(|play| own.contains(play)));
        }
    }

    #[test]
    fn the_same_seed_asks_the_same() {
        let crowd = crowd();
        let of = |seed| asks(&crowd, MixPlan::default(), seed);
        assert!(of(1) == of(1) && of(1) != of(2));
    }

    #[test]
    fn numbers_out_of_range_are_named() {
        let error = MixPlan { new_share: 1.5, ..MixPlan::default() }.check().unwrap_err();
        assert_eq!(error.to_string(), "new share 1.5: must be in 0..=1");
        assert!(MixPlan { asks: 0.5, ..MixPlan::default() }.check().is_err());
        assert!(MixPlan { think_s: f64::NAN, ..MixPlan::default() }.check().is_err());
        assert!(MixPlan::default().check().is_ok());
    }
}
