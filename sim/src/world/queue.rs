//! What is going to happen, in one total order: by time, and by the order of planning at one time.

use std::{cmp::Reverse, collections::BinaryHeap};

use peerage_machine::Instant;

/// A queue of events in virtual time.
#[derive(Debug)]
pub(crate) struct Queue<E> {
    /// By time, and then by number. What is moved about is small, and events stay where they are.
    order: BinaryHeap<Reverse<(Instant, u64, usize)>>,
    events: Vec<Option<E>>,
    /// Places in `events` without one.
    free: Vec<usize>,
    /// How many events were ever planned: the tie-breaker.
    planned: u64,
}

impl<E> Queue<E> {
    pub(crate) const fn new() -> Self {
        Self { order: BinaryHeap::new(), events: Vec::new(), free: Vec::new(), planned: 0 }
    }

    /// Plans `event` for `at`, behind everything that is planned for the same time.
    pub(crate) fn plan(&mut self, at: Instant, event: E) {
        let number = self.planned;
        self.planned += 1;
        let place = match self.free.pop() {
            Some(place) => {
                self.events[place] = Some(event);
                place
            }
            None => {
                self.events.push(Some(event));
                self.events.len() - 1
            }
        };
        self.order.push(Reverse((at, number, place)));
    }

    /// Takes the next event, if it happens at `until` or before.
    pub(crate) fn pop(&mut self, until: Instant) -> Option<(Instant, E)> {
        if self.order.peek()?.0.0 > until {
            return None;
        }
        let Reverse((at, _, place)) = self.order.pop()?;
        self.free.push(place);
        self.events[place].take().map(|event| (at, event))
    }

    /// How many events are planned.
    pub(crate) fn len(&self) -> usize {
        self.order.len()
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
