#![doc = include_str!("../README.md")]
//!
//! The machine is [`Server`], its messages are in [`envelope`].

mod admission;
mod config;
mod dial;
pub mod envelope;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod inbound;
mod intake;
mod limits;
mod names;
mod peers;
mod race;
mod server;
pub mod tie;

pub use peerage_machine::{Instant, Machine, Now, Seed};
pub use peerage_node::{Forbidden, List, NetList, Node, NodeId, Policy, PublicKey, Source};
pub use peerage_rlpx::{DisconnectReason, Fault, Role};

pub use admission::{Applicant, Checkpoint, Origin, Privileges, Slot, admit};
pub use config::Config;
pub use dial::StaticNode;
pub use intake::{ACCEPT_PAUSE, DIAL_TIMEOUT, UNJUDGED};
pub use limits::{Backoff, Limits, Throttle};
pub use names::{NAME_PATIENCE, NAMES_AT_ONCE, Names, NamesInput, NamesOutput};
pub use peers::{Peer, PeerSet, Pending};
pub use race::{Race, RaceInput, RaceOutput};
pub use server::{Counts, Server};
