//! The lanes of a connection: how the messages of several protocols share it.
//!
//! Here: who sends next, what has arrived for whom, and how much may wait. Not here: the connection
//! itself, and when it stops reading (`flow`); how a protocol waits (the driver).
//!
//! ```text
//!   protocol --> backlog --fetch--> lane --next--> connection       outgoing
//!   protocol <-- backlog <--------- lane <--deliver-- connection    incoming
//! ```

mod backlog;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use bytes::Bytes;
use peerage_machine::{deque_memory, vec_memory};

pub use backlog::Backlog;

use crate::MAX_PAYLOAD;

/// How many payload bytes a lane may send before it is another one's turn.
const QUANTUM: isize = 16 << 10;

/// How many messages are handed over at once, at most: so that the protocol may begin while the
/// connection still decrypts.
const BATCH: usize = 32;

/// A message of a protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Message {
    /// The message's id within its protocol: 0 to `length - 1`.
    pub code: u64,
    /// What it carries, decompressed; usually RLP.
    pub payload: Bytes,
}

impl Message {
    /// Message `code` with this payload.
    pub fn new(code: u64, payload: impl Into<Bytes>) -> Self {
        Self { code, payload: payload.into() }
    }
}

/// Why no connection carries a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsendable {
    /// The protocol has no such message.
    #[error("message {code:#x} is outside a protocol of {length} messages")]
    OutOfRange {
        /// The id of the message.
        code: u64,
        /// How many message ids the protocol has.
        length: u64,
    },
    /// The payload is larger than [`MAX_PAYLOAD`].
    #[error("a payload of {size} bytes is larger than {MAX_PAYLOAD}")]
    TooLarge {
        /// The size of the payload, in bytes.
        size: usize,
    },
}

impl Unsendable {
    /// Whether message `code` with a payload of `size` bytes may be offered to a lane whose
    /// protocol has `length` messages.
    ///
    /// # Errors
    ///
    /// Why not. A lane that takes it nevertheless ends its connection.
    pub const fn check(length: u64, code: u64, size: usize) -> Result<(), Self> {
        if code >= length {
            Err(Self::OutOfRange { code, length })
        } else if size > MAX_PAYLOAD {
            Err(Self::TooLarge { size })
        } else {
            Ok(())
        }
    }
}

/// How much may wait on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LaneLimits {
    /// What one protocol may have waiting to be sent to one peer before it has to wait, in bytes.
    pub outgoing: usize,
    /// What one protocol may leave unread from one peer before the lane is full, in bytes.
    pub incoming: usize,
    /// What becomes of the connection then.
    pub when_full: WhenFull,
}

impl LaneLimits {
    /// The same settings with another bound of [`outgoing`](Self::outgoing).
    #[must_use]
    pub const fn with_outgoing(mut self, outgoing: usize) -> Self {
        self.outgoing = outgoing;
        self
    }

    /// The same settings with another bound of [`incoming`](Self::incoming).
    #[must_use]
    pub const fn with_incoming(mut self, incoming: usize) -> Self {
        self.incoming = incoming;
        self
    }

    /// The same settings with another [`when_full`](Self::when_full).
    #[must_use]
    pub const fn with_when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }
}

impl Default for LaneLimits {
    fn default() -> Self {
        Self {
            // Enough that the connection always finds two full writes waiting; small enough that
            // what waits stays in the processor's cache.
            outgoing: 256 << 10,
            // One slow protocol stops the others of its connection when this is full, so there is
            // more room than for sending: some hundreds of ordinary messages.
            incoming: 1 << 20,
            when_full: WhenFull::PauseReading,
        }
    }
}

/// What a connection does when a protocol does not take what has arrived for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WhenFull {
    /// Nothing more is read, for no protocol, until there is room.
    PauseReading,
}

/// All lanes of a connection, by index of their shared capability.
#[derive(Debug, Default)]
pub struct Lanes {
    lanes: Box<[Lane]>,
    /// Whose turn it is to send.
    turn: usize,
}

