//! How adversaries of one party find each other: by a way of their own, outside of the network.

use std::{cell::RefCell, collections::BTreeMap, rc::Rc};

use peerage_node::{Node, NodeId};

/// The members of one party. Clones are the same ring; each adversary joins it when it starts.
#[derive(Clone, Debug, Default)]
pub struct Ring(Rc<RefCell<BTreeMap<NodeId, Node>>>);

impl Ring {
    /// Everybody who has joined, by id.
    pub fn members(&self) -> Vec<Node> {
        self.0.borrow().values().cloned().collect()
    }

    /// Joins, or joins anew at another place.
    pub(super) fn join(&self, node: Node) {
        self.0.borrow_mut().insert(node.id(), node);
    }
}
