//! A bounded map whose entries expire.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Instant, tree_memory};

/// A map of at most `capacity` entries, each with the moment at which it is forgotten.
///
/// An entry that is renewed, as most are that are used, costs one search.
///
/// # Security
///
/// Keys may come from strangers. A full map makes room by dropping the entry that would expire
/// first, so a flood costs bounded memory, and `O(log n)` a call on average.
#[derive(Clone, Debug)]
pub struct ExpiringMap<K, V> {
    capacity: usize,
    entries: BTreeMap<K, Entry<V>>,
    /// Each key once, at the time when its entry expires or before it; the first is exact. So a
    /// renewal need not move anything.
    queue: BTreeSet<(Instant, K)>,
    /// The time of the first in the queue.
    next: Option<Instant>,
}

#[derive(Clone, Debug)]
struct Entry<V> {
    value: V,
    expires: Instant,
    /// Where it stands in the queue.
    queued: Instant,
}

impl<V> Entry<V> {
    /// Where it stood in the queue: no later than it may stand there now.
    fn expire_at(&mut self, expires: Instant) -> Instant {
        self.expires = expires;
        let queued = self.queued;
        self.queued = queued.min(expires);
        queued
    }
}

impl<K: Ord + Clone, V> ExpiringMap<K, V> {
    /// An empty map for at most `capacity` entries; `capacity` is at least 1.
    pub fn new(capacity: usize) -> Self {
        Self {
            capacity: capacity.max(1),
            entries: BTreeMap::new(),
            queue: BTreeSet::new(),
            next: None,
        }
    }

    /// Inserts or replaces the value of `key`, to be forgotten at `expires`.
    /// Returns the entry that had to make room, if one had to.
    pub fn insert(&mut self, key: K, value: V, expires: Instant) -> Option<(K, V)> {
        if let Some(entry) = self.entries.get_mut(&key) {
            entry.value = value;
            let queued = entry.expire_at(expires);
            self.requeue(&key, queued, expires);
            return None;
        }
        let is_full = self.entries.len() >= self.capacity;
        let evicted = if is_full { self.pop() } else { None };
        self.enqueue(key.clone(), expires);
        self.entries.insert(key, Entry { value, expires, queued: expires });
        evicted
    }

    /// Has `key` forgotten at `expires` only, and its value changed by `change`, of which it
    /// returns the result; does nothing if it has expired by `now`. One search, where
    /// [`get`](Self::get) and [`insert`](Self::insert) are two.
    pub fn renew<R>(
        &mut self,
        key: &K,
        now: Instant,
        expires: Instant,
        change: impl FnOnce(&mut V) -> R,
    ) -> Option<R> {
        let entry = self.entries.get_mut(key).filter(|entry| entry.expires > now)?;
        let changed = change(&mut entry.value);
        let queued = entry.expire_at(expires);
        self.requeue(key, queued, expires);
        Some(changed)
    }

    /// The value of `key`, unless it has expired by `now`.
    pub fn get(&self, key: &K, now: Instant) -> Option<&V> {
        self.entries.get(key).filter(|entry| entry.expires > now).map(|entry| &entry.value)
    }

    /// The value of `key`, to be changed, unless it has expired by `now`.
    pub fn get_mut(&mut self, key: &K, now: Instant) -> Option<&mut V> {
        self.entries.get_mut(key).filter(|entry| entry.expires > now).map(|entry| &mut entry.value)
    }

