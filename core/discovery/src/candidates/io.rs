//! What [`Candidates`](super::Candidates) is told, and what it says.

use peerage_machine::Instant;
use peerage_node::{Node, NodeId, Record, Source};

use super::{Filter, Unfit};

/// What the machine is told. `Why` is what the taker says when it skips a candidate.
#[derive(Clone, Debug)]
pub enum Input<Why> {
    /// A source brings nodes from now on, and is told what is wanted. One that is there already
    /// stays as it is.
    AddSource(Source),
    /// A source found a node. It is told what is wanted from then on by [`Output::Want`], also if
    /// that has not changed, once the taker has said so itself.
    Found {
        /// The node.
        node: Node,
        /// Who found it.
        source: Source,
    },
    /// The answer to [`Output::AskRecord`].
    Record {
        /// The node that was asked for its record.
        id: NodeId,
        /// Its record, verified; `None` if it gave none, or nobody could ask it.
        record: Option<Record>,
    },
    /// A source brings no nodes any more. Those of it that wait are not taken.
    RemoveSource(Source),
    /// Which nodes are of use from now on, those that wait included; `None` for all.
    SetFilter(Option<Filter>),
    /// The taker does not take a candidate.
    Skipped {
        /// The node.
        id: NodeId,
        /// Who found it.
        source: Source,
        /// Why.
        why: Why,
    },
    /// The taker would take so many candidates at once; the latest number counts. To follow each
    /// [`Output::Candidate`], also if it has not changed.
    Want {
        /// How many.
        count: usize,
    },
}

/// What the machine wants done, or known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<Why> {
    /// Ask a node for its record: [`Input::Record`].
    AskRecord {
        /// The node. Its key and perhaps its endpoint are known.
        node: Node,
    },
    /// A candidate for the taker. There is no other one before the next [`Input::Want`].
    Candidate {
        /// The node.
        node: Node,
        /// Who found it.
        source: Source,
    },
    /// A node that was found is not taken.
    NotTaken {
        /// The node.
        id: NodeId,
        /// Who found it.
        source: Source,
        /// Why.
        cause: Cause<Why>,
    },
    /// Up to so many nodes of this source would be kept. Zero: it is to pause. Each message
    /// replaces the one before.
    Want {
        /// Who is asked.
        source: Source,
        /// How many.
        count: usize,
    },
}

/// Why a node that was found is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Cause<Why> {
    /// It was found a short time ago, by another source or by the same, and waits or was taken.
    #[error("it was found a short time ago (by {of})")]
    Duplicate {
        /// Who found it first.
        of: Source,
    },
    /// There is a filter, and the node gave no record.
    #[error("it gave no record")]
    NoRecord,
    /// More nodes of its source wait than are kept.
    #[error("its source has found too many")]
    NoRoom,
    /// The taker skipped it.
    #[error("{0}")]
    Skipped(Why),
    /// Its source was removed, or was never there.
    #[error("its source is gone")]
    SourceGone,
    /// More nodes of its subnet wait than are kept.
    #[error("too many of its subnet wait")]
    SubnetFull,
    /// The filter says that it is of no use.
    #[error("{0}")]
    Unfit(Unfit),
    /// Nothing speaks against it: it waits for its turn, or for its record. Only told when it is
    /// asked for.
    #[error("it waits for its turn")]
    Waiting,
}

/// What is remembered of a node that was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NotTaken<Why> {
    /// Who found it.
    pub source: Source,
    /// Why it was not taken.
    pub cause: Cause<Why>,
    /// Since when that is so.
    pub at: Instant,
}
