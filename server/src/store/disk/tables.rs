//! The tables of the file, as rows.

use std::{ops::Range, path::Path};

use peerage_discovery::store::{Rank, Row, Rows, RowsMut};
use peerage_node::{Node, NodeId};
use redb::{
    ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata as _, Table,
    TableDefinition, WriteTransaction,
};

use super::super::{List, StoreError};

type Id = &'static [u8; 32];
type RankBytes = &'static [u8; Rank::SIZE];

pub(super) const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const NODES: TableDefinition<'_, Id, &[u8]> = TableDefinition::new("nodes");
const RANKS: TableDefinition<'_, RankBytes, ()> = TableDefinition::new("ranks");

/// Keys of [`META`].
pub(super) const FORMAT: &str = "format";
const SEQ: &str = "seq";

/// The table of a list.
pub(super) const fn table_of(list: List) -> TableDefinition<'static, Id, &'static str> {
    TableDefinition::new(list.name())
}

/// The tables that rows are in: while they are written, or as they were at some moment.
pub(super) struct Tables<M, N, R> {
    meta: M,
    nodes: N,
    ranks: R,
}

type Written<'t> =
    Tables<Table<'t, &'static str, u64>, Table<'t, Id, &'static [u8]>, Table<'t, RankBytes, ()>>;
type Read = Tables<
    ReadOnlyTable<&'static str, u64>,
    ReadOnlyTable<Id, &'static [u8]>,
    ReadOnlyTable<RankBytes, ()>,
>;

/// Why a transaction failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Fault {
    #[error(transparent)]
    Database(#[from] redb::Error),
    /// A row is not what was written.
    #[error("its tables do not fit together")]
    Row,
}

impl<'t> Written<'t> {
    /// The tables, made if they are missing.
    pub(super) fn write(transaction: &'t WriteTransaction) -> Result<Self, Fault> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            nodes: transaction.open_table(NODES)?,
            ranks: transaction.open_table(RANKS)?,
        })
    }
}

#[cfg(test)]
impl Written<'_> {
    /// Takes a rank from its row.
    pub(super) fn remove_rank(&mut self, rank: Rank) -> Result<(), Fault> {
        self.ranks.remove(&rank.to_bytes())?;
        Ok(())
    }

    /// Writes anything in the place of a row.
    pub(super) fn set_bytes(&mut self, id: &NodeId, bytes: &[u8]) -> Result<(), Fault> {
        self.nodes.insert(&id.0, bytes)?;
        Ok(())
    }
}

impl Read {
    pub(super) fn read(transaction: &ReadTransaction) -> Result<Self, Fault> {
        Ok(Self {
            meta: transaction.open_table(META)?,
            nodes: transaction.open_table(NODES)?,
            ranks: transaction.open_table(RANKS)?,
        })
    }

    /// Whether each row and its rank are there, and nothing else.
    pub(super) fn check(&self) -> Result<(), Fault> {
        for entry in self.nodes.iter()? {
            let (id, row) = entry?;
            let row = Row::decode(row.value()).ok_or(Fault::Row)?;
            if self.ranks.get(&row.rank(NodeId(*id.value())).to_bytes())?.is_none() {
                return Err(Fault::Row);
            }
        }
        if self.nodes.len()? == self.ranks.len()? { Ok(()) } else { Err(Fault::Row) }
    }
}

impl<M, N, R> Rows for Tables<M, N, R>
where
    M: ReadableTable<&'static str, u64>,
    N: ReadableTable<Id, &'static [u8]>,
    R: ReadableTable<RankBytes, ()>,
{
    type Error = Fault;

    fn row(&self, id: &NodeId) -> Result<Option<Row>, Fault> {
        let Some(bytes) = self.nodes.get(&id.0)? else { return Ok(None) };
        Row::decode(bytes.value()).ok_or(Fault::Row).map(Some)
    }

    fn ranks(&self, range: Range<Rank>) -> Result<Vec<Rank>, Fault> {
        // redb panics at a range that ends before it begins.
        if range.is_empty() {
            return Ok(Vec::new());
        }
        let (start, end) = (range.start.to_bytes(), range.end.to_bytes());
        self.ranks
            .range::<&[u8; Rank::SIZE]>(&start..&end)?
            .map(|entry| Rank::from_bytes(entry?.0.value()).ok_or(Fault::Row))
            .collect()
    }

    fn count(&self) -> Result<usize, Fault> {
        Ok(usize::try_from(self.nodes.len()?).expect("because the number of nodes is bounded"))
    }

    fn seq(&self) -> Result<Option<u64>, Fault> {
        Ok(self.meta.get(SEQ)?.map(|seq| seq.value()))
    }
}

impl RowsMut for Written<'_> {
    fn replace(&mut self, id: &NodeId, old: Option<Rank>, new: Option<Row>) -> Result<(), Fault> {
        let rank = new.as_ref().map(|row| row.rank(*id));
        if old != rank {
            if let Some(old) = old {
                self.ranks.remove(&old.to_bytes())?;
            }
            if let Some(rank) = rank {
                self.ranks.insert(&rank.to_bytes(), ())?;
            }
        }
        match new {
            Some(row) => self.nodes.insert(&id.0, row.encode().as_slice())?,
            None => self.nodes.remove(&id.0)?,
        };
        Ok(())
    }

    fn least(&self) -> Result<Option<Rank>, Fault> {
        let Some((rank, _)) = self.ranks.first()? else { return Ok(None) };
        Rank::from_bytes(rank.value()).ok_or(Fault::Row).map(Some)
    }

    fn set_seq(&mut self, seq: u64) -> Result<(), Fault> {
        self.meta.insert(SEQ, seq)?;
        Ok(())
    }
}

impl Fault {
    /// The same, of the file at `path`.
    pub(super) fn at(self, path: &Path) -> StoreError {
        let path = path.into();
        match self {
            Self::Database(
                redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch,
            ) => StoreError::Locked { path },
            Self::Database(source) => StoreError::Failed { path, source: Box::new(source) },
            Self::Row => StoreError::Row { path },
        }
    }

    /// Whether the file is at fault, and not the disk or who may use it.
    pub(super) fn is_damage(&self) -> bool {
        match self {
            Self::Row => true,
            Self::Database(error) => match error {
                redb::Error::Io(error) => matches!(
                    error.kind(),
                    // Not a database at all; shorter than it says.
                    std::io::ErrorKind::InvalidData | std::io::ErrorKind::UnexpectedEof
                ),
                redb::Error::Corrupted(_)
                | redb::Error::RepairAborted
                | redb::Error::TableDoesNotExist(_)
                | redb::Error::TableIsMultimap(_)
                | redb::Error::TableTypeMismatch { .. }
                | redb::Error::TypeDefinitionChanged { .. }
                | redb::Error::UpgradeRequired(_) => true,
                _ => false,
            },
        }
    }
}

/// Everything that redb's calls fail with becomes one type.
macro_rules! from_redb {
    ($($error:ident),*) => {
        $(impl From<redb::$error> for Fault {
            fn from(error: redb::$error) -> Self {
                Self::Database(error.into())
            }
        })*
    };
}
from_redb!(
    CommitError,
    DatabaseError,
    SetDurabilityError,
    StorageError,
    TableError,
    TransactionError
);

/// The nodes of a list.
pub(super) fn listed(table: &impl ReadableTable<Id, &'static str>) -> Result<Vec<Node>, Fault> {
    let nodes = table.iter()?.map(|entry| entry?.1.value().parse().map_err(|_| Fault::Row));
    nodes.collect()
}
