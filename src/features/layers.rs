//! Values by id in layers: what readers have seen, what changed since the disk was last written, what is being written, and
//! the disk.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use moka::policy::EvictionPolicy;
use moka::sync::Cache;

use super::bytes;
use super::kept::Kept;
use crate::vault::{Batch, Row, Vault, VaultError};

/// Locks of one kind of value.
const STRIPES: usize = 1_024;
/// The part of the memory that changed values may fill before they should be written. As much again is left for those
/// that change while they are, and the rest is the cache's.
const CHANGED_PART: usize = 8;

/// A value, or that there is none any more.
type Slot<V> = Option<V>;

/// Values by id, bounded by bytes.
///
/// Readers take no lock: they find snapshots in a concurrent cache, which may drop any of them at any time, and where it has,
/// the value comes back from the maps or the disk. What the cache holds of an id is always its value: it is put there under
/// the lock of its stripe, and a change replaces it before that lock is given back.
///
/// Changes are made in a map of what changed since the disk was last written; nothing there is evicted. They are made in
/// place while no reader has seen the value, as in a replay, else in a copy. [`Layers::part`] draws a line: what had changed
/// up to there is what [`Layers::write`] writes, whatever happens meanwhile, and [`Layers::release`] then leaves it to the
/// cache. Without a disk the cache holds all there is, and what it drops is lost and counted.
///
/// Writers, and readers that the cache fails, hold the lock of one of 1,024 stripes for about a microsecond. Nobody who reads
/// waits for the disk under a lock.
pub(super) struct Layers<V: Kept> {
    stripes: Vec<Mutex<Stripe<V>>>,
    hasher: RandomState,
    cache: Cache<V::Id, V>,
    vault: Arc<OnceLock<Vault>>,
    changed_bytes: AtomicUsize,
    most_changed: usize,
    lost: Arc<AtomicU64>,
}

struct Stripe<V: Kept> {
    changed: HashMap<V::Id, Slot<V>>,
    /// What was changed when the line was drawn. Released, it is in the cache and on disk.
    leaving: HashMap<V::Id, Slot<V>>,
    /// Rises when values go to the cache: who finds one nowhere looks again.
    moves: u64,
    bytes: usize,
}

impl<V: Kept> Stripe<V> {
    fn find(&self, id: &V::Id) -> Option<&Slot<V>> {
        self.changed.get(id).or_else(|| self.leaving.get(id))
    }
}

fn weight<V: Kept>(id: &V::Id, slot: &Slot<V>) -> usize {
    slot.as_ref().map_or(0, |value| value.bytes(id))
}

