//! What is going to happen, in one total order: by time, and by the order of planning at one time.

use std::{
    cmp::{Ordering, Reverse},
    collections::BinaryHeap,
};

use peerage_machine::Instant;

/// A queue of events in virtual time.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    heap: BinaryHeap<Reverse<Planned<E>>>,
    /// How many events were ever planned: the tie-breaker.
    planned: u64,
}

#[derive(Debug)]
struct Planned<E> {
    at: Instant,
    number: u64,
    event: E,
}

impl<E> Queue<E> {
    pub(crate) const fn new() -> Self {
        Self { heap: BinaryHeap::new(), planned: 0 }
    }

    /// Plans `event` for `at`, behind everything that is planned for the same time.
    pub(crate) fn plan(&mut self, at: Instant, event: E) {
        let number = self.planned;
        self.planned += 1;
        self.heap.push(Reverse(Planned { at, number, event }));
    }

    /// Takes the next event, if it happens at `until` or before.
    pub(crate) fn pop(&mut self, until: Instant) -> Option<(Instant, E)> {
        if self.heap.peek()?.0.at > until {
            return None;
        }
        self.heap.pop().map(|Reverse(next)| (next.at, next.event))
    }

    /// How many events are planned.
    pub(crate) fn len(&self) -> usize {
        self.heap.len()
    }
}

impl<E> PartialEq for Planned<E> {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl<E> Eq for Planned<E> {}

impl<E> PartialOrd for Planned<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Planned<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_in_the_order_of_planning() {
        let at = Instant::from_nanos;
        let mut queue = Queue::new();
        for (time, event) in [(5, 'd'), (1, 'a'), (5, 'e'), (2, 'b'), (2, 'c'), (9, 'f')] {
            queue.plan(at(time), event);
        }
        let mut order = String::new();
        while let Some((_, event)) = queue.pop(at(8)) {
            order.push(event);
        }
        assert_eq!((order.as_str(), queue.len()), ("abcde", 1));
    }
}
