//! A table of named deadlines: one per key, the soonest first.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Instant, tree_memory};

/// Deadlines by key. Setting a key again moves its deadline. Ties fire in key order.
///
/// Holds one entry per key that its owner has set, so it is bounded by whatever bounds the keys.
#[derive(Clone, Debug)]
pub struct TimerTable<K> {
    by_key: BTreeMap<K, Instant>,
    by_time: BTreeSet<(Instant, K)>,
}

impl<K: Ord + Clone> TimerTable<K> {
    /// A table without deadlines.
    pub const fn new() -> Self {
        Self { by_key: BTreeMap::new(), by_time: BTreeSet::new() }
    }

    /// Sets the deadline of `key` to `at`, replacing the one it had.
    pub fn set(&mut self, key: K, at: Instant) {
        self.cancel(&key);
        self.by_time.insert((at, key.clone()));
        self.by_key.insert(key, at);
    }

    /// Forgets the deadline of `key`. Returns it, if there was one.
    pub fn cancel(&mut self, key: &K) -> Option<Instant> {
        let (key, at) = self.by_key.remove_entry(key)?;
        self.by_time.remove(&(at, key));
        Some(at)
    }

    /// Removes and returns the soonest key whose deadline is at or before `now`.
    pub fn pop_due(&mut self, now: Instant) -> Option<K> {
        if self.next()? > now {
            return None;
        }
        let (_, key) = self.by_time.pop_first()?;
        self.by_key.remove(&key);
        Some(key)
    }

    /// The soonest deadline.
    pub fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// The deadline of `key`, if it has one.
    pub fn get(&self, key: &K) -> Option<Instant> {
        self.by_key.get(key).copied()
    }

    /// The bytes that the table takes, estimated from the number of deadlines.
    pub fn memory(&self) -> usize {
        Self::memory_of(self.by_key.len())
    }

    /// The bytes that a table of `len` deadlines takes.
    pub const fn memory_of(len: usize) -> usize {
        tree_memory::<K, Instant>(len) + tree_memory::<(Instant, K), ()>(len)
    }
}

impl<K: Ord + Clone> Default for TimerTable<K> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_operations_do_what_a_plain_list_would(
            ops in proptest::collection::vec((0u8..3, 0u8..6, 0u64..20), 0..60),
        ) {
            let mut timers = TimerTable::new();
            let mut list: Vec<(Instant, u8)> = Vec::new();
            for (op, key, time) in ops {
                let time = Instant::from_nanos(time);
                let place = list.iter().position(|entry| entry.1 == key);
                match op {
                    0 => {
                        timers.set(key, time);
                        place.map(|place| list.remove(place));
                        list.push((time, key));
                    }
                    1 => {
                        let cancelled = place.map(|place| list.remove(place).0);
                        prop_assert_eq!(timers.cancel(&key), cancelled);
                    }
                    _ => {
                        list.sort();
                        let due = list.first().filter(|first| first.0 <= time).map(|first| first.1);
                        list.retain(|entry| Some(entry.1) != due);
                        prop_assert_eq!(timers.pop_due(time), due);
                    }
                }
                prop_assert_eq!(timers.next(), list.iter().map(|entry| entry.0).min());
                let deadline = list.iter().find(|entry| entry.1 == key).map(|entry| entry.0);
                prop_assert_eq!(timers.get(&key), deadline);
            }
        }
    }

    #[test]
    fn due_keys_come_in_time_order_and_a_reset_key_comes_once() {
        let at = Instant::from_nanos;
        let mut timers = TimerTable::new();
        timers.set("late", at(9));
        timers.set("soon", at(1));
        timers.set("late", at(2));
        timers.set("gone", at(1));
        assert_eq!(timers.cancel(&"gone"), Some(at(1)));
        assert_eq!(timers.next(), Some(at(1)));
        assert_eq!(timers.pop_due(at(0)), None);
        assert_eq!(timers.pop_due(at(5)), Some("soon"));
        assert_eq!(timers.pop_due(at(5)), Some("late"));
        assert_eq!(timers.pop_due(at(u64::MAX)), None);
    }
}
