//! What nodes say to each other once they are peers: a trait, for whatever a researcher wants them
//! to say.
//!
//! ```
//! use peerage_sim::{Peer, Protocol, ProtocolIo, ProtocolSpec};
//!
//! /// Sends every word on to all others that have not said it.
//! #[derive(Debug, Default)]
//! struct Gossip(std::collections::BTreeSet<Vec<u8>>);
//!
//! impl Protocol for Gossip {
//!     fn on_message(&mut self, io: &mut ProtocolIo<'_, '_>, from: Peer, _: u64, word: &[u8]) {
//!         if self.0.insert(word.to_vec()) {
//!             for peer in io.peers().into_iter().filter(|peer| *peer != from) {
//!                 io.send(peer, 0, word).ok();
//!             }
//!         }
//!     }
//! }
//!
//! let gossip = ProtocolSpec::new("gossip", 1, 1, Gossip::default);
//! # let _ = gossip;
//! ```

use std::{any::Any, collections::BTreeMap, fmt, rc::Rc};

use peerage_machine::{Instant, Now, Random};
use peerage_node::NodeId;
use peerage_peering::envelope::ConnId;
use peerage_rlpx::{Capability, CapabilityName, DisconnectReason, LocalCapability};

use super::{
    conn::Conn,
    lane::{Lanes, OfferError},
    token,
};
use crate::world::{HostId, Io, Kind};

/// A protocol that a simulated node speaks with all of its peers that speak it too.
///
/// There is one value for each start of a node. Like a program, it draws randomness only from where
/// it is told, so that the same seed gives the same trace.
pub trait Protocol: Any + fmt::Debug {
    /// The node has started.
    fn on_start(&mut self, io: &mut ProtocolIo<'_, '_>) {
        let _ = io;
    }

    /// A peer is there that speaks the protocol.
    fn on_peer(&mut self, io: &mut ProtocolIo<'_, '_>, peer: Peer) {
        let _ = (io, peer);
    }

    /// A peer has sent message `code` of the protocol.
    fn on_message(&mut self, io: &mut ProtocolIo<'_, '_>, from: Peer, code: u64, payload: &[u8]);

    /// A peer is gone.
    fn on_end(&mut self, io: &mut ProtocolIo<'_, '_>, peer: Peer) {
        let _ = (io, peer);
    }

    /// The time has come that [`ProtocolIo::wake_at`] was given.
    fn on_wake(&mut self, io: &mut ProtocolIo<'_, '_>) {
        let _ = io;
    }
}

/// A peer of a node, by the connection to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Peer {
    pub(super) conn: ConnId,
    pub(super) id: NodeId,
}

impl Peer {
    /// The peer's id.
    pub const fn id(&self) -> NodeId {
        self.id
    }
}

/// A protocol as a node's configuration has it.
#[derive(Clone)]
pub struct ProtocolSpec {
    capability: LocalCapability,
    make: Rc<dyn Fn() -> Box<dyn Protocol>>,
}

impl ProtocolSpec {
    /// A protocol named `name`, with message ids 0 to `length - 1`. `make` makes a fresh one each
    /// time that a node starts.
    ///
    /// # Panics
    ///
    /// If the name is not one to eight printable ASCII characters.
    pub fn new<P: Protocol>(
        name: &str,
        version: u64,
        length: u64,
        make: impl Fn() -> P + 'static,
    ) -> Self {
        let name = CapabilityName::new(name)
            .unwrap_or_else(|_| panic!("{name:?} is not 1 to 8 printable ASCII characters"));
        let capability = LocalCapability { capability: Capability { name, version }, length };
        Self { capability, make: Rc::new(move || Box::new(make())) }
    }

    /// What Hello says of it.
    pub(crate) const fn capability(&self) -> LocalCapability {
        self.capability
    }

    pub(super) fn start(&self) -> Speaker {
        Speaker { protocol: (self.make)(), wake: None, busy: None }
    }
}