    /// Removes `key`, whether it has expired or not.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (key, Entry { value, queued, .. }) = self.entries.remove_entry(key)?;
        self.queue.remove(&(queued, key));
        if self.next == Some(queued) {
            self.settle();
        }
        Some(value)
    }

    /// Removes and returns one entry that has expired by `now`, the oldest first.
    pub fn pop_expired(&mut self, now: Instant) -> Option<(K, V)> {
        if self.next? <= now { self.pop() } else { None }
    }

    /// Forgets up to two entries that have expired by `now`. Done before each entry that may be
    /// new, the map shrinks to what is needed, at a bounded cost.
    pub fn tidy(&mut self, now: Instant) {
        for _ in 0..2 {
            self.pop_expired(now);
        }
    }

    /// When the next entry expires.
    pub const fn next_expiry(&self) -> Option<Instant> {
        self.next
    }

    /// All entries in the order of their keys, expired ones that were not popped included.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.entries.iter().map(|(key, entry)| (key, &entry.value))
    }

    /// How many entries are held, expired ones that were not popped included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The bytes that the map takes, estimated from the number of its entries, without what they
    /// hold elsewhere.
    pub fn memory(&self) -> usize {
        Self::memory_bound(self.len())
    }

    /// The most bytes that a map with this capacity takes.
    pub const fn memory_bound(capacity: usize) -> usize {
        tree_memory::<K, Entry<V>>(capacity) + tree_memory::<(Instant, K), ()>(capacity)
    }

    /// Sees to the place of `key`, which was `queued`, in the queue.
    fn requeue(&mut self, key: &K, queued: Instant, expires: Instant) {
        if expires < queued {
            self.queue.remove(&(queued, key.clone()));
            self.enqueue(key.clone(), expires);
        } else if self.next == Some(queued) {
            self.settle();
        }
    }

    fn enqueue(&mut self, key: K, at: Instant) {
        self.next = Some(self.next.map_or(at, |next| next.min(at)));
        self.queue.insert((at, key));
    }

    /// Removes the entry that expires first.
    fn pop(&mut self) -> Option<(K, V)> {
        let (_, key) = self.queue.pop_first()?;
        let popped = self.entries.remove_entry(&key).map(|(key, entry)| (key, entry.value));
        self.settle();
        popped
    }

    /// Has the first in the queue stand where it belongs.
    fn settle(&mut self) {
        while let Some((at, key)) = self.queue.first() {
            let at = *at;
            let Some(entry) = self.entries.get_mut(key) else { break };
            if entry.expires == at {
                self.next = Some(at);
                return;
            }
            entry.queued = entry.expires;
            let queued = entry.expires;
            if let Some((_, key)) = self.queue.pop_first() {
                self.queue.insert((queued, key));
            }
        }
        self.next = None;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_operations_keep_the_bound_and_lose_only_what_expires_first(
            ops in proptest::collection::vec((0u8..4, 0u8..6, 0u64..20), 0..60),
        ) {
            let mut map = ExpiringMap::new(3);
            // Expiry, key, value.
            let mut list: Vec<(Instant, u8, usize)> = Vec::new();
            for (value, (op, key, time)) in ops.into_iter().enumerate() {
                let time = Instant::from_nanos(time);
                list.sort();
                let place = list.iter().position(|entry| entry.1 == key);
                match op {
                    0 => {
                        let evicted = match place {
                            Some(place) => { list.remove(place); None }
                            None if list.len() == 3 => Some(list.remove(0)),
                            None => None,
                        };
                        list.push((time, key, value));
                        let evicted = evicted.map(|(_, key, value)| (key, value));
                        prop_assert_eq!(map.insert(key, value, time), evicted);
                    }
                    1 => {
                        // From the middle of time on, to wherever the value says.
                        let (now, until) = (Instant::from_nanos(10), Instant::from_nanos(value as u64 % 20));
                        let place = place.filter(|place| list[*place].0 > now);
                        let renewed = place.map(|place| {
                            list[place].0 = until;
                            std::mem::replace(&mut list[place].2, value)
                        });
                        let change = |held: &mut usize| std::mem::replace(held, value);
                        prop_assert_eq!(map.renew(&key, now, until, change), renewed);
                    }
                    2 => {
                        let removed = place.map(|place| list.remove(place).2);
                        prop_assert_eq!(map.remove(&key), removed);
                    }
                    _ => {
                        let expired = list.first().is_some_and(|first| first.0 <= time);
                        let popped = expired.then(|| list.remove(0)).map(|entry| (entry.1, entry.2));
                        prop_assert_eq!(map.pop_expired(time), popped);
                    }
                }
                prop_assert_eq!(map.len(), list.len());
                prop_assert_eq!(map.next_expiry(), list.iter().map(|entry| entry.0).min());
                let held = list.iter().find(|entry| entry.1 == key && entry.0 > time);
                prop_assert_eq!(map.get(&key, time), held.map(|entry| &entry.2));
            }
        }
    }

    #[test]
    fn expired_entries_are_invisible_before_they_are_popped() {
        let at = Instant::from_nanos;
        let mut map = ExpiringMap::new(4);
        map.insert("a", 1, at(10));
        assert_eq!(map.get(&"a", at(9)), Some(&1));
        assert_eq!(map.get(&"a", at(10)), None);
        assert_eq!(map.pop_expired(at(10)), Some(("a", 1)));
        assert!(map.is_empty());
    }

    #[test]
    fn a_full_map_drops_the_entry_that_expires_first() {
        let at = Instant::from_nanos;
        let mut map = ExpiringMap::new(2);
        map.insert(1, "one", at(30));
        map.insert(2, "two", at(20));
        assert_eq!(map.insert(2, "again", at(25)), None);
        assert_eq!(map.insert(3, "three", at(40)), Some((2, "again")));
        assert_eq!(map.len(), 2);
    }
}