impl<V: Kept> Layers<V> {
    /// Nothing, with room for `memory` bytes. The disk may come until the first value does.
    pub(super) fn new(memory: usize, vault: Arc<OnceLock<Vault>>) -> Self {
        let most_changed = memory / CHANGED_PART;
        let lost = Arc::new(AtomicU64::new(0));
        let (counter, disk) = (Arc::clone(&lost), Arc::clone(&vault));
        let stripe = || Stripe { changed: HashMap::new(), leaving: HashMap::new(), moves: 0, bytes: 0 };
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::new(stripe())).collect(),
            hasher: RandomState::new(),
            // LRU, not moka's default: TinyLFU may turn a new entry away at once when the cache is full.
            cache: Cache::builder()
                .max_capacity((memory - 2 * most_changed) as u64)
                .weigher(|id, value: &V| bytes::weight(value.bytes(id)))
                .eviction_policy(EvictionPolicy::lru())
                .eviction_listener(move |_, _, cause| {
                    if cause.was_evicted() && disk.get().is_none() {
                        counter.fetch_add(1, Ordering::Relaxed);
                    }
                })
                .build(),
            vault,
            changed_bytes: AtomicUsize::new(0),
            most_changed,
            lost,
        }
    }

    /// The value of an id. A miss of memory is one look-up on disk.
    pub(super) fn get(&self, id: &V::Id) -> Option<V> {
        if let Some(value) = self.cache.get(id) {
            return Some(value);
        }
        loop {
            let moves = {
                let stripe = self.stripe(id);
                if let Some(slot) = stripe.find(id) {
                    self.show(id, slot.as_ref());
                    return slot.clone();
                }
                if let Some(value) = self.cache.get(id) {
                    return Some(value);
                }
                stripe.moves
            };
            let found = self.on_disk(id);
            let stripe = self.stripe(id);
            if stripe.moves != moves || stripe.find(id).is_some() {
                // It was on its way from one layer to another.
                continue;
            }
            self.show(id, found.as_ref());
            return found;
        }
    }

    /// Whether a read of this id does not need the disk.
    pub(super) fn is_at_hand(&self, id: &V::Id) -> bool {
        self.vault.get().is_none() || self.cache.contains_key(id) || self.stripe(id).find(id).is_some()
    }

    /// Changes the value of an id, made or removed as `change` likes; what it leaves untouched stays so. Writers of one id
    /// take turns, and those of two ids may: `change` must touch no other value of these layers.
    pub(super) fn change<R>(&self, id: &V::Id, change: impl FnOnce(&mut Slot<V>) -> R) -> R {
        let mut stripe = self.stripe(id);
        if self.vault.get().is_none() {
            let mut slot = self.cache.get(id);
            let done = change(&mut slot);
            self.show(id, slot.as_ref());
            return done;
        }
        let Stripe { changed, leaving, bytes, .. } = &mut *stripe;
        let mut was_there = true;
        let mut before = 0;
        let slot = match changed.entry(id.clone()) {
            Entry::Occupied(entry) => {
                let slot = entry.into_mut();
                before = weight(id, slot);
                slot
            }
            Entry::Vacant(entry) => {
                let known = leaving.get(id).cloned();
                let slot = known.unwrap_or_else(|| {
                    let found = self.cache.get(id).or_else(|| self.on_disk(id));
                    was_there = found.is_some();
                    found
                });
                entry.insert(slot)
            }
        };
        // What nobody else holds is not in the cache.
        let is_shared = slot.as_ref().is_some_and(V::is_shared);
        let done = change(slot);
        let after = weight(id, slot);
        if slot.is_none() || is_shared && self.cache.contains_key(id) {
            self.show(id, slot.as_ref());
        }
        if slot.is_none() && !was_there {
            changed.remove(id);
        }
        *bytes = (*bytes + after).saturating_sub(before);
        self.count(before, after);
        done
    }

    /// Sets what readers find in the cache. Under the lock of the id's stripe.
    fn show(&self, id: &V::Id, value: Option<&V>) {
        match value {
            Some(value) => self.cache.insert(id.clone(), value.clone()),
            None => self.cache.invalidate(id),
        }
    }

    /// Draws the line: what has changed up to here is written next. What a write that failed has left belongs to it.
    pub(super) fn part(&self) {
        for stripe in &self.stripes {
            let mut stripe = locked(stripe);
            let Stripe { changed, leaving, .. } = &mut *stripe;
            if leaving.is_empty() {
                std::mem::swap(changed, leaving);
            } else {
                let twice =
                    changed.drain().filter_map(|(id, slot)| leaving.insert(id.clone(), slot).map(|old| (id, old)));
                let bytes: usize = twice.map(|(id, old)| weight(&id, &old)).sum();
                stripe.bytes = stripe.bytes.saturating_sub(bytes);
                self.count(bytes, 0);
            }
        }
    }

    /// Writes what had changed when the line was drawn; returns the number of rows.
    ///
    /// # Errors
    /// The disk's.
    pub(super) fn write(&self, vault: &Vault, batch: &mut Batch<'_>) -> Result<u64, VaultError> {
        let mut rows: Vec<(u64, V::Id, Slot<V>)> = Vec::new();
        for stripe in &self.stripes {
            let stripe = locked(stripe);
            rows.extend(
                stripe.leaving.iter().map(|(id, slot)| (vault.place(V::id_text(id)), id.clone(), slot.clone())),
            );
        }
        rows.sort_unstable_by_key(|row| row.0);
        let mut body = Vec::new();
        for (_, id, slot) in &rows {
            let id = V::id_text(id);
            match slot {
                Some(value) => {
                    body.clear();
                    body = value.write(body).map_err(VaultError::new)?;
                    let row = Row { id, owner: value.owner(), hour: value.hour(), body: &body };
                    batch.put(V::SHELF, row)?;
                }
                None => batch.remove(V::SHELF, id)?,
            }
        }
        Ok(rows.len() as u64)
    }

    /// Leaves to the cache what is on disk now.
    pub(super) fn release(&self) {
        for stripe in &self.stripes {
            let mut stripe = locked(stripe);
            let all = std::mem::take(&mut stripe.leaving);
            self.leave_to_cache(&mut stripe, all);
        }
    }

    fn leave_to_cache(&self, stripe: &mut Stripe<V>, all: HashMap<V::Id, Slot<V>>) {
        stripe.moves += 1;
        for (id, slot) in all {
            let bytes = weight(&id, &slot);
            stripe.bytes = stripe.bytes.saturating_sub(bytes);
            self.count(bytes, 0);
            // What has changed again since is not the cache's.
            if !stripe.changed.contains_key(&id)
                && let Some(value) = slot
            {
                self.cache.insert(id, value);
            }
        }
    }

    /// Lets go of what memory holds and the disk does too.
    pub(super) fn rest(&self) {
        self.cache.invalidate_all();
        self.cache.run_pending_tasks();
    }

    /// Whether so much has changed that it should be written soon.
    pub(super) fn is_crowded(&self) -> bool {
        self.changed_bytes.load(Ordering::Relaxed) > self.most_changed
    }

    /// Whether so much has changed that memory's bound is in danger.
    pub(super) fn is_full(&self) -> bool {
        self.changed_bytes.load(Ordering::Relaxed) > 2 * self.most_changed
    }

    /// The ids of values for which `is_theirs` holds. `O(changed)`, without a disk `O(all)`.
    pub(super) fn ids(&self, is_theirs: impl Fn(&V) -> bool) -> Vec<V::Id> {
        let mut found = Vec::new();
        for stripe in &self.stripes {
            let stripe = locked(stripe);
            let slots = stripe.changed.iter().chain(&stripe.leaving);
            found.extend(slots.filter(|(_, slot)| slot.as_ref().is_some_and(&is_theirs)).map(|(id, _)| id.clone()));
        }
        if self.vault.get().is_none() {
            found.extend(self.cache.iter().filter(|(_, value)| is_theirs(value)).map(|(id, _)| V::Id::clone(&id)));
        }
        found
    }

    /// Values in memory. Does the cache's housekeeping: for gauges, not for requests.
    pub(super) fn count_held(&self) -> u64 {
        self.cache.run_pending_tasks();
        let unseen = |stripe: &Mutex<Stripe<V>>| {
            let stripe = locked(stripe);
            let again = |id: &V::Id| stripe.changed.contains_key(id);
            let all = stripe.changed.iter().chain(stripe.leaving.iter().filter(|(id, _)| !again(id)));
            all.filter(|(id, slot)| slot.is_some() && !self.cache.contains_key(*id)).count() as u64
        };
        self.stripes.iter().map(unseen).sum::<u64>() + self.cache.entry_count()
    }

    /// Bytes of values that the disk does not hold yet.
    pub(super) fn changed_bytes(&self) -> usize {
        self.changed_bytes.load(Ordering::Relaxed)
    }

    /// Values that the cache dropped while there was no disk.
    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn on_disk(&self, id: &V::Id) -> Option<V> {
        self.vault.get()?.read(V::SHELF, V::id_text(id), V::read)
    }

    fn count(&self, before: usize, after: usize) {
        if after > before {
            self.changed_bytes.fetch_add(after - before, Ordering::Relaxed);
        } else if before > after {
            self.changed_bytes.fetch_sub(before - after, Ordering::Relaxed);
        }
    }

    fn stripe(&self, id: &V::Id) -> MutexGuard<'_, Stripe<V>> {
        locked(&self.stripes[self.hasher.hash_one(id) as usize % STRIPES])
    }
}

