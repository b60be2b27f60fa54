//! Who means harm: hosts that break what they can.
//!
//! Each is a [`Program`] with a key of its own, told of some honest nodes to begin with. All but
//! the one that says nothing at all are made of the shipping codecs, so that they come as far as
//! somebody who means it would.
//!
//! Discovery is version 4: Peerage has no version 5 yet, and so nobody lies in NODES.

mod dialers;
mod face;
mod floods;
mod impostor;
mod liar;
mod line;
mod mimic;
mod ring;
mod tape;

use std::{fmt, str::FromStr};

use peerage_node::{Node, NodeId, SecretKey};

pub use self::ring::Ring;
use self::{
    dialers::{Eclipse, HitAndRun, Silent, Slow, Stranger},
    floods::{HandshakeFlood, UdpFlood},
    impostor::Impostor,
    liar::Liar,
    mimic::Mimic,
    tape::Replay,
};
use crate::{node::Chat, world::Program};

/// What an adversary does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AdversaryKind {
    /// Holds many ids in few subnets, tells only of its own, and fills tables and slots.
    Eclipse,
    /// Opens streams as fast as it can, and abandons them.
    HandshakeFlood,
    /// Becomes a peer and leaves at once, again and again.
    HitAndRun,
    /// Tells of third parties, of nobody, and of places where no node can be.
    Liar,
    /// Sends again what it was sent.
    Replay,
    /// Is believed, and then says nothing.
    Silent,
    /// Becomes a peer and does not read.
    SlowReader,
    /// Says a byte now and then.
    SlowWriter,
    /// Sends datagrams as fast as it can, from addresses that are not its own too.
    UdpFlood,
    /// Says in Hello, or where it is dialed, that it is somebody else.
    WrongIdentity,
    /// Is on another network, or speaks another protocol.
    WrongNetwork,
}

impl AdversaryKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Eclipse,
        Self::HandshakeFlood,
        Self::HitAndRun,
        Self::Liar,
        Self::Replay,
        Self::Silent,
        Self::SlowReader,
        Self::SlowWriter,
        Self::UdpFlood,
        Self::WrongIdentity,
        Self::WrongNetwork,
    ];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eclipse => "eclipse",
            Self::HandshakeFlood => "handshake-flood",
            Self::HitAndRun => "hit-and-run",
            Self::Liar => "liar",
            Self::Replay => "replay",
            Self::Silent => "silent",
            Self::SlowReader => "slow-reader",
            Self::SlowWriter => "slow-writer",
            Self::UdpFlood => "udp-flood",
            Self::WrongIdentity => "wrong-identity",
            Self::WrongNetwork => "wrong-network",
        }
    }

    /// What it does, in one sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Eclipse => {
                "holds many ids in few subnets, tells only of its own, and fills tables and slots"
            }
            Self::HandshakeFlood => {
                "opens many streams a second, with false auths and true ones, and abandons them"
            }
            Self::HitAndRun => "becomes a peer and leaves at once, again and again",
            Self::Liar => {
                "tells of third parties, of nobody, and of places where no node can be, in NEIGHBORS"
            }
            Self::Replay => "sends datagrams and handshakes again that it was sent",
            Self::Silent => {
                "is believed in discovery for a minute, and holds streams without a word"
            }
            Self::SlowReader => "becomes a peer, and reads next to nothing of what it is told",
            Self::SlowWriter => "says a byte a second, in the handshake or once it is a peer",
            Self::UdpFlood => {
                "sends hundreds of datagrams a second, false and true, many in the name of others"
            }
            Self::WrongIdentity => {
                "says that it is somebody else: in Hello, and where others are dialed"
            }
            Self::WrongNetwork => "is on another network, or speaks another protocol",
        }
    }
}

impl fmt::Display for AdversaryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AdversaryKind {
    type Err = UnknownAdversary;

    fn from_str(text: &str) -> Result<Self, UnknownAdversary> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownAdversary)
    }
}

/// The text names no adversary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such adversary; `peerage sim list` names them")]
pub struct UnknownAdversary;

/// What adversaries of one kind know to begin with.
#[derive(Clone, Debug, Default)]
pub struct Accomplices {
    /// Honest nodes that they are after; the first one above all.
    pub targets: Vec<Node>,
    /// All adversaries of the party: each has a clone of one ring.
    pub all: Ring,
}

/// Makes one adversary with this key.
pub fn adversary(kind: AdversaryKind, key: SecretKey, knows: Accomplices) -> Box<dyn Program> {
    match kind {
        AdversaryKind::Eclipse => Box::new(Mimic::new(key, knows, Eclipse)),
        AdversaryKind::HandshakeFlood => {
            Box::new(Mimic::new(key, knows, HandshakeFlood::default()))
        }
        AdversaryKind::HitAndRun => Box::new(Mimic::new(key, knows, HitAndRun)),
        AdversaryKind::Liar => Box::new(Mimic::new(key, knows, Liar)),
        AdversaryKind::Replay => Box::new(Mimic::new(key, knows, Replay::default())),
        AdversaryKind::Silent => Box::new(Mimic::new(key, knows, Silent)),
        AdversaryKind::SlowReader => Box::new(Mimic::new(key, knows, Slow::Reader)),
        AdversaryKind::SlowWriter => Box::new(Mimic::new(key, knows, Slow::Writer)),
        AdversaryKind::UdpFlood => Box::new(Mimic::new(key, knows, UdpFlood::default())),
        AdversaryKind::WrongIdentity => Box::new(Mimic::new(key, knows, Impostor::default())),
        AdversaryKind::WrongNetwork => {
            let mut chat = Chat::default();
            // By its id, so that both sorts come about as often.
            if id(&key).0[31].is_multiple_of(2) {
                chat.network += 1;
            } else {
                chat.capability = "other".into();
            }
            Box::new(Mimic::with(key, chat, knows, Stranger))
        }
    }
}

/// The id that an adversary with this key is known by.
pub fn id(key: &SecretKey) -> NodeId {
    key.public().id()
}
