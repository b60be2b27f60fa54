//! What the user changes while dials are under way: static nodes, and who may be talked to.

use std::net::SocketAddr;

use peerage_machine::Instant;
use peerage_node::{Node, NodeId, Policy};
use peerage_rlpx::DisconnectReason;

use super::{
    Around, Dialer,
    attempts::{Attempt, Stage},
};
use crate::envelope::{ConnId, DialFailure};

impl Dialer {
    /// Makes a node static, or gives a static node its new endpoint. Returns the connection to the
    /// old endpoint whose handshake is now in the way, if there is one.
    pub(crate) fn add_static(&mut self, around: &mut Around<'_>, node: Node) -> Option<ConnId> {
        let id = node.id();
        let moved = self.insert_static(around.now, node);
        if around.peers.get(&id).is_some() {
            self.statics.hold(&id);
            return None;
        }
        if !moved {
            if self.attempts.contains(&id) {
                // Its failure schedules the node.
                self.statics.hold(&id);
            }
            return None;
        }
        self.statics.recovered(&id);
        self.statics.schedule(&id, around.now);
        if let Some(conn) = self.attempts.handshake(&id) {
            self.attempts.end_handshake(&id, conn);
            return Some(conn);
        }
        self.cancel(around, &id, DisconnectReason::Requested);
        None
    }

    /// Makes a node an ordinary one again, and ends a dial to it.
    pub(crate) fn remove_static(&mut self, around: &mut Around<'_>, id: &NodeId) {
        self.statics.remove(id);
        self.cancel(around, id, DisconnectReason::Requested);
    }

    /// The policy is another one than `before`. Ends the dials that it forbids, to anywhere that
    /// they lead. A static node is dialed again at once where it may be reached at all, and also
    /// where only the policy before stood in the way.
    pub(crate) fn on_policy(&mut self, around: &mut Around<'_>, before: &Policy) {
        let (now, policy) = (around.now, around.policy);
        let forbidden = |attempt: &Attempt| {
            let check = |address: Option<&SocketAddr>| {
                policy.check(now, Some(&attempt.node), address.map(SocketAddr::ip)).err()
            };
            let why = match &attempt.stage {
                Stage::Dialing { addresses } => addresses.iter().find_map(|it| check(Some(it))),
                Stage::Locating | Stage::Resolving { .. } => check(None),
                // Ends with its connection, or has ended.
                Stage::Handshaking { .. } | Stage::Cancelled { .. } => None,
            };
            Some((attempt.node, why?))
        };
        let forbidden: Vec<_> = self.attempts.iter().filter_map(forbidden).collect();
        let freed = self.freed(now, before, policy);
        for (id, why) in forbidden {
            self.cancel(around, &id, DisconnectReason::Requested);
            if self.statics.contains(&id) {
                self.statics.schedule(&id, now);
            } else {
                self.fail(around, id, DialFailure::Forbidden(why));
            }
        }
        for id in freed {
            self.statics.schedule(&id, self.after_history(now, &id));
        }
    }

    /// The static nodes that wait and may be dialed, but could not before; and those whose
    /// addresses are not known, as they may be allowed now.
    fn freed(&self, now: Instant, before: &Policy, policy: &Policy) -> Vec<NodeId> {
        if before == policy {
            return Vec::new();
        }
        let is_allowed = |policy: &Policy, node: &Node, addresses: &[SocketAddr]| {
            let check = |it: &SocketAddr| policy.check(now, Some(&node.id()), Some(it.ip()));
            addresses.iter().any(|it| check(it).is_ok())
        };
        let is_freed = |node: &Node| {
            let addresses = node.tcp_endpoints();
            addresses.is_empty()
                || is_allowed(policy, node, &addresses) && !is_allowed(before, node, &addresses)
        };
        self.statics
            .iter()
            .filter(|(node, _, next_dial)| next_dial.is_some() && is_freed(node))
            .map(|(node, _, _)| node.id())
            .collect()
    }

    /// Whether the node was known with other endpoints. A new one is scheduled.
    pub(super) fn insert_static(&mut self, now: Instant, node: Node) -> bool {
        let id = node.id();
        if id == self.own {
            return false;
        }
        let endpoint = |node: &Node| {
            (node.tcp_endpoints(), node.hostname().map(str::to_owned), node.tcp_port())
        };
        let new = endpoint(&node);
        match self.statics.insert(node) {
            Some(old) => endpoint(&old) != new,
            None => {
                let at = self.after_history(now, &id);
                self.statics.schedule(&id, at);
                false
            }
        }
    }
}
