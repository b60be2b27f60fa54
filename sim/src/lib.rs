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
//! It has three layers, and none knows of one above it:
//!
//! ```text
//!   scenarios, adversaries, metrics     networks as data, and those who mean harm
//!   node                                the shipping machines on a host, and the rules they are under
//!   world                               hosts with programs, the network, time, observers
//! ```
//!
//! Not here: files, pictures and the command (`peerage sim`).

pub mod adversary;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod metrics;
mod node;
pub mod scenario;
mod world;

pub use node::{Bounds, Chat, Node, NodeFact, NodeSpec, Seen};
pub use world::{
    ConnectError, Crash, Fact, HostEvent, HostId, Io, Kind, LinkProfile, Mail, NatKind, NetStats,
    Observer, Place, Program, Read, Settings, Socket, Trace, Verdict, Violation, Way, World,
    first_difference,
};
