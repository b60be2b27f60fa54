//! A peer as a protocol sees it.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use peerage_node::{NodeId, PublicKey};
use peerage_peering::Slot;
use peerage_rlpx::{Capability, DisconnectReason};

use crate::tasks::{clock::Clock, mailbox::Mailbox};

/// A connected peer. Cheap to clone; outlives the connection, and then only tells what was.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

/// What is fixed once a peer is added, and its slot, which is not.
struct Inner {
    about: About,
    id: NodeId,
    slot: Mutex<Slot>,
    /// Started when the peer was added.
    clock: Clock,
    mailbox: Arc<Mailbox>,
}

/// What the two Hellos and the transport say of a peer.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) key: PublicKey,
    pub(crate) client: Box<str>,
    /// What its Hello announced.
    pub(crate) capabilities: Box<[Capability]>,
    /// What runs on the connection.
    pub(crate) shared: Box<[Capability]>,
    pub(crate) inbound: bool,
    pub(crate) remote: Option<SocketAddr>,
    pub(crate) local: Option<SocketAddr>,
}

impl Peer {
    pub(crate) fn new(about: About, slot: Slot, mailbox: Arc<Mailbox>) -> Self {
        let id = about.key.id();
        Self(Arc::new(Inner { about, id, slot: Mutex::new(slot), clock: Clock::start(), mailbox }))
    }

    /// A peer with no connection behind it, to test a protocol with
    /// [`Channel::pipe`](crate::Channel::pipe).
    pub fn without_network(key: PublicKey) -> Self {
        let about = About {
            key,
            client: "without network".into(),
            capabilities: Box::default(),
            shared: Box::default(),
            inbound: false,
            remote: None,
            local: None,
        };
        Self::new(about, Slot::Dialed, Arc::new(Mailbox::new()))
    }

    /// The node's id.
    pub fn id(&self) -> NodeId {
        self.0.id
    }

    /// The node's public key.
    pub fn key(&self) -> PublicKey {
        self.0.about.key
    }

    /// The name and version that its client gives itself: any text at all.
    pub fn client(&self) -> &str {
        &self.0.about.client
    }

    /// Every capability that it announced.
    pub fn capabilities(&self) -> &[Capability] {
        &self.0.about.capabilities
    }

    /// The capabilities that run on this connection.
    pub fn shared(&self) -> &[Capability] {
        &self.0.about.shared
    }

    /// Whether it dialed us.
    pub fn is_inbound(&self) -> bool {
        self.0.about.inbound
    }

    /// The slot that it holds now.
    pub fn slot(&self) -> Slot {
        *self.0.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Its end of the transport, where the transport has addresses.
    pub fn remote_addr(&self) -> Option<SocketAddr> {
        self.0.about.remote
    }

    /// Our end of the transport, where the transport has addresses.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.0.about.local
    }

    /// How long ago it became a peer.
    pub fn connected_for(&self) -> Duration {
        self.0.clock.elapsed()
    }

    /// Round trip of the last ping that it answered.
    pub fn round_trip(&self) -> Option<Duration> {
        self.0.mailbox.round_trip()
    }

    /// Ends the connection with `reason`, after what is already waiting to be sent.
    pub fn disconnect(&self, reason: DisconnectReason) {
        self.0.mailbox.disconnect(reason);
    }

    /// The task of its connection has ended.
    pub(crate) fn on_closed(&self) {
        self.0.mailbox.clear();
    }

    pub(crate) fn set_slot(&self, slot: Slot) {
        *self.0.slot.lock().unwrap_or_else(PoisonError::into_inner) = slot;
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", &self.0.id)
            .field("client", &self.0.about.client)
            .field("slot", &self.slot())
            .finish_non_exhaustive()
    }
}
