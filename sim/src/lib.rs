#![doc = include_str!("../README.md")]

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
