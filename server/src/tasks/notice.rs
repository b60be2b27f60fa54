//! What the peering task is told, by the tasks that it started and by handles.

use peerage_node::{NetList, Node, NodeId, PublicKey, Record, Source};
use peerage_peering::envelope::{ConnId, DialError, DialId, Input, LocateId};
use peerage_rlpx::{Fault, Hello, Shared};
use tokio::sync::{oneshot, watch};

use crate::{
    candidates::NotTaken,
    dialer::{BoxedStream, Dialed, Direction},
    error::ConnectError,
};

/// What the peering task is told.
pub(crate) enum Notice {
    /// The embedding program has a source of its own, to be told what is wanted of it.
    AddSource { source: Source, wants: watch::Sender<usize> },
    /// A source found a node that could be dialed.
    Candidate { node: Box<Node>, source: Source },
    /// A connection ended.
    Closed { conn: ConnId, fault: Fault },
    /// The user commands.
    Command(Box<Input>),
    /// A dial reached somebody, or nobody.
    Dialed { dial: DialId, result: Result<Dialed, DialError> },
    /// A connection knows who is at its other end.
    Identified { conn: ConnId, key: PublicKey },
    /// A connection has exchanged Hellos.
    Ready { conn: ConnId, hello: Box<Hello>, shared: Box<[Shared]> },
    /// A node was looked for.
    Located { locate: LocateId, node: Option<Box<Node>> },
    /// A node was asked for its record.
    Record { id: NodeId, record: Option<Record> },
    /// A source of the embedding program brings nothing any more.
    RemoveSource(Source),
    /// The user changes which networks nodes may be in.
    Restrict(Option<NetList>),
    /// End everything.
    Stop,
    /// The user brings a stream.
    Stream {
        stream: BoxedStream,
        direction: Direction,
        done: oneshot::Sender<Result<NodeId, ConnectError>>,
    },
    /// The user asks why a node was not taken.
    WhyNotTaken { id: NodeId, done: oneshot::Sender<Option<NotTaken>> },
}
