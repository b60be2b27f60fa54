//! Whom to be connected to: admission at two checkpoints, slots, dial scheduling, inbound
//! throttles.
//!
//! One machine, [`Server`], decides; a driver carries the messages of [`envelope`]. It is the
//! modern form of go-ethereum's `run` loop and dial scheduler.
//!
//! Not here: how a connection works (`rlpx`), how nodes are found (`discovery`), sockets
//! (`peerage`).

mod admission;
mod config;
mod dial;
pub mod envelope;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod inbound;
mod server;
pub mod tie;

pub use admission::{Candidate, Checkpoint, Origin, Peer, PeerSet, Pending, Slot, Standing, admit};
pub use config::{Backoff, Config, Limits, Throttle};
pub use dial::StaticNode;
pub use server::{Counts, Server};
