//! The node database: what a server knows of other nodes, kept over restarts.
//!
//! Discovery says what to keep ([`StoreOp`]) and is given [`SeedNode`]s at the start. A user's
//! static and trusted nodes that were added at run time are kept here too. [`RedbStore`] is a file,
//! [`MemoryStore`] forgets; they answer alike.
//!
//! Not here: what operations do to rows, which rows go first, and when to write how many of them:
//! that is `peerage_discovery::store`. A call blocks, for a disk's flush if it writes: the keeping
//! task makes it where nothing waits for it.
//!
//! # Security
//!
//! Strangers write here: every PING from a new key makes a row. Their number is bounded, and
//! however many they are, they push out only one another, never a node that answered.

mod data_dir;
mod disk;
mod memory;

use std::{error::Error, path::PathBuf, time::Duration};

pub(crate) use data_dir::DataDir;
pub use disk::RedbStore;
pub use memory::MemoryStore;
pub use peerage_discovery::store::{Bounds, Contact, Known, List, SeedNode, StoreOp};
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
