//! The node database: what a server knows of other nodes, kept over restarts.
//!
//! Discovery says what to keep ([`StoreOp`]) and is given [`SeedNode`]s at the start; both versions
//! write the same rows. A user's static and trusted nodes that were added at run time are kept here
//! too. [`RedbStore`] is a file, [`MemoryStore`] forgets; they answer alike.
//!
//! Not here: who writes when. A call blocks, for a disk's flush if it writes: collect operations
//! for about a second, and [`apply`](NodeStore::apply) them at once, away from the tasks that must
//! not wait.
//!
//! **What goes first.** A node's rank says how much it is worth: below are nodes that never
//! answered, then those that did, and above those that may be seeds; older ones first in each. What
//! is too many is taken from below.
//!
//! # Security
//!
//! Strangers write here: every PING from a new key makes a row. Their number is bounded, and
//! however many they are, they push out only one another, never a node that answered.

mod data_dir;
mod disk;
mod memory;
mod row;
mod rows;

use std::{error::Error, net::IpAddr, path::PathBuf, time::Duration};

pub(crate) use data_dir::DataDir;
pub use disk::RedbStore;
pub use memory::MemoryStore;
pub use peerage_discovery::{SeedNode, StoreOp};
pub use peerage_machine::Random;
use peerage_node::{Node, NodeId};

/// Keeps what is known of nodes. Time is that of UNIX, as it must outlive the process.
///
/// A wrong clock does no lasting harm: times in the future become the present, at the latest when
/// [`prune`](Self::prune) sees them. A clock that is far ahead makes everything old, and costs the
/// seeds.
pub trait NodeStore: Send + 'static {
    /// Writes all of `ops` or, if it fails, none: and once it returned `Ok`, they outlive any
    /// crash.
    fn apply(&mut self, now: Duration, ops: &[StoreOp]) -> Result<(), StoreError>;

    /// Up to `count` nodes, chosen by `random`, that answered at the address they are known at
    /// within `max_age` before `now`.
    ///
    /// # Security
    ///
    /// At most 2 of one /24 (/64 of IPv6): whoever answers from one network cannot be all that a
    /// restarted server hears of.
    fn seeds(
        &self,
        now: Duration,
        max_age: Duration,
        count: usize,
        random: &mut Random,
    ) -> Result<Vec<SeedNode>, StoreError>;

    /// The sequence number of our own record that was written last. It never falls.
    fn local_seq(&self) -> Result<Option<u64>, StoreError>;

    /// Everything that is kept of one node.
    fn known(&self, id: &NodeId) -> Result<Option<Known>, StoreError>;

    /// How many nodes are kept, without those of lists.
    fn len(&self) -> Result<usize, StoreError>;

    /// Whether no node is kept.
    fn is_empty(&self) -> Result<bool, StoreError> {
        Ok(self.len()? == 0)
    }

    /// Drops what is older than [`Bounds`] allows, and returns how many nodes that were. To be
    /// called at the start and then now and then, such as once per hour.
    fn prune(&mut self, now: Duration) -> Result<usize, StoreError>;

    /// The nodes of a list, in the order of their ids.
    fn listed(&self, list: List) -> Result<Vec<Node>, StoreError>;

    /// Puts `node` on a list, in the place of what stood there for its id. Whether the id is new
    /// there.
    ///
    /// A node of a DNS name is kept by that name, not by the address it stood for.
    fn add_listed(&mut self, list: List, node: &Node) -> Result<bool, StoreError>;

    /// Takes a node off a list. Whether it was there.
    fn remove_listed(&mut self, list: List, id: &NodeId) -> Result<bool, StoreError>;
}

/// The lists that a user keeps at run time. They neither age nor yield to other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum List {
    /// Nodes to be connected to, always.
    Static,
    /// Nodes that are let in when all slots are taken.
    Trusted,
}

impl List {
    /// How many nodes a list may have: more than anybody types, and what a program that adds nodes
    /// without end may cost (2 MB).
    pub const MAX: usize = 4096;
}

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
pub struct Known {
    /// Where the node says that it is, and its record if it has one. A record is never replaced by
    /// an older one, nor by what was not signed.
    pub node: Option<Node>,
    /// How the node did at each address, at most 4.
    pub contacts: Vec<Contact>,
}

/// How a node did at one address. Times are those of UNIX, in whole seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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

/// Why the node database could not be opened, read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The database, or the file under it, failed.
    #[error("the node database {} failed: {source}", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// Why.
        source: Box<dyn Error + Send + Sync>,
    },
    /// A list has all the nodes it may have.
    #[error("a list of nodes has at most {} entries; remove one first", List::MAX)]
    ListFull,
    /// Another process has the file open.
    #[error(
        "the node database {} is in use by another process: stop it, or name another data directory",
        path.display()
    )]
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// What stands in a row is not what was written there: the file was changed while it was open.
    #[error("the node database {} was changed by something else; restart to have it checked", path.display())]
    Row {
        /// The file.
        path: PathBuf,
    },
}

/// What a user should hear of a database that could be opened all the same, empty.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The file was damaged.
    #[error(
        "the node database {} is damaged ({source}). It is now {}, and a new one is empty: nodes are \
         found anew, but static and trusted nodes that were added while the server ran are forgotten",
        path.display(),
        aside.display()
    )]
    Damaged {
        /// Where the file was.
        path: PathBuf,
        /// Where the file is now.
        aside: PathBuf,
        /// What is wrong with it.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The file was written by a version of Peerage that is newer than this, or too old for it.
    #[error(
        "the node database {} has format {found}, but this version reads format {expected}. It is now \
         {}, and a new one is empty: static and trusted nodes that were added while the server ran \
         are forgotten",
        path.display(),
        aside.display()
    )]
    Format {
        /// Where the file was.
        path: PathBuf,
        /// Where the file is now.
        aside: PathBuf,
        /// The format of the file.
        found: u64,
        /// The format this version reads and writes.
        expected: u64,
    },
}

#[cfg(test)]
mod tests;
