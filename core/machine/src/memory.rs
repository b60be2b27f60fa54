//! How much memory collections take: estimates from counts and capacities, so that they cost
//! nothing to make and are the same in every run.
//!
//! Not here: the fixed size of the values themselves, which whoever holds them knows; and what
//! their entries hold elsewhere, which their owner adds.

use std::collections::VecDeque;

/// Entries that a node of the standard library's B-trees has room for.
const TREE_ROOM: usize = 11;

/// Entries that every node but the root has at least.
const TREE_MIN: usize = 5;

/// What a node holds besides entries: a parent, its place there and its length; and of its parent's
/// edges the one to it, with as many again that may be unused.
const TREE_NODE: usize = 32;

/// The most that a `BTreeMap` of `len` entries takes; `V` is `()` for a set.
pub const fn tree_memory<K, V>(len: usize) -> usize {
    let nodes = len.div_ceil(TREE_MIN);
    // A root with few children has room for twelve all the same.
    let root = if nodes > 1 { 12 * size_of::<usize>() } else { 0 };
    nodes * (TREE_ROOM * (size_of::<K>() + size_of::<V>()) + TREE_NODE) + root
}

/// What a `Vec` takes.
pub const fn vec_memory<T>(vec: &Vec<T>) -> usize {
    vec.capacity() * size_of::<T>()
}

/// What a `VecDeque` takes.
pub fn deque_memory<T>(deque: &VecDeque<T>) -> usize {
    deque.capacity() * size_of::<T>()
}

/// The most that a `Vec` or `VecDeque` takes which never had more than `len` elements: it grows by
/// doubling, and from 4.
pub const fn list_bound<T>(len: usize) -> usize {
    let room = 2 * len;
    (if room < 4 { 4 } else { room }) * size_of::<T>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ExpiringMap, Instant};

    #[test]
    fn an_empty_collection_takes_nothing_and_a_full_one_what_it_was_to_take_at_most() {
        let mut map = ExpiringMap::<u32, u64>::new(100);
        assert_eq!(map.memory(), 0);
        for n in 0..1000 {
            map.insert(n, 0, Instant::from_nanos(n.into()));
        }
        assert_eq!(map.memory(), ExpiringMap::<u32, u64>::memory_bound(100));
        // At the very least, its entries: the key twice, the time three times and the value.
        assert!(map.memory() >= 100 * (2 * 4 + 3 * 8 + 8));
    }

    #[test]
    fn a_list_takes_no_more_than_its_bound() {
        let (mut vec, mut deque) = (Vec::new(), VecDeque::new());
        for len in 1..200 {
            vec.push(0_u32);
            deque.push_back(0_u32);
            assert!(vec_memory(&vec) <= list_bound::<u32>(len));
            assert!(deque_memory(&deque) <= list_bound::<u32>(len));
        }
    }
}
