//! The node database: what is kept of other nodes over restarts, and when it is written.
//!
//! Discovery says what to keep ([`StoreOp`]), and is given [`SeedNode`]s at its start; both
//! versions write the same rows. [`Keeping`] gathers operations and says when to write how many,
//! and [`rows`] says what they do to rows, wherever those lie: a [`Shelf`] in memory, or tables in
//! a file that a driver has.
//!
//! Not here: files, flushes, and threads that may block.
//!
//! **What goes first.** A node's [`Rank`] says how much it is worth: below are nodes that never
//! answered, then those that did, and above those that may be seeds; older ones first in each. What
//! is too many is taken from below.
//!
//! # Security
//!
//! Strangers write here: every PING from a new key makes a row. Their number is bounded, and
//! however many they are, they push out only one another, never a node that answered.

mod keeping;
mod row;
pub mod rows;
mod shelf;

use std::{net::IpAddr, sync::Arc, time::Duration};

use peerage_machine::Now;
use peerage_node::{Node, NodeId};

pub use keeping::{Batch, Input, Keeping, Output, Step};
pub use peerage_node::List;
pub use row::{Class, Rank, Row};
pub use rows::{Rows, RowsMut};
pub use shelf::{ListFull, Shelf};

/// One thing to be written down. Operations are idempotent and independent: losing one loses that
/// fact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreOp {
    /// How many queries in a row the node at this address has left without an answer; 0 forgets the
    /// count.
    Failures {
        /// The node.
        id: NodeId,
        /// Where it was asked.
        ip: IpAddr,
        /// Unanswered queries in a row.
        count: u32,
    },
    /// Everything known of the node is worth nothing any more.
    Forget(NodeId),
    /// The node at this address asked for our endpoint proof.
    Ping {
        /// The node.
        id: NodeId,
        /// Where it asked from.
        ip: IpAddr,
        /// When, since the UNIX epoch.
        unix: Duration,
    },
    /// The node at this address proved to us that it is there: it may be a seed of the next run.
    Pong {
        /// The node.
        id: NodeId,
        /// Where it answered.
        ip: IpAddr,
        /// When, since the UNIX epoch.
        unix: Duration,
    },
    /// A node with its record, if it has one, and where it is. Behind a pointer, as thousands of
    /// operations may wait for a slow disk.
    Record(Arc<Node>),
    /// The sequence number of our own record: the next run begins above it.
    Seq(u64),
}

/// The sequence number after which our record of this run is numbered, where `kept` is the one that
/// was written last. Where nothing is kept, the milliseconds of UNIX, as go-ethereum has it: others
/// may hold a record of a run whose database is lost, and time has passed since.
pub fn last_seq(kept: Option<u64>, now: Now) -> u64 {
    kept.unwrap_or_else(|| u64::try_from(now.unix.as_millis()).unwrap_or(u64::MAX))
}

/// A node from an earlier run, to start from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeedNode {
    /// The node as it was stored.
    pub node: Node,
    /// When it answered last, since the UNIX epoch.
    pub last_pong: Duration,
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// How many nodes. A row has some 250 bytes, and about 550 with a record of full size. A start
    /// needs a few dozen seeds; the rest is spare for those that left, and costs 6 MB by default.
    pub nodes: usize,
    /// How long after its last PONG a node is kept: long enough for a server that was switched off
    /// for a holiday to find its way back.
    pub answered: Duration,
    /// How long after it was last heard of a node is kept that never sent a PONG.
    pub unanswered: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        const DAY: u64 = 24 * 60 * 60;
        Self {
            nodes: 10_000,
            answered: Duration::from_secs(30 * DAY),
            unanswered: Duration::from_secs(DAY),
        }
    }
}

/// What is kept of one node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Known {
    /// Where the node says that it is, and its record if it has one. A record is never replaced by
    /// an older one, nor by what was not signed.
    pub node: Option<Node>,
    /// How the node did at each address, at most 4.
    pub contacts: Vec<Contact>,
}

impl Known {
    /// What is kept of a node, and how it did at each address.
    pub const fn new(node: Option<Node>, contacts: Vec<Contact>) -> Self {
        Self { node, contacts }
    }
}

/// How a node did at one address. Times are those of UNIX, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contact {
    /// The address, never an IPv4-mapped one.
    pub ip: IpAddr,
    /// When the node last sent a PING.
    pub last_ping: Option<Duration>,
    /// When the node last sent a PONG that we had asked for, in either version of discovery.
    pub last_pong: Option<Duration>,
    /// How many requests it left without an answer, as the last [`StoreOp::Failures`] said.
    pub failures: u32,
}

impl Contact {
    /// A node that was told of at this address, and not heard there.
    pub fn new(ip: IpAddr) -> Self {
        Self { ip: ip.to_canonical(), last_ping: None, last_pong: None, failures: 0 }
    }
}

#[cfg(test)]
mod tests;
