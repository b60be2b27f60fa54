#![doc = include_str!("../README.md")]
//!
//! # Tasks
//!
//! ```text
//!   listener ----> peering task <---- handles (Server)
//!                   |  ^    | starts
//!           verdicts|  |facts      v
//!                   v  |
//!   stream <---> connection task <--- queues ---> protocol tasks
//!
//!   datagrams <---> discovery task ---> candidates for peering, operations for the keeping task
//! ```
//!
//! One task per connection, one per protocol and peer; messages go straight from one to the other.

mod builder;
mod candidates;
mod channel;
mod dialer;
mod discovery;
mod error;
mod events;
mod info;
mod peer;
mod ping;
mod protocol;
mod random_nodes;
mod server;
mod start;
pub mod store;
mod talk;
mod tasks;

pub use bytes::Bytes;
pub use peerage_node::{
    Forbidden, KeyError, LocalRecord, LocalRecordError, MAX_RECORD_SIZE, NetList, NetListError,
    Node, NodeId, ParseNodeError, PublicKey, Record, RecordError, SecretKey, Source,
};
pub use peerage_peering::{
    Backoff, Limits, Slot, Throttle,
    envelope::{DialError, DialFailure, Refusal, Skip},
};
pub use peerage_rlpx::{
    Capability, CapabilityName, DisconnectReason, Fault, Hello, LocalFault, NameError,
    PeerIncompatible, PeerMisbehaved, Timeouts, Waiting,
};
pub use serde_json;

pub use builder::Builder;
pub use candidates::{CandidateSource, Cause, NotTaken, Unfit};
pub use channel::{Channel, MAX_PAYLOAD, Message, Receiver, SendError, Sender};
pub use dialer::{BoxedStream, DialRequest, Dialed, Dialer, Direction, TcpDialer, Transport};
pub use discovery::{
    DiscoveryConfig, DiscoveryError, Lookup, LookupResult, LookupStep, LookupTarget, PongInfo,
    TableEntry, Version,
};
pub use error::{ConnectError, StartError};
pub use events::{Event, Events};
pub use info::{NodeInfo, PeerInfo};
pub use peer::Peer;
pub use ping::{PingAnswer, PingError, PingOptions, ping};
pub use protocol::{BoxFuture, MAX_PROTOCOL_LENGTH, Protocol, ProtocolError};
pub use random_nodes::{Nodes, RandomNodes};
pub use server::Server;
pub use talk::{MAX_TALK_REQUEST, MAX_TALK_RESPONSE, TalkRequest};
