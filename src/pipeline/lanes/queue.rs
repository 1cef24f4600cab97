//! The jobs that wait for a lane, and which of them is next.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How much it matters that a request is answered, as its client says; the order is that of importance.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Criticality {
    /// The first to be refused: prefetches, batch jobs.
    Sheddable,
    /// What a request is that says nothing.
    #[default]
    Default,
    /// The last to be refused, and served before the others.
    Critical,
}

impl Criticality {
    /// Every one, least important first.
    pub const ALL: [Self; 3] = [Self::Sheddable, Self::Default, Self::Critical];

    /// As headers and metrics write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sheddable => "sheddable",
            Self::Default => "default",
            Self::Critical => "critical",
        }
    }

    /// Share of the in-flight limit up to which such requests are let in.
    pub fn share(self) -> f64 {
        match self {
            Self::Sheddable => 0.5,
            Self::Default => 0.9,
            Self::Critical => 1.0,
        }
    }
}

/// Jobs in the order in which lanes take them: the most critical first and, of these, the oldest first. While the queue
/// stands longer than `longest` for an interval on end it is *overloaded*: then the newest goes first, and what has waited
/// longer than `longest` is given up, for its client hardly waits any more, and the old would make everybody late (Nichols
/// and Jacobson, "Controlling Queue Delay", 2012; Maurer, "Fail at Scale", 2015). CoDel looks at how long the job taken has
/// waited. That says nothing when the newest is taken, so this looks at how long the queue would take to drain.
#[derive(Debug)]
pub(super) struct Queue<J> {
    classes: [VecDeque<(Instant, J)>; 3],
    longest: Duration,
    long_since: Option<Instant>,
    overloaded: bool,
}

/// How long the queue must stand before it counts as overloaded.
const INTERVAL: Duration = Duration::from_millis(100);

impl<J> Queue<J> {
    /// An empty queue that may stand for `longest`.
    pub(super) fn new(longest: Duration) -> Self {
        Self { classes: Default::default(), longest, long_since: None, overloaded: false }
    }

    /// Jobs waiting.
    pub(super) fn len(&self) -> usize {
        self.classes.iter().map(VecDeque::len).sum()
    }

    /// Whether the newest goes first and the old are given up.
    pub(super) fn overloaded(&self) -> bool {
        self.overloaded
    }

    /// Lets a job wait. `now` must not go back from call to call.
    pub(super) fn push(&mut self, now: Instant, criticality: Criticality, job: J) {
        self.classes[criticality as usize].push_back((now, job));
    }

    /// Takes note of how long the queue would take to drain.
    pub(super) fn stands(&mut self, now: Instant, drain: Duration) {
        if drain <= self.longest {
            (self.long_since, self.overloaded) = (None, false);
            return;
        }
        let since = *self.long_since.get_or_insert(now);
        self.overloaded |= now.saturating_duration_since(since) >= INTERVAL;
    }

    /// The next job.
    pub(super) fn take(&mut self) -> Option<J> {
        let class = self.classes.iter_mut().rev().find(|class| !class.is_empty())?;
        let taken = if self.overloaded { class.pop_back() } else { class.pop_front() };
        taken.map(|(_, job)| job)
    }

    /// A job that has waited too long, if any: only while overloaded, the least critical first.
    pub(super) fn give_up(&mut self, now: Instant) -> Option<J> {
        if !self.overloaded {
            return None;
        }
        let longest = self.longest;
        let late = |since: Instant| now.saturating_duration_since(since) > longest;
        let class = self.classes.iter_mut().find(|class| class.front().is_some_and(|(since, _)| late(*since)))?;
        class.pop_front().map(|(_, job)| job)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LONGEST: Duration = Duration::from_millis(50);

    /// What can happen to a queue, and the milliseconds that pass before.
    #[derive(Debug, Clone)]
    enum Event {
        Push(usize),
        Stands(u64),
        Take,
        GiveUp,
    }

    fn events() -> impl Strategy<Value = Vec<(u64, Event)>> {
        let event = prop_oneof![
            (0..3_usize).prop_map(Event::Push),
            (0..120_u64).prop_map(Event::Stands),
            Just(Event::Take),
            Just(Event::GiveUp),
        ];
        prop::collection::vec((0..40_u64, event), 1..200)
    }

    proptest! {
        #[test]
        fn equals_a_list_that_is_searched(events in events()) {
            let (start, mut ms) = (Instant::now(), 0);
            let mut queue = Queue::new(LONGEST);
            // (job, class, when), and the moments at which the drain was told, newest last.
            let (mut waiting, mut told) = (Vec::<(usize, usize, u64)>::new(), Vec::<(u64, u64)>::new());
            for (job, (passed, event)) in events.into_iter().enumerate() {
                ms += passed;
                let now = start + Duration::from_millis(ms);
                let long: Vec<u64> = told.iter().rev().take_while(|(_, drain)| *drain > 50).map(|(at, _)| *at).collect();
                let overloaded = matches!((long.first(), long.last()), (Some(last), Some(first)) if last - first >= 100);
                prop_assert_eq!(queue.overloaded(), overloaded);
                match event {
                    Event::Push(class) => {
                        queue.push(now, Criticality::ALL[class], job);
                        waiting.push((job, class, ms));
                    }
                    Event::Stands(drain) => {
                        queue.stands(now, Duration::from_millis(drain));
                        told.push((ms, drain));
                    }
                    Event::Take => {
                        let order = |&(job, class, _): &(usize, usize, u64)| {
                            (class, if overloaded { job } else { usize::MAX - job })
                        };
                        let next = waiting.iter().copied().max_by_key(order);
                        waiting.retain(|other| Some(*other) != next);
                        prop_assert_eq!(queue.take(), next.map(|(job, ..)| job));
                    }
                    Event::GiveUp => {
                        let late = waiting.iter().copied().filter(|(_, _, since)| overloaded && ms - since > 50);
                        let next = late.min_by_key(|&(job, class, _)| (class, job));
                        waiting.retain(|other| Some(*other) != next);
                        prop_assert_eq!(queue.give_up(now), next.map(|(job, ..)| job));
                    }
                }
                prop_assert_eq!(queue.len(), waiting.len());
            }
        }
    }
}
