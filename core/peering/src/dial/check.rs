//! Whether a node may be dialed at all, and where: the order is row D3 of the reference.
//!
//! Not here: whether there is room for another dial, and what becomes of a node that may not.

use std::net::SocketAddr;

use peerage_node::{Forbidden, Node, NodeId};

use super::{Around, Dialer};
use crate::envelope::Skip;

/// Where to dial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Addresses(Vec<SocketAddr>),
    Name {
        host: String,
        port: u16,
    },
    /// Wherever the node turns out to be.
    Unknown,
}

impl Dialer {
    /// Whether a node may be dialed, and where. Candidates are asked more than that.
    pub(super) fn check(&self, around: &Around<'_>, node: &Node) -> Result<Target, Skip> {
        let (id, peers) = (node.id(), around.peers);
        if id == self.own {
            return Err(Skip::OwnNode);
        }
        let mut addresses = node.tcp_endpoints();
        let name = node.hostname().zip(node.tcp_port());
        if self.attempts.contains(&id) {
            return Err(Skip::Dialing);
        }
        if peers.get(&id).is_some() {
            return Err(Skip::Connected);
        }
        // A node without an address is asked this again once its addresses are known.
        if peers.is_coming(&id, addresses.iter().map(SocketAddr::ip)) {
            return Err(Skip::HandshakeUnderWay);
        }
        around.policy.check(around.now, Some(&id), None).map_err(Skip::Forbidden)?;
        if addresses.is_empty() {
            // The policy is asked again once the addresses are known.
            return Ok(match name {
                Some((host, port)) => Target::Name { host: host.to_owned(), port },
                None => Target::Unknown,
            });
        }
        around.retain_allowed(&id, &mut addresses).map_err(Skip::Forbidden)?;
        Ok(Target::Addresses(addresses))
    }
}

impl Around<'_> {
    /// Keeps the addresses that the policy allows. Why the last one went, if none is left.
    pub(super) fn retain_allowed(
        &self,
        id: &NodeId,
        addresses: &mut Vec<SocketAddr>,
    ) -> Result<(), Forbidden> {
        let mut why = None;
        addresses.retain(|address| {
            let answer = self.policy.check(self.now, Some(id), Some(address.ip()));
            why = answer.err().or(why);
            answer.is_ok()
        });
        match why {
            Some(why) if addresses.is_empty() => Err(why),
            _ => Ok(()),
        }
    }
}
