#![doc = include_str!("../README.md")]

pub mod adversary;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod metrics;
mod node;
pub mod scenario;
mod world;

pub use peerage_discovery;
pub use peerage_machine;
pub use peerage_node;
pub use peerage_peering;
pub use peerage_rlpx;

pub use node::{
    Bounds, Chat, Node, NodeFact, NodeSpec, OfferError, Peer, Protocol, ProtocolIo, ProtocolSpec,
    Seen,
};
pub use world::{
    AcceptError, ConnectError, Crash, Fact, Faults, HostEvent, HostId, Io, Kind, LinkProfile, Mail,
    NatKind, NetStats, Observer, Place, Program, Read, ResolveError, Resolver, SendError, Settings,
    Socket, Trace, Verdict, Violation, Way, World, first_difference,
};
