//! Policy: who may be talked to. Accepting, dialing, admission and discovery all ask here.
//!
//! Not here: what follows from the answer, and how a policy is changed while a server runs
//! (`peering`).

use std::{net::IpAddr, sync::Arc};

use peerage_machine::Instant;

use crate::{NetList, NodeId};

/// Why a node may not be talked to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Forbidden {
    /// Its address is outside the net restriction.
    #[error("its address is outside the net restriction")]
    NetRestricted,
}

/// Who may be talked to; everybody, by default.
///
/// A value that never changes and is cheap to clone, so that everything that asks can have its own.
/// Another policy takes its place.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy(Arc<Rules>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Rules {
    net_restrict: Option<NetList>,
}

impl Policy {
    /// The same policy, but with this net restriction: the only networks that nodes may be in.
    /// `None` for all networks.
    #[must_use]
    pub fn with_net_restrict(mut self, networks: Option<NetList>) -> Self {
        Arc::make_mut(&mut self.0).net_restrict = networks;
        self
    }

    /// Whether a node may be talked to at `now`, as far as it is known: `id` is `None` before the
    /// node has said who it is, `ip` where it is not reached over a network, or not found yet.
    ///
    /// What is not known is not held against a node, so the question is asked again once it is.
    pub fn check(
        &self,
        _now: Instant,
        _id: Option<&NodeId>,
        ip: Option<IpAddr>,
    ) -> Result<(), Forbidden> {
        match (&self.0.net_restrict, ip) {
            (Some(networks), Some(ip)) if !networks.contains(ip) => Err(Forbidden::NetRestricted),
            _ => Ok(()),
        }
    }

    /// The only networks that nodes may be in; `None` for all.
    pub fn net_restrict(&self) -> Option<&NetList> {
        self.0.net_restrict.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_judged_by_what_is_known_of_it() {
        let everybody = Policy::default();
        let restricted =
            Policy::default().with_net_restrict(Some("10.0.0.0/8, fd00::/8".parse().unwrap()));
        let nobody = Policy::default().with_net_restrict(Some("".parse().unwrap()));
        let (id, outside) = (NodeId([1; 32]), Err(Forbidden::NetRestricted));
        for (policy, id, ip, answer) in [
            (&everybody, None, Some("192.0.2.1"), Ok(())),
            (&everybody, Some(&id), None, Ok(())),
            (&restricted, Some(&id), Some("10.1.2.3"), Ok(())),
            (&restricted, None, Some("::ffff:10.1.2.3"), Ok(())),
            (&restricted, None, Some("fd00::1"), Ok(())),
            (&restricted, Some(&id), Some("192.0.2.1"), outside),
            (&restricted, None, Some("2001:db8::1"), outside),
            // Not known where: a pipe, or a name that is not resolved yet.
            (&restricted, Some(&id), None, Ok(())),
            (&nobody, Some(&id), Some("10.1.2.3"), outside),
        ] {
            let ip = ip.map(|ip| ip.parse().unwrap());
            assert_eq!(policy.check(Instant::START, id, ip), answer, "{id:?} at {ip:?}");
        }
    }

    #[test]
    fn a_changed_policy_leaves_its_clones_as_they_were() {
        let list = || Some("10.0.0.0/8".parse().unwrap());
        let before = Policy::default().with_net_restrict(list());
        let after = before.clone().with_net_restrict(None);
        assert_eq!((before.net_restrict(), after.net_restrict()), (list().as_ref(), None));
        assert_eq!(after, Policy::default());
    }
}
