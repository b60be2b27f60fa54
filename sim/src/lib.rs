//! A world of Ethereum devp2p nodes in one thread and in virtual time, reproducible from a seed.
//!
//! Its hosts are made of the shipping machines (`peerage-rlpx`, `peerage-discovery`,
//! `peerage-peering`), not of models of them; its network delays, loses, splits and breaks what
//! they send. The same seed gives the same [`Trace`], byte for byte, on every machine.
//!
//! ```
//! use std::time::Duration;
//! use peerage_sim::{NodeSpec, Place, World};
//!
//! let mut world = World::new(7);
//! let key = world.key();
//! let first = world.add_node(Place::Public, NodeSpec::new(key));
//! let key = world.key();
//! let mut spec = NodeSpec::new(key);
//! spec.static_nodes.push(world.named(first));
//! let second = world.add_node(Place::Public, spec);
//! world.start(first);
//! world.start(second);
//! world.run_for(Duration::from_secs(10))?;
//! assert_eq!(world.node(second).unwrap().peer_count(), 1);
//! # Ok::<(), peerage_sim::Violation>(())
//! ```
//!
//! Not here: files, pictures and the command (`peerage sim`).

pub mod adversary;
mod alarms;
mod clock;
mod event;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod io;
mod ledger;
pub mod metrics;
mod net;
mod node;
mod queue;
pub mod scenario;
mod trace;
mod world;

pub use event::HostEvent;
pub use io::{Actor, Io};
pub use ledger::{Bounds, Violation};
pub use net::{Crash, LinkProfile, NatKind, NetStats, Read, Socket};
pub use node::{Chat, Node, NodeSpec, Seen};
pub use trace::{Trace, first_difference};
pub use world::{Place, Settings, World};

/// A host of a world, from 0 in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

impl HostId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for HostId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "h{}", self.0)
    }
}
