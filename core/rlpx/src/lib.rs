#![doc = include_str!("../README.md")]

mod capability;
mod code;
mod connection;
mod disconnect;
mod ecies;
mod fault;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod hello;
mod mac;
mod negotiate;
mod reason;

pub use peerage_machine::{Instant, Machine, Now, Random, Seed};
pub use peerage_node::{PublicKey, SecretKey};

pub use capability::{Capability, CapabilityName, LocalCapability, NameError, Shared};
pub use connection::{
    Config, Connection, Event, Input, MAX_UNADMITTED_BUFFER, Output, Role, SendError, Timeouts,
};
pub use fault::{Fault, Local, PeerIncompatible, PeerMisbehaved, Waiting};
pub use frame::{Egress, Ingress, MAX_FRAME, MAX_HELLO, MAX_PAYLOAD, PayloadTooLarge};
pub use handshake::{Accepted, Initiator, Secrets, accept, packet_size};
pub use hello::{Hello, P2P_VERSION};
pub use negotiate::negotiate;
pub use reason::DisconnectReason;
