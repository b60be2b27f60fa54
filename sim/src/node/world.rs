//! What a world of nodes can do beyond any other one: nodes are added, named and told things.

use std::{net::SocketAddr, rc::Rc};

use peerage_node::{Crypto, Node as Named, NodeId, Policy, SecretKey};
use peerage_peering::envelope::Input;
use peerage_rlpx::DisconnectReason;

use super::{Bounds, Node, NodeDb, NodeSpec, Protocol, ProtocolIo, host::NodeHost, ledger::Ledger};
use crate::world::{HostId, Place, World};

/// Worlds of nodes. The first node brings the ledger with it, so that the rules hold wherever nodes
/// live.
impl World {
    /// A key that follows from the seed.
    pub fn key(&mut self) -> SecretKey {
        self.key_with(Crypto::Real)
    }

    /// A key that follows from the seed, with real cryptography or a cheap stand-in.
    pub fn key_with(&mut self, crypto: Crypto) -> SecretKey {
        match crypto {
            Crypto::Real => SecretKey::generate(self.random()),
            Crypto::StandIn => SecretKey::stand_in(self.random()),
        }
    }

    /// Adds a node. It is down until it is started.
    pub fn add_node(&mut self, place: Place, spec: NodeSpec) -> HostId {
        self.ledger();
        self.add_host(place, spec.port, Box::new(NodeHost::new(spec)))
    }

    /// Changes within what time what has to hold of nodes.
    pub fn set_bounds(&mut self, bounds: Bounds) {
        self.ledger().set_bounds(bounds);
    }

    /// Changes what a node is made of, from its next start on.
    ///
    /// # Panics
    ///
    /// If the host is no node.
    pub fn configure(&mut self, host: HostId, change: impl FnOnce(&mut NodeSpec)) {
        let found = self.program_mut::<NodeHost>(host);
        let found = found.unwrap_or_else(|| panic!("{host} is no node"));
        change(Rc::make_mut(&mut found.spec));
    }

    /// Loses what a node kept on disk.
    pub fn lose_database(&mut self, host: HostId) {
        if let Some(found) = self.program_mut::<NodeHost>(host) {
            found.db = NodeDb::default();
        }
    }

    /// The user of a node makes another one static, for its next runs too. Nothing happens where no
    /// node runs, here and below.
    pub fn add_static(&mut self, host: HostId, node: Named) {
        self.tell(host, Input::AddStatic { node });
    }

    /// The user of a node makes another one an ordinary node again, and ends the connection to it.
    pub fn remove_static(&mut self, host: HostId, id: NodeId) {
        self.tell(host, Input::RemoveStatic { id });
    }

    /// The user of a node trusts another one no longer.
    pub fn remove_trusted(&mut self, host: HostId, id: NodeId) {
        self.tell(host, Input::RemoveTrusted { id });
    }

    /// The user of a node trusts another one, for its next runs too.
    pub fn add_trusted(&mut self, host: HostId, node: Named) {
        self.tell(host, Input::AddTrusted { node });
    }

    /// The user of a node changes whom it may talk to, until its next start.
    pub fn set_policy(&mut self, host: HostId, policy: Policy) {
        self.tell(host, Input::SetPolicy { policy });
    }

    /// The user of a node ends the connection to another one.
    pub fn disconnect(&mut self, host: HostId, id: NodeId) {
        let reason = DisconnectReason::Requested;
        self.tell(host, Input::Disconnect { id, reason });
    }

    /// Has a protocol of a node do something out of its turn, as its user may at any time. `None`
    /// if no node runs there, or one that does not speak it.
    pub fn speak<P: Protocol, R>(
        &mut self,
        host: HostId,
        act: impl FnOnce(&mut P, &mut ProtocolIo<'_, '_>) -> R,
    ) -> Option<R> {
        self.act::<NodeHost, _>(host, |found, io| found.run(io, |node, io, _| node.act(io, act)))??
    }

    /// The node that runs on a host, if one does.
    pub fn node(&self, host: HostId) -> Option<&Node> {
        self.program::<NodeHost>(host)?.running.as_deref()
    }

    /// The host of an honest node that has been started.
    pub fn host_of(&self, id: &NodeId) -> Option<HostId> {
        self.observer::<Ledger>()?.host_of(id)
    }

    /// How a node is named to others, running or not: by its key and the address that they reach it
    /// at.
    ///
    /// # Panics
    ///
    /// If the host is no node.
    pub fn named(&self, host: HostId) -> Named {
        let found = self.program::<NodeHost>(host);
        let spec = &found.unwrap_or_else(|| panic!("{host} is no node")).spec;
        let tcp = if spec.takes_streams() { spec.port } else { 0 };
        let at = SocketAddr::new(self.ip(host), tcp);
        Named::from_endpoint(*spec.key.public(), at, Some(spec.port))
    }

    /// Pairs of honest nodes that are each other's peers.
    pub fn connected_pairs(&self) -> usize {
        self.observer::<Ledger>().map_or(0, Ledger::connected_pairs)
    }

    /// Whether node `a` has node `b` as a peer.
    pub fn is_peer(&self, a: HostId, b: HostId) -> bool {
        self.observer::<Ledger>().is_some_and(|ledger| ledger.sees(a, b))
    }

    fn tell(&mut self, host: HostId, input: Input) {
        self.act::<NodeHost, _>(host, |found, io| {
            found.run(io, |node, io, _| node.input(io, input))
        });
    }

    /// The ledger, which is made here if no node needed it so far.
    fn ledger(&mut self) -> &mut Ledger {
        if self.observer::<Ledger>().is_none() {
            self.add_observer(Box::new(Ledger::default()));
        }
        self.observer_mut().expect("because it has just been added")
    }
}
