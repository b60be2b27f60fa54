//! What simulated nodes say to each other: which network they are on, and then messages that can be
//! checked.

use std::time::Duration;

use peerage_machine::{Now, Random};
use peerage_rlpx::{Connection, SendError};

use super::{Node, token};
use crate::world::Io;

/// The first message of each end: the network.
const STATUS: u64 = 0;
/// A number, and bytes that follow from it.
const CHAT: u64 = 1;

/// How often the protocol says how much, to each peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chat {
    /// From one message to the next.
    pub every: Duration,
    /// Bytes of each.
    pub size: usize,
}

impl Chat {
    pub(super) fn first(&self, random: &mut Random) -> Duration {
        let nanos = u64::try_from(self.every.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(random.below(nanos))
    }
}

/// Both directions of one conversation.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    greeted: bool,
    is_greeted: bool,
    said: u64,
    heard: u64,
}

/// Why a message ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// Not what was sent: a bug, as whatever comes over RLPx is what was sent.
    Broken,
    /// The other end is on another network, or does not say.
    Network,
}

impl Talk {
    /// Says which network we are on, once.
    pub(crate) fn greet(
        &mut self,
        machine: &mut Connection,
        now: Now,
        network: u64,
    ) -> Result<(), SendError> {
        if self.greeted || machine.shared().is_empty() {
            return Ok(());
        }
        self.greeted = true;
        machine.send(now, 0, STATUS, &network.to_be_bytes())
    }

    pub(super) fn on_message(
        &mut self,
        network: u64,
        code: u64,
        payload: &[u8],
    ) -> Result<(), Wrong> {
        if !self.is_greeted {
            self.is_greeted = code == STATUS && payload == network.to_be_bytes();
            return if self.is_greeted { Ok(()) } else { Err(Wrong::Network) };
        }
        let is_right = code == CHAT && payload == message(self.heard, payload.len());
        self.heard += 1;
        if is_right { Ok(()) } else { Err(Wrong::Broken) }
    }

    fn say(&mut self, machine: &mut Connection, now: Now, size: usize) -> Result<(), SendError> {
        let payload = message(self.said, size);
        self.said += 1;
        machine.send(now, 0, CHAT, &payload)
    }
}

impl Node {
    /// Says something to every peer that has taken what was said before.
    pub(super) fn chat(&mut self, io: &mut Io<'_>) {
        let Some(chat) = self.spec.chat else { return };
        let now = io.now();
        self.next_chat = Some(now.mono + chat.every);
        let open: Vec<_> = self
            .conns
            .iter_mut()
            .filter_map(|(id, conn)| {
                let machine = conn.machine.as_mut()?;
                let may = machine.is_open() && conn.talk.greeted && machine.queued() == 0;
                (may && conn.talk.say(machine, now, chat.size).is_ok()).then_some(*id)
            })
            .collect();
        for conn in open {
            self.pump(io, conn);
        }
        io.wake_by(token::HOUSE, now.mono + chat.every);
    }
}

/// The `n`th message of `size` bytes, at least 8.
fn message(n: u64, size: usize) -> Vec<u8> {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.extend((8..size.max(8)).map(|at| (at as u64 ^ n).to_le_bytes()[0]));
    bytes
}