#[derive(Debug)]
struct Lane {
    /// Fetched from the protocol's backlog, to be sent.
    outgoing: VecDeque<Message>,
    /// Received, to be put into the protocol's backlog.
    incoming: Vec<Message>,
    /// Payload bytes that may be sent now. In debt after a large message, for as many turns of the
    /// others as it was worth (deficit round robin), so that one protocol's blocks do not hold up
    /// another's pings.
    credit: isize,
}

impl Lanes {
    /// So many lanes, with nothing on them.
    pub fn new(count: usize) -> Self {
        let lane = |_| Lane { outgoing: VecDeque::new(), incoming: Vec::new(), credit: QUANTUM };
        Self { lanes: (0..count).map(lane).collect(), turn: 0 }
    }

    /// Nothing more is sent: what was fetched for that is freed.
    pub fn forget_outgoing(&mut self) {
        self.lanes.iter_mut().for_each(|lane| lane.outgoing = VecDeque::new());
    }

    /// The message to be sent next, and its lane: the lanes take turns. `None` if nothing waits on
    /// any of them.
    ///
    /// `fetch` is asked for what waits in the backlog of a lane that has nothing at hand: it may
    /// leave the deque as it is, or fill it.
    pub fn next(
        &mut self,
        mut fetch: impl FnMut(usize, &mut VecDeque<Message>),
    ) -> Option<(usize, Message)> {
        let mut silent = 0;
        while silent < self.lanes.len() {
            let turn = self.turn;
            let lane = &mut self.lanes[turn];
            if lane.credit > 0 {
                if lane.outgoing.is_empty() {
                    fetch(turn, &mut lane.outgoing);
                }
                if let Some(message) = lane.outgoing.pop_front() {
                    lane.credit -= isize::try_from(message.payload.len()).unwrap_or(isize::MAX);
                    return Some((turn, message));
                }
                silent += 1;
            } else {
                // Not silent, but in debt: it has its turn again when the others have had theirs.
                silent = 0;
            }
            lane.credit = lane.credit.saturating_add(QUANTUM).min(QUANTUM);
            self.turn = (turn + 1) % self.lanes.len();
        }
        None
    }

    /// Takes a message that arrived for a lane. Says whether enough did to be handed over at once.
    pub fn deliver(&mut self, lane: usize, message: Message) -> bool {
        let Some(lane) = self.lanes.get_mut(lane) else { return false };
        lane.incoming.push(message);
        lane.incoming.len() >= BATCH
    }

    /// What has arrived for a lane and was not handed over: to be drained.
    ///
    /// # Panics
    ///
    /// If there is no such lane.
    pub fn delivered(&mut self, lane: usize) -> &mut Vec<Message> {
        &mut self.lanes[lane].incoming
    }

    /// The first lane for which something has arrived that was not handed over.
    pub fn poll_delivered(&self) -> Option<usize> {
        self.lanes.iter().position(|lane| !lane.incoming.is_empty())
    }

    /// Frees the buffers that hold nothing.
    pub fn release(&mut self) {
        for lane in &mut self.lanes {
            lane.outgoing.shrink_to_fit();
            lane.incoming.shrink_to_fit();
        }
    }

    /// Whether no message at hand waits to be sent.
    pub fn is_silent(&self) -> bool {
        self.lanes.iter().all(|lane| lane.outgoing.is_empty())
    }

    /// The bytes held besides the value itself.
    pub(crate) fn memory(&self) -> usize {
        let lane = |lane: &Lane| {
            let messages = lane.outgoing.iter().chain(&lane.incoming);
            let payloads: usize = messages.map(|message| message.payload.len()).sum();
            deque_memory(&lane.outgoing) + vec_memory(&lane.incoming) + payloads
        };
        size_of_val(&*self.lanes) + self.lanes.iter().map(lane).sum::<usize>()
    }
}
