//! The protocol that simulated nodes speak if nothing else is said: which network they are on, and
//! then messages that can be checked.

use std::{collections::BTreeMap, time::Duration};

use peerage_rlpx::DisconnectReason;

use super::{NodeFact, Peer, Protocol, ProtocolIo, ProtocolSpec};

/// The first message of each end: the network.
const STATUS: u64 = 0;
/// A number, and bytes that follow from it.
const CHAT: u64 = 1;

/// Messages that it has.
const MESSAGES: u64 = 2;

/// What is said, and how often.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Chat {
    /// The name of its capability: nodes that share none are of no use to each other.
    pub capability: String,
    /// The network that a node says it is on: others hang up.
    pub network: u64,
    /// How often it says something to each peer, beside that; `None` is never.
    pub every: Option<Duration>,
    /// Bytes of each message.
    pub size: usize,
}

impl Chat {
    /// Says something of `size` bytes to each peer, once in this time.
    pub fn every(every: Duration, size: usize) -> Self {
        Self { every: Some(every), size, ..Self::default() }
    }

    /// Message 0, and what it says.
    pub(crate) fn status(&self) -> (u64, [u8; 8]) {
        (STATUS, self.network.to_be_bytes())
    }
}

impl Default for Chat {
    /// Says which network the node is on, and no more.
    fn default() -> Self {
        Self { capability: "sim".into(), network: 1, every: None, size: 0 }
    }
}

impl From<Chat> for ProtocolSpec {
    fn from(chat: Chat) -> Self {
        let name = chat.capability.clone();
        Self::new(&name, 1, MESSAGES, move || Talks { chat: chat.clone(), with: BTreeMap::new() })
    }
}

/// The talk with all peers of a node.
#[derive(Debug)]
struct Talks {
    chat: Chat,
    with: BTreeMap<Peer, Talk>,
}

/// Both directions of one conversation.
#[derive(Debug, Default)]
struct Talk {
    /// Whether the peer has said that it is on our network.
    is_greeted: bool,
    said: u64,
    heard: u64,
}

/// Why a message ends a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    /// Not what was sent: a bug, as whatever comes over RLPx is what was sent.
    Broken,
    /// The other end is on another network, or does not say.
    Network,
}

impl Protocol for Talks {
    fn on_start(&mut self, io: &mut ProtocolIo<'_, '_>) {
        if let Some(every) = self.chat.every {
            // Not all nodes at once.
            let nanos = u64::try_from(every.as_nanos()).unwrap_or(u64::MAX);
            let first = Duration::from_nanos(io.random().below(nanos));
            io.wake_at(io.now().mono + first);
        }
    }

    fn on_peer(&mut self, io: &mut ProtocolIo<'_, '_>, peer: Peer) {
        self.with.insert(peer, Talk::default());
        let (code, network) = self.chat.status();
        if io.send(peer, code, &network).is_err() {
            io.disconnect(peer, DisconnectReason::SubprotocolReason);
        }
    }

    fn on_message(&mut self, io: &mut ProtocolIo<'_, '_>, from: Peer, code: u64, payload: &[u8]) {
        let Some(talk) = self.with.get_mut(&from) else { return };
        let Err(wrong) = talk.on_message(self.chat.network, code, payload) else { return };
        if wrong == Wrong::Broken {
            io.report(&NodeFact::Garbled { id: from.id() });
        }
        io.disconnect(from, DisconnectReason::SubprotocolReason);
    }

    fn on_end(&mut self, _: &mut ProtocolIo<'_, '_>, peer: Peer) {
        self.with.remove(&peer);
    }

    /// Says something to every peer that has taken what was said before.
    fn on_wake(&mut self, io: &mut ProtocolIo<'_, '_>) {
        let Some(every) = self.chat.every else { return };
        for (peer, talk) in &mut self.with {
            let is_free = io.is_idle(*peer);
            if is_free && io.send(*peer, CHAT, &message(talk.said, self.chat.size)).is_ok() {
                talk.said += 1;
            }
        }
        io.wake_at(io.now().mono + every);
    }
}

impl Talk {
    fn on_message(&mut self, network: u64, code: u64, payload: &[u8]) -> Result<(), Wrong> {
        if !self.is_greeted {
            self.is_greeted = code == STATUS && payload == network.to_be_bytes();
            return if self.is_greeted { Ok(()) } else { Err(Wrong::Network) };
        }
        let is_right = code == CHAT && payload == message(self.heard, payload.len());
        self.heard += 1;
        if is_right { Ok(()) } else { Err(Wrong::Broken) }
    }
}

/// The `n`th message of `size` bytes, at least 8.
fn message(n: u64, size: usize) -> Vec<u8> {
    let mut bytes = n.to_be_bytes().to_vec();
    bytes.extend((8..size.max(8)).map(|at| (at as u64 ^ n).to_le_bytes()[0]));
    bytes
}
