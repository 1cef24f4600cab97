//! Listeners who hear what they are served: they tire, grow fond, leave a session, and leave for good.

use std::collections::HashMap;

use rand::RngExt;
use rand_distr::{Distribution, Poisson};

use super::behaviour::{Play, play};
use super::catalogue::{MARKETS, World, normal};
use super::event::event;
use super::listener::Listener;
use super::session::{Intent, choose, intent_at};
use super::{WorldConfig, WorldError};
use crate::domain::{Catalogue, Device, Event, IdError, SessionId, UserId};

const DAY_MS: i64 = 86_400_000;
/// A skip before this is an early one.
const EARLY_SKIP_MS: u32 = 10_000;
/// How content a listener is at first, 0..1.
const CONTENT: f32 = 0.6;
/// Weight of one play in it.
const CONTENT_STEP: f32 = 0.05;
/// Chance a day to leave for good at [`CONTENT`].
const CHURN: f32 = 0.005;
/// How steeply that falls with contentment.
const CHURN_SLOPE: f32 = 5.0;
/// Skips after which each further one in a row may end the session, and the chance.
const PATIENCE: (u32, f64) = (1, 0.12);
/// Plays of which a listener notices that an artist returns, how many are fine, and what each further one adds to the
/// log-odds of a skip.
const VARIETY: (usize, usize, f32) = (10, 2, 0.35);
/// Daily drift of each coordinate of the taste.
const DRIFT: f32 = 0.01;

/// A listener in the middle of a session.
struct Sitting {
    intent: Intent,
    now_ms: i64,
    last: Option<Play>,
    artists: Vec<u32>,
    skips: u32,
}

struct Member {
    listener: Listener,
    content: f32,
    gone: bool,
}

/// What a listener's client sends with a request.
#[derive(Debug, Clone, PartialEq)]
pub struct Asking {
    /// Who.
    pub user_id: UserId,
    /// In which session.
    pub session_id: SessionId,
    /// Market code.
    pub market: &'static str,
    /// On what.
    pub device: Device,
    /// The listener's hour, 0..23.
    pub local_hour: u8,
    /// When, Unix ms.
    pub now_ms: i64,
}

/// What came of one play.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// What the client reports, in time order.
    pub events: Vec<Event>,
    /// Skipped within ten seconds.
    pub early_skip: bool,
    /// Skipped at all.
    pub skipped: bool,
    /// Time played, ms.
    pub played_ms: u32,
    /// Whether the session is over.
    pub leaves: bool,
}

/// Listeners of one world, each with a taste that drifts, satiation, an eye for variety, and a chance to leave for good that
/// falls with how content the plays made them. The same seed and the same served tracks give the same listeners.
///
/// A model of people, not people: its constants are chosen to be plausible, so that policies can be compared with each
/// other; its figures say nothing of a real service.
pub struct Crowd {
    world: World,
    members: Vec<Member>,
    sittings: HashMap<u32, Sitting>,
    events: u64,
}

impl Crowd {
    /// `listeners` people that the world's own log does not know, drawn from `seed`. About 1 KB each.
    ///
    /// # Errors
    /// A number out of range.
    pub fn new(config: &WorldConfig, listeners: u32, seed: u32) -> Result<Self, WorldError> {
        WorldConfig { listeners, ..config.clone() }.check()?;
        let world = World::new(config);
        // Numbers of the world's own listeners have no upper half.
        let stream = |number| (u64::from(seed) + 1) << 32 | u64::from(number);
        let member = |number| Member {
            listener: Listener::new(&world, stream(number), config.start_day(), config.days),
            content: CONTENT,
            gone: false,
        };
        let members = (0..listeners).map(member).collect();
        Ok(Self { world, members, sittings: HashMap::new(), events: 0 })
    }

    /// The first of the bundle's tracks that is not a track of this world as it stands there: the bundle is of another one.
    pub fn stranger(&self, catalogue: &Catalogue) -> Option<String> {
        let rows = (0..catalogue.len() as u32).map(|at| catalogue.track(crate::domain::TrackIx(at)));
        rows.map(|row| (row, self.number_of(row.track_id.as_str())))
            .find(|(row, number)| {
                let own = number.and_then(|number| self.world.row(number).ok());
                own.is_none_or(|own| (&own.title, own.release_day) != (&row.title, row.release_day))
            })
            .map(|(row, _)| row.track_id.as_str().to_owned())
    }

    /// The number of a track in this world.
    pub fn number_of(&self, track_id: &str) -> Option<u32> {
        let number: u32 = track_id.strip_prefix('t')?.parse().ok()?;
        ((number as usize) < self.world.songs.len()).then_some(number)
    }

    /// Listeners who have not left for good.
    pub fn present(&self) -> usize {
        self.members.iter().filter(|member| !member.gone).count()
    }

