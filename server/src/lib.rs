//! A stand-alone Ethereum devp2p server.
//!
//! Give it a secret key and your protocols, start it, and it listens, dials, encrypts, negotiates
//! and hands you peers to exchange messages with:
//!
//! ```
//! use peerage::{Node, Protocol, SecretKey, Server};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A protocol is an async function of a peer and a channel. This one answers every message with
//! // itself; when the function returns, the connection ends.
//! let echo = Protocol::new("echo", 1, 1, |_peer, mut channel| async move {
//!     while let Some(message) = channel.recv().await {
//!         channel.send(message.code, message.payload).await?;
//!     }
//!     Ok(())
//! });
//! let listening = Server::builder(SecretKey::from_bytes(&[1; 32])?)
//!     .protocol(echo)
//!     .listen("127.0.0.1:0".parse()?)
//!     .start()
//!     .await?;
//!
//! // The other end of the same protocol: says one thing, and leaves with the answer.
//! let (answer, mut answers) = tokio::sync::mpsc::channel(1);
//! let ask = Protocol::new("echo", 1, 1, move |_peer, mut channel| {
//!     let answer = answer.clone();
//!     async move {
//!         channel.send(0, "hello").await?;
//!         if let Some(message) = channel.recv().await {
//!             let _ = answer.send(message.payload).await;
//!         }
//!         Ok(())
//!     }
//! });
//! let dialing = Server::builder(SecretKey::from_bytes(&[2; 32])?)
//!     .protocol(ask)
//!     .static_node(listening.local_node())
//!     .start()
//!     .await?;
//!
//! assert_eq!(answers.recv().await.as_deref(), Some(&b"hello"[..]));
//! dialing.stop().await;
//! listening.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! What decides is in crates of its own, with no I/O: `peerage-rlpx` for one connection,
//! `peerage-discovery` for finding nodes, `peerage-peering` for whom to be connected to. This crate
//! is their driver on tokio: the only one that touches sockets, clocks, disks and DNS.
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
mod channel;
mod clock;
mod connection;
mod data_dir;
mod dialer;
mod discovery;
mod error;
mod events;
mod info;
mod keep;
mod link;
mod listener;
mod local;
mod names;
mod peer;
mod ping;
mod protocol;
mod queue;
mod roster;
mod run;
mod server;
pub mod store;

pub use bytes::Bytes;
pub use peerage_node::{
    Forbidden, KeyError, LocalRecord, LocalRecordError, MAX_RECORD_SIZE, NetList, NetListError,
    Node, NodeId, ParseNodeError, PublicKey, Record, RecordError, SecretKey,
};
pub use peerage_peering::{
    Backoff, Limits, Slot, Throttle,
    envelope::{DialError, DialFailure, Refusal},
};
pub use peerage_rlpx::{
    Capability, CapabilityName, DisconnectReason, Fault, Hello, Local, NameError, PeerIncompatible,
    PeerMisbehaved, Timeouts, Waiting,
};

pub use builder::Builder;
pub use channel::{Channel, MAX_PAYLOAD, Message, Receiver, SendError, Sender};
pub use dialer::{BoxedStream, DialRequest, Dialed, Dialer, TcpDialer, Transport};
pub use discovery::{
    DiscoveryConfig, DiscoveryError, Lookup, LookupResult, LookupStep, LookupTarget, PongInfo,
    TableEntry,
};
pub use error::{ConnectError, StartError};
pub use events::{Event, Events};
pub use info::{NodeInfo, PeerInfo};
pub use peer::Peer;
pub use ping::{PingAnswer, PingError, PingOptions, ping};
pub use protocol::{BoxFuture, MAX_PROTOCOL_LENGTH, Protocol, ProtocolError};
pub use server::{Direction, Server};
