#![doc = include_str!("../README.md")]

mod capability;
mod code;
mod config;
mod connection;
mod disconnect;
mod ecies;
mod fault;
mod flow;
mod frame;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod goodbye;
mod handshake;
mod hello;
mod incoming;
mod lanes;
mod mac;
mod negotiate;
mod outgoing;
mod reason;

pub use peerage_machine::{Instant, Machine, Now, Random, Seed};
pub use peerage_node::{PublicKey, SecretKey};

pub use capability::{Capability, CapabilityName, LocalCapability, NameError, Shared};
pub use config::{Config, Role, Timeouts};
pub use connection::{Connection, Event};
pub use fault::{Fault, LocalFault, PeerIncompatible, PeerMisbehaved, Waiting};
pub use flow::{Flow, FlowEvent, Linger};
pub use frame::{
    Compressed, Compressor, Egress, Ingress, MAX_FRAME, MAX_HELLO, MAX_PAYLOAD, PayloadTooLarge,
    Unsealed, seal_all,
};
pub use goodbye::Goodbye;
pub use handshake::{Accepted, Initiator, Secrets, Step, StepResult, accept, packet_size};
pub use hello::{Hello, P2P_VERSION};
pub use incoming::{Incoming, Received};
pub use lanes::{Backlog, LaneLimits, Lanes, Message, Unsendable, WhenFull};
pub use negotiate::negotiate;
pub use outgoing::{Outgoing, SendError};
pub use reason::DisconnectReason;