impl fmt::Debug for ProtocolSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ProtocolSpec").field(&self.capability).finish()
    }
}

/// A protocol of a node that runs.
#[derive(Debug)]
pub(super) struct Speaker {
    pub(super) protocol: Box<dyn Protocol>,
    /// When it wants to be woken.
    pub(super) wake: Option<Instant>,
    /// Until when it takes no message.
    pub(super) busy: Option<Instant>,
}

/// What a protocol can do, for the length of one call.
#[derive(Debug)]
pub struct ProtocolIo<'a, 'w> {
    pub(super) io: &'a mut Io<'w>,
    /// The protocol's place in the node's configuration.
    pub(super) local: usize,
    pub(super) wake: &'a mut Option<Instant>,
    pub(super) busy: &'a mut Option<Instant>,
    pub(super) random: &'a mut Random,
    pub(super) conns: &'a mut BTreeMap<ConnId, Conn>,
    pub(super) left: &'a mut BTreeMap<ConnId, Lanes>,
    /// Connections that have something to do now.
    pub(super) touched: &'a mut Vec<ConnId>,
}

impl ProtocolIo<'_, '_> {
    /// Both clocks of the host.
    pub fn now(&self) -> Now {
        self.io.now()
    }

    /// The host.
    pub const fn host(&self) -> HostId {
        self.io.host()
    }

    /// The node's generator.
    pub const fn random(&mut self) -> &mut Random {
        self.random
    }

    /// All peers that speak the protocol, by the age of their connections.
    pub fn peers(&self) -> Vec<Peer> {
        self.conns.values().filter_map(|conn| conn.peer_by(self.local)).collect()
    }

    /// Offers a peer message `code` of the protocol, behind all that it was offered before.
    pub fn send(&mut self, peer: Peer, code: u64, payload: &[u8]) -> Result<(), OfferError> {
        let conn = self.conns.get_mut(&peer.conn).ok_or(OfferError::NoPeer)?;
        conn.offer(self.local, code, payload)?;
        self.touched.push(peer.conn);
        Ok(())
    }

    /// Whether a peer is there, and has been sent all that it was offered.
    pub fn is_idle(&self, peer: Peer) -> bool {
        self.conns.get(&peer.conn).is_some_and(Conn::is_idle)
    }

    /// Ends the connection to a peer, for all protocols. This one gets no more messages of it.
    pub fn disconnect(&mut self, peer: Peer, reason: DisconnectReason) {
        let now = self.io.now();
        if let Some(conn) = self.conns.get_mut(&peer.conn) {
            conn.leave(now, self.local, reason);
            self.touched.push(peer.conn);
        }
        if let Some(lanes) = self.left.get_mut(&peer.conn) {
            lanes.abandon(self.local);
        }
    }

    /// Has [`Protocol::on_wake`] called when the monotonic clock shows `at`, and at no other time.
    pub fn wake_at(&mut self, at: Instant) {
        *self.wake = Some(at);
        self.io.wake_by(token::HOUSE, at);
    }

    /// Takes no message before the monotonic clock shows `at`. What arrives meanwhile waits, and
    /// once too much does, the connection that it came by is not read.
    pub fn busy_until(&mut self, at: Instant) {
        *self.busy = Some(at);
        self.io.wake_by(token::HOUSE, at);
    }

    /// Says something of the protocol to all [observers](crate::Observer).
    pub fn report<T: Any>(&mut self, fact: &T) {
        self.io.report(fact);
    }

    /// The protocol finds that a rule is broken, which ends the run.
    pub fn break_rule(&mut self, what: impl FnOnce() -> String) {
        self.io.break_rule(what);
    }

    /// Notes something in the trace. `numbers` are what its hash is told; `what` is for people, and
    /// has to follow from the same.
    pub fn note(&mut self, kind: Kind, numbers: &[u64], what: impl FnOnce() -> String) {
        self.io.note(kind, numbers, what);
    }
}
