//! The store in a file: a [redb](https://docs.rs/redb) database, format 1.
//!
//! | table | key | value |
//! |---|---|---|
//! | `meta` | `format`, `seq` | the format of the file; the sequence number of our record |
//! | `nodes` | node id | a [`Row`](peerage_discovery::store::Row) |
//! | `ranks` | [`Rank`](peerage_discovery::store::Rank) | nothing: what goes first, and seeds |
//! | `static`, `trusted` | node id | the node as text |
//!
//! A call of [`NodeStore`] is one transaction. It is on the disk when the call returns, which takes
//! two flushes.
//!
//! # Security
//!
//! The flushes are two (redb's two-phase commit) because strangers choose the bytes of records:
//! with one, somebody who chooses them well and makes the machine crash at the right moment could
//! have half a transaction taken for a whole one.

mod open;
mod tables;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use peerage_discovery::store::rows::{self, Rows as _};
use peerage_machine::Random;
use peerage_node::{Node, NodeId};
use redb::{Database, ReadableDatabase as _, ReadableTableMetadata as _};

use super::{Bounds, Known, List, NodeStore, SeedNode, StoreError, StoreOp, Warning};
use tables::{Fault, Tables, table_of};

/// Keeps nodes in the file `nodes.redb` of a data directory.
///
/// With 10,000 nodes the file has 6 MB, and takes a debug build 0.1 s to open.
#[derive(Debug)]
pub struct RedbStore {
    path: PathBuf,
    bounds: Bounds,
    state: State,
}

/// ```text
///          a transaction fails
///   Open ----------------------> Failed
///        <----------------------
///          the next call that writes opens the file again
/// ```
#[derive(Debug)]
enum State {
    Open(Database),
    /// redb takes no more writes after the disk failed, as by being full: what is on it is whole,
    /// but what is in memory may not be.
    Failed,
}

impl RedbStore {
    /// The name of the file in the data directory.
    pub const FILE: &str = "nodes.redb";

    /// Opens the database in the directory `dir`, which must be there, or makes a new one.
    ///
    /// Checks the whole file. One that is damaged, or not in a format that this version knows, is
    /// renamed to `nodes.redb.damaged-1` (or the next free number up to 9, which is then
    /// overwritten), and the store is empty: the [`Warning`] is for the user.
    pub fn open(dir: &Path) -> Result<(Self, Option<Warning>), StoreError> {
        Self::open_with(dir, Bounds::default())
    }

    /// [`open`](Self::open) with other bounds. What exceeds them goes at the next call that writes.
    pub fn open_with(dir: &Path, bounds: Bounds) -> Result<(Self, Option<Warning>), StoreError> {
        let path = dir.join(Self::FILE);
        let (database, warning) = open::open_or_create(&path)?;
        Ok((Self { path, bounds, state: State::Open(database) }, warning))
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn read<T>(
        &self,
        read: impl FnOnce(&redb::ReadTransaction) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        let State::Open(database) = &self.state else {
            return Err(Fault::from(redb::Error::PreviousIo).at(&self.path));
        };
        let result =
            database.begin_read().map_err(Fault::from).and_then(|transaction| read(&transaction));
        result.map_err(|fault| fault.at(&self.path))
    }

    /// One transaction: all of it is written, or none.
    fn write<T>(
        &mut self,
        write: impl FnOnce(&redb::WriteTransaction) -> Result<T, Fault>,
    ) -> Result<T, StoreError> {
        if let State::Failed = self.state {
            self.state = State::Open(open::open_again(&self.path)?);
        }
        let State::Open(database) = &self.state else {
            unreachable!("because it was just opened");
        };
        let result = transact(database, write);
        if result.is_err() {
            self.state = State::Failed;
        }
        result.map_err(|fault| fault.at(&self.path))
    }
}

impl NodeStore for RedbStore {
    fn apply(&mut self, now: Duration, ops: &[StoreOp]) -> Result<(), StoreError> {
        let bounds = self.bounds;
        self.write(|transaction| rows::apply(&mut Tables::write(transaction)?, &bounds, now, ops))
    }

    fn seeds(
        &self,
        now: Duration,
        max_age: Duration,
        count: usize,
        random: &mut Random,
    ) -> Result<Vec<SeedNode>, StoreError> {
        self.read(|transaction| {
            rows::seeds(&Tables::read(transaction)?, now, max_age, count, random)
        })
    }

    fn local_seq(&self) -> Result<Option<u64>, StoreError> {
        self.read(|transaction| Tables::read(transaction)?.seq())
    }

    fn known(&self, id: &NodeId) -> Result<Option<Known>, StoreError> {
        self.read(|transaction| Ok(Tables::read(transaction)?.row(id)?.map(|row| row.known())))
    }

    fn len(&self) -> Result<usize, StoreError> {
        self.read(|transaction| Tables::read(transaction)?.count())
    }

    fn prune(&mut self, now: Duration) -> Result<usize, StoreError> {
        let bounds = self.bounds;
        self.write(|transaction| rows::prune(&mut Tables::write(transaction)?, &bounds, now))
    }

    fn listed(&self, list: List) -> Result<Vec<Node>, StoreError> {
        self.read(|transaction| tables::listed(&transaction.open_table(table_of(list))?))
    }

    fn add_listed(&mut self, list: List, node: &Node) -> Result<bool, StoreError> {
        let id = node.id();
        let count = self.read(|transaction| {
            let table = transaction.open_table(table_of(list))?;
            Ok(if table.get(&id.0)?.is_none() { Some(table.len()?) } else { None })
        })?;
        if count.is_some_and(|count| count >= List::MAX as u64) {
            return Err(StoreError::ListFull);
        }
        self.write(|transaction| {
            let mut table = transaction.open_table(table_of(list))?;
            let was = table.insert(&id.0, node.to_string().as_str())?;
            Ok(was.is_none())
        })
    }

    fn remove_listed(&mut self, list: List, id: &NodeId) -> Result<bool, StoreError> {
        self.write(|transaction| {
            let mut table = transaction.open_table(table_of(list))?;
            let was = table.remove(&id.0)?;
            Ok(was.is_some())
        })
    }
}

/// Writes and commits, so that it is on the disk.
fn transact<T>(
    database: &Database,
    write: impl FnOnce(&redb::WriteTransaction) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(redb::Durability::Immediate)?;
    transaction.set_two_phase_commit(true);
    // Dropped without a commit, a transaction leaves nothing behind.
    let result = write(&transaction)?;
    transaction.commit()?;
    Ok(result)
}

#[cfg(test)]
mod tests;
