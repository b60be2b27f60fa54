//! One RLPx connection from its first byte to its last, with no I/O
//! ([rlpx.md](https://github.com/ethereum/devp2p/blob/master/rlpx.md)).
//!
//! Here: ECIES, the encryption handshake, frames, snappy, Hello and capability negotiation, ping,
//! disconnect, deadlines. Not here: whom to talk to (`peering`), sockets and tasks (`peerage`).

mod capability;
mod fault;
mod reason;

pub use capability::{Capability, CapabilityName, LocalCapability, NameError, Shared};
pub use fault::{Fault, Local, PeerIncompatible, PeerMisbehaved, Waiting};
pub use reason::DisconnectReason;