/// A value of a writer that panicked is as far as it came; the maps are whole.
fn locked<V: Kept>(stripe: &Mutex<Stripe<V>>) -> MutexGuard<'_, Stripe<V>> {
    stripe.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl<V: Kept> Layers<V> {
    /// Every value, of whatever layer, by the text of its id.
    pub(super) fn all(&self) -> std::collections::BTreeMap<String, V> {
        let on_disk = self.vault.get().map(|vault| vault.all(V::SHELF)).unwrap_or_default();
        let mut all: std::collections::BTreeMap<String, V> =
            on_disk.into_iter().map(|(id, owner, body)| (id, V::read(&owner, &body).unwrap())).collect();
        all.extend(self.cache.iter().map(|(id, value)| (V::id_text(&id).to_owned(), value)));
        for stripe in &self.stripes {
            let stripe = locked(stripe);
            for (id, slot) in stripe.leaving.iter().chain(&stripe.changed) {
                match slot {
                    Some(value) => _ = all.insert(V::id_text(id).to_owned(), value.clone()),
                    None => _ = all.remove(V::id_text(id)),
                }
            }
        }
        all
    }

    /// Bytes in memory.
    pub(super) fn bytes(&self) -> u64 {
        self.cache.run_pending_tasks();
        self.cache.weighted_size() + self.changed_bytes() as u64
    }
}
