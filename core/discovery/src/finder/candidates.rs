//! Candidates: nodes that the random walk found, and that can be connected to.

use std::net::SocketAddr;

use peerage_machine::Now;
use peerage_node::{Node, check_relay};

use super::{Finder, Target};
use crate::{Output, base::Base};

impl<T: Target> Finder<T> {
    /// So many more candidates are wanted, whatever was said before.
    pub(crate) const fn want(&mut self, count: usize) {
        self.walker.walk.want(count);
    }

    /// Puts out what the walk has found and somebody wants.
    pub(super) fn offer_candidates(&mut self, now: Now, base: &mut Base) {
        while let Some(node) = self.walker.walk.poll_candidate() {
            // Whom nobody can connect to is found for the table only. It was not what was wanted.
            if is_candidate(now, base, &node, node.udp_endpoints().first()) {
                base.put(Output::Candidate { node, source: T::VERSION.source() });
            } else {
                self.walker.walk.want(self.walker.walk.wanted() + 1);
            }
        }
    }
}

/// Whether `node`, which is heard from `udp`, says where to connect to it, and nothing else than
/// such places.
///
/// # Security
///
/// Nobody elsewhere makes us connect to our own network.
pub(super) fn is_candidate(now: Now, base: &Base, node: &Node, udp: Option<&SocketAddr>) -> bool {
    let tcp = node.tcp_endpoints();
    let is_good = |tcp: &SocketAddr| {
        let may_be_told = udp.is_none_or(|udp| check_relay(udp.ip(), tcp.ip()).is_ok());
        may_be_told && base.is_allowed(now, Some(&node.id()), tcp.ip())
    };
    !tcp.is_empty() && tcp.iter().all(is_good)
}
