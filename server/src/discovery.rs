//! Discovery in the server: one UDP socket, and a task that carries what `peerage-discovery` wants.
//!
//! Nothing is decided here. Who is in the table, who is asked and what we tell of ourselves is the
//! machine's business; whom to be connected to is that of `peerage-peering`.

mod answers;
mod bootnodes;
mod carry;
mod command;
mod handle;
mod socket;
mod task;

use std::net::SocketAddr;

use peerage_node::Node;

pub use answers::{
    DiscoveryError, Lookup, LookupResult, LookupStep, LookupTarget, PongInfo, TableEntry,
};
pub(crate) use command::Command;
pub(crate) use handle::Reach;
pub(crate) use socket::{Socket, bind_beside, bind_udp};
pub(crate) use task::{Links, Plan, Task};

/// How a server discovers nodes. See [`Builder::discovery`](crate::Builder::discovery).
#[derive(Clone, Debug, Default)]
pub struct DiscoveryConfig {
    /// Nodes to ask first, and to come back to. One that cannot be reached, or whose name cannot be
    /// resolved, is tried again later: never an error.
    pub bootnodes: Vec<Node>,
    /// Where to take datagrams. `None` is the address of
    /// [`Builder::listen`](crate::Builder::listen) with the port that it got, and, on a server that
    /// does not listen, any port of every IPv4 address.
    pub listen: Option<SocketAddr>,
}