    /// Begins a day: tastes drift, some leave for good, and the others' sessions are drawn: start (Unix ms) and listener, in
    /// time order.
    pub fn begin_day(&mut self, day: i32) -> Vec<(i64, u32)> {
        let weekend = if matches!(day.rem_euclid(7), 2 | 3) { 1.3 } else { 1.0 };
        let mut starts = Vec::new();
        for (number, Member { listener, content, gone }) in self.members.iter_mut().enumerate() {
            let hazard = CHURN * (CHURN_SLOPE * (CONTENT - *content)).exp();
            let leaves = listener.rng.random::<f32>() < hazard;
            *gone |= leaves;
            if *gone {
                continue;
            }
            for at in 0..super::LATENT {
                listener.taste[at] += DRIFT * normal(&mut listener.rng);
            }
            let rate = listener.rate * weekend * (0.4 + *content);
            let sessions = Poisson::new(rate).map_or(0.0, |p| p.sample(&mut listener.rng)) as u32;
            for _ in 0..sessions.min(8) {
                starts.push((i64::from(day) * DAY_MS + listener.session_start(), number as u32));
            }
        }
        starts.sort_unstable();
        starts
    }

    /// Begins a session.
    pub fn sit_down(&mut self, number: u32, start_ms: i64) {
        let listener = &mut self.members[number as usize].listener;
        let now_ms = start_ms.max(listener.busy_until_ms + 1_800_000);
        let intent = intent_at(listener.local_hour(now_ms), listener);
        listener.sessions += 1;
        self.sittings.insert(number, Sitting { intent, now_ms, last: None, artists: Vec::new(), skips: 0 });
    }

    /// What the listener's client would ask with now; `None` outside a session.
    pub fn asking(&self, number: u32) -> Option<Asking> {
        let (sitting, listener) = (self.sittings.get(&number)?, &self.members[number as usize].listener);
        Some(Asking {
            user_id: UserId::new(format!("u{number}")).ok()?,
            session_id: SessionId::new(format!("s{number}-{}", listener.sessions)).ok()?,
            market: MARKETS[listener.market as usize],
            device: listener.device,
            local_hour: listener.local_hour(sitting.now_ms),
            now_ms: sitting.now_ms,
        })
    }

    /// A track that the listener finds without help; `None` where nothing comes to mind or outside a session.
    pub fn own_choice(&mut self, number: u32) -> Option<u32> {
        let sitting = self.sittings.get(&number)?;
        let listener = &mut self.members[number as usize].listener;
        choose(&self.world, listener, sitting.intent, sitting.last.as_ref(), sitting.now_ms)
    }

    /// Lets the listener hear a track; `None` outside a session. The session is over where the listener `leaves`.
    ///
    /// # Errors
    /// Never: ids are well formed.
    pub fn hear(&mut self, number: u32, track: u32) -> Result<Option<Heard>, IdError> {
        let Some(sitting) = self.sittings.get_mut(&number) else { return Ok(None) };
        let Member { listener, content, .. } = &mut self.members[number as usize];
        let artist = self.world.songs[track as usize].artist;
        let (window, fine, each) = VARIETY;
        let same = sitting.artists.iter().rev().take(window).filter(|heard| **heard == artist).count();
        let weariness = each * same.saturating_sub(fine) as f32;
        let tired = listener.satiation(track, sitting.now_ms);
        let known = tired > 0.0;
        let play = play(&self.world, listener, sitting.intent, track, sitting.now_ms, weariness);
        sitting.artists.push(artist);
        sitting.skips = if play.skipped { sitting.skips + 1 } else { 0 };
        sitting.now_ms = play.end_ms + listener.rng.random_range(300..4_000);
        let early_skip = play.skipped && play.played_ms < EARLY_SKIP_MS;
        if !play.stopped {
            *content += CONTENT_STEP * (joy(&play, early_skip, tired, known) - *content);
        }
        let (patience, chance) = PATIENCE;
        let annoyed = 1.0 - (1.0 - chance).powi(sitting.skips.saturating_sub(patience) as i32);
        let goes_on = f64::from(1.0 - 1.0 / listener.stamina) * (1.0 - annoyed);
        let leaves = play.stopped || !listener.rng.random_bool(goes_on.clamp(0.0, 1.0));
        let mut events = Vec::with_capacity(2 + play.asides.len());
        for told in play.tells() {
            let id = format!("x{}", self.events);
            self.events += 1;
            events.push(event(&self.world, (listener, number, listener.sessions), &play, told, id)?);
        }
        let heard = Heard { events, early_skip, skipped: play.skipped, played_ms: play.played_ms, leaves };
        sitting.last = Some(play);
        if leaves {
            listener.busy_until_ms = sitting.now_ms;
            self.sittings.remove(&number);
        }
        Ok(Some(heard))
    }

    /// Ends the listener's session, if there is one: nothing was left to hear.
    pub fn stand_up(&mut self, number: u32) {
        if let Some(sitting) = self.sittings.remove(&number) {
            self.members[number as usize].listener.busy_until_ms = sitting.now_ms;
        }
    }
}

/// How a play felt, 0..1: best is a track that is new and fits, and what was heard just now is worth half.
fn joy(play: &Play, early_skip: bool, tired: f32, known: bool) -> f32 {
    match (play.skipped, early_skip) {
        (true, true) => 0.0,
        (true, false) => 0.25,
        (false, _) => (if known { 0.85 } else { 1.0 }) - 0.5 * tired,
    }
}
