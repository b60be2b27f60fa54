//! Messages that wait for somebody, counted in bytes.

use std::{collections::VecDeque, mem};

use super::Message;

/// What a message costs beside its payload: its place in the backlog and the allocator's share.
/// Counted so that a flood of empty messages is bounded too.
const OVERHEAD: usize = 64;

/// Storage that an emptied backlog may keep, in messages. More is given back.
const KEEP: usize = 4;

/// Messages that wait between a connection and a protocol, one way.
///
/// The bound is looked at before a message goes in, never with that message: the largest one fits
/// into an empty backlog. So a backlog holds at most its limit and what came at once when it had
/// room, and who takes everything out may hold as much again that it has not dealt with.
#[derive(Debug)]
pub struct Backlog {
    messages: VecDeque<Message>,
    /// Payload bytes and [`OVERHEAD`] of everything in `messages`.
    bytes: usize,
    limit: usize,
}

impl Backlog {
    /// An empty backlog that has room while it holds less than `limit` bytes.
    pub const fn new(limit: usize) -> Self {
        Self { messages: VecDeque::new(), bytes: 0, limit }
    }

    /// Adds a message, whatever room there is.
    pub fn push(&mut self, message: Message) {
        self.bytes = self.bytes.saturating_add(message.payload.len() + OVERHEAD);
        self.messages.push_back(message);
    }

    /// Takes everything that waits into `batch`, which must be empty: whether that is anything.
    ///
    /// At once, so that a burst of small messages costs one lock where there is one.
    pub fn take(&mut self, batch: &mut VecDeque<Message>) -> bool {
        debug_assert!(batch.is_empty(), "because messages would change their order");
        if self.messages.is_empty() {
            // The two deques change places below, so either may have grown.
            for deque in [&mut self.messages, batch] {
                if deque.capacity() > KEEP {
                    *deque = VecDeque::new();
                }
            }
            return false;
        }
        mem::swap(&mut self.messages, batch);
        self.bytes = 0;
        true
    }

    /// Throws away everything that waits.
    pub fn clear(&mut self) {
        self.messages = VecDeque::new();
        self.bytes = 0;
    }

    /// Whether one more message may come.
    pub const fn has_room(&self) -> bool {
        self.bytes < self.limit
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(size: usize) -> Message {
        Message { code: 0, payload: vec![0; size].into() }
    }

    #[test]
    fn one_message_always_fits_and_then_there_is_no_room_until_all_is_taken() {
        let mut backlog = Backlog::new(100);
        assert!(backlog.has_room() && backlog.is_empty());
        backlog.push(message(1000));
        assert!(!backlog.has_room());
        let mut batch = VecDeque::new();
        assert!(backlog.take(&mut batch));
        assert_eq!(batch.len(), 1);
        assert!(backlog.has_room() && backlog.is_empty());
    }

    #[test]
    fn empty_messages_fill_a_backlog_too() {
        let mut backlog = Backlog::new(100);
        backlog.push(message(0));
        assert!(backlog.has_room());
        backlog.push(message(0));
        assert!(!backlog.has_room());
    }

    #[test]
    fn an_emptied_backlog_gives_its_storage_back() {
        let (mut backlog, mut batch) = (Backlog::new(1 << 20), VecDeque::new());
        for _ in 0..2 {
            (0..100).for_each(|_| backlog.push(message(1)));
            assert!(backlog.take(&mut batch));
            batch.clear();
        }
        assert!(!backlog.take(&mut batch));
        assert!(batch.capacity() <= KEEP && backlog.messages.capacity() <= KEEP);
    }
}
