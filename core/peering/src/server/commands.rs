//! What the user commands: who may be talked to, static and trusted nodes, and the end.

use peerage_machine::Instant;
use peerage_node::{List, Node, NodeId, Policy};
use peerage_rlpx::DisconnectReason;

use super::{
    Life, Server,
    conns::{Conn, Phase},
};
use crate::envelope::{ConnId, Output};

impl Server {
    pub(super) fn on_policy(&mut self, now: Instant, policy: Policy) {
        let before = std::mem::replace(&mut self.config.policy, policy.clone());
        let (dialer, mut around) = self.dialing(now);
        dialer.on_policy(&mut around, &before);
        let is_forbidden = |conn: &Conn| policy.check(now, conn.id(), conn.ip()).is_err();
        let forbidden: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, conn)| is_forbidden(conn))
            .map(|(conn, _)| *conn)
            .collect();
        for conn in forbidden {
            self.end(conn, DisconnectReason::Requested);
        }
        self.outputs.push_back(Output::PolicyChanged { policy });
    }

    pub(super) fn on_add_static(&mut self, now: Instant, node: Node) {
        let id = node.id();
        self.keep(List::Static, node.clone());
        let (dialer, mut around) = self.dialing(now);
        if let Some(stale) = dialer.add_static(&mut around, node) {
            self.end(stale, DisconnectReason::Requested);
        }
        self.refresh_slot(id);
    }

    pub(super) fn on_remove_static(&mut self, now: Instant, id: NodeId) {
        let (dialer, mut around) = self.dialing(now);
        dialer.remove_static(&mut around, &id);
        self.outputs.push_back(Output::Forget { list: List::Static, id });
        self.end_node(&id, DisconnectReason::Requested);
    }

    pub(super) fn on_add_trusted(&mut self, node: Node) {
        let id = node.id();
        self.trusted.insert(id);
        self.keep(List::Trusted, node);
        self.refresh_slot(id);
    }

    pub(super) fn on_remove_trusted(&mut self, id: NodeId) {
        self.trusted.remove(&id);
        self.outputs.push_back(Output::Forget { list: List::Trusted, id });
        self.refresh_slot(id);
    }

    fn keep(&mut self, list: List, node: Node) {
        self.outputs.push_back(Output::Keep { list, node: Box::new(node) });
    }

    pub(super) fn on_stop(&mut self, now: Instant) {
        if self.life != Life::Running {
            return;
        }
        self.life = Life::Stopping;
        let (dialer, mut around) = self.dialing(now);
        dialer.stop(&mut around);
        let conns: Vec<ConnId> = self.conns.keys().copied().collect();
        for conn in conns {
            self.end(conn, DisconnectReason::ClientQuitting);
        }
    }

    /// Gives a peer the slot that its node has a right to, after that right has changed.
    pub(super) fn refresh_slot(&mut self, id: NodeId) {
        let Some(peer) = self.peers.get(&id).copied() else { return };
        let slot = self.privileges(&id).slot(peer.origin);
        let stays = self.conns.get(&peer.conn).is_some_and(|of| of.phase == Phase::Peer { id });
        // An heir keeps the ordinary place that it took over.
        let same_kind = slot.is_ordinary() && peer.slot.is_ordinary();
        if stays && !same_kind && self.peers.set_slot(&id, slot) {
            self.outputs.push_back(Output::SlotChanged { conn: peer.conn, id, slot });
        }
    }
}
