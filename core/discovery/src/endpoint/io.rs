//! What an [`Endpoint`](crate::Endpoint) is told, and what it asks for.

use std::net::{IpAddr, SocketAddr};

use peerage_machine::vec_memory;
use peerage_node::{Node, NodeId, Policy, Record, Source};

use crate::{
    Datagram, LocalChange, LookupResult, LookupStep, LookupTarget, PongInfo, QueryId, SeedNode,
    StoreOp, TableEntry, Version, v5::TalkId,
};

/// One name that is to be resolved. Chosen by the machine, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NameId(pub u64);

/// What the machine is told.
#[derive(Clone, Debug)]
pub enum Input<'a> {
    /// A user asks something, or tells of a node.
    Command(Command),
    /// A datagram came in.
    Datagram {
        /// Where it came from, as the socket tells; an IPv4-mapped address is IPv4.
        from: SocketAddr,
        /// All of it. What is of no version that is on is counted and ignored.
        datagram: Datagram<'a>,
    },
    /// Something about us changed.
    Local(LocalChange),
    /// A name was resolved, or was not: then `addresses` is empty.
    NameResolved {
        /// Of which [`Output::ResolveName`].
        id: NameId,
        /// Every address of the name, both families.
        addresses: Vec<IpAddr>,
    },
    /// The machine panicked while it was told something or polled. It begins anew a second later;
    /// no command is answered any more that was given before.
    Panicked,
    /// The nodes to begin with, as [`Output::WantSeeds`] asks for.
    Seeds(Vec<SeedNode>),
    /// Who may be talked to from now on. Nodes in the table that may not be are dropped.
    SetPolicy(Policy),
    /// A handler has answered an [`Output::TalkRequest`]. An answer longer than
    /// [`MAX_TALK_RESPONSE`](crate::v5::MAX_TALK_RESPONSE) goes as an empty one; one that comes
    /// later than a second is lost.
    TalkResponse {
        /// Of which request.
        id: TalkId,
        /// The answer.
        response: Vec<u8>,
    },
    /// Somebody would take this many more candidates of a source; the latest number counts. While
    /// it is not 0, random walks go on until one [`Output::Candidate`] is found; each is to be
    /// followed by another of these. Ignored for a source that is none of
    /// [`Config::sources`](crate::Config::sources).
    Want {
        /// Of which version.
        source: Source,
        /// How many.
        count: usize,
    },
}

/// What a user asks, or tells of.
#[derive(Clone, Debug)]
pub enum Command {
    /// A node to be considered for the table.
    AddNode(Node),
    /// Find the nodes closest to a target: [`Output::LookupStep`]s, then [`Output::LookupDone`].
    Lookup {
        /// Names the outputs.
        id: QueryId,
        /// What to look for.
        target: LookupTarget,
        /// By which version; by the newest that is on, if `None`.
        version: Option<Version>,
    },
    /// Ping a node: [`Output::Pong`] or [`Output::PingFailed`].
    Ping {
        /// Names the outputs.
        id: QueryId,
        /// By which version; by the newest that is on, if `None`.
        version: Option<Version>,
        /// Whom; where, is its UDP endpoint.
        node: Node,
    },
    /// Ask a node for its current record: [`Output::Record`].
    RequestRecord {
        /// Names the output.
        id: QueryId,
        /// By which version; by all that are on, if `None`: the first answer counts.
        version: Option<Version>,
        /// Whom; where, is its UDP endpoint.
        node: Node,
    },
    /// Find out where a node is now, by asking it, and by a lookup if that fails:
    /// [`Output::Resolved`].
    Resolve {
        /// Names the output.
        id: QueryId,
        /// By which version; by all that are on, if `None`: the first answer counts.
        version: Option<Version>,
        /// Whom. Its key suffices.
        node: Node,
    },
    /// Say whether TALKREQs of a protocol go to a handler, as [`Output::TalkRequest`]s. At most 64
    /// protocols have one; others are answered with nothing.
    SetTalkProtocol {
        /// The protocol, as requests name it.
        protocol: Vec<u8>,
        /// Whether there is a handler.
        has_handler: bool,
    },
    /// Show the node tables of all versions: [`Output::Table`].
    Table {
        /// Names the output.
        id: QueryId,
    },
    /// Ask a node in another protocol, by TALKREQ of discovery v5: [`Output::TalkResponse`]. What
    /// is longer than [`MAX_TALK_REQUEST`](crate::v5::MAX_TALK_REQUEST) is not sent, and not
    /// answered.
    Talk {
        /// Names the output.
        id: QueryId,
        /// Whom; where, is its UDP endpoint.
        node: Node,
        /// The protocol.
        protocol: Vec<u8>,
        /// What is asked.
        request: Vec<u8>,
    },
}

impl Command {
    /// The one version that is meant; `None` where it does not matter.
    pub(super) const fn version(&self) -> Option<Version> {
        match self {
            Self::Lookup { version, .. }
            | Self::Ping { version, .. }
            | Self::RequestRecord { version, .. }
            | Self::Resolve { version, .. } => *version,
            Self::AddNode(_)
            | Self::SetTalkProtocol { .. }
            | Self::Table { .. }
            | Self::Talk { .. } => None,
        }
    }
}

impl From<Command> for Input<'_> {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

/// What the machine asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// A node that a random walk found: a candidate to be connected to.
    Candidate {
        /// The node. It has a TCP endpoint.
        node: Node,
        /// The version that found it.
        source: Source,
    },
    /// Our record changed: this is the new one, signed.
    LocalRecord(Record),
    /// A lookup ended.
    LookupDone {
        /// Of which [`Command::Lookup`].
        id: QueryId,
        /// What it found.
        result: LookupResult,
    },
    /// A node that a lookup asked has answered or failed to.
    LookupStep {
        /// Of which [`Command::Lookup`].
        id: QueryId,
        /// Who, and with what.
        step: LookupStep,
    },
    /// A node came into the table of a version.
    NodeAdded {
        /// The node.
        node: Node,
        /// The version.
        version: Version,
    },
    /// A node left the table of a version.
    NodeDropped {
        /// The node.
        id: NodeId,
        /// The version.
        version: Version,
    },
    /// A pinged node did not answer in time, or has no UDP endpoint that we can send to.
    PingFailed {
        /// Of which [`Command::Ping`].
        id: QueryId,
    },
    /// A pinged node answered.
    Pong {
        /// Of which [`Command::Ping`].
        id: QueryId,
        /// Its answer.
        pong: PongInfo,
    },
    /// The answer to [`Command::RequestRecord`].
    Record {
        /// Of which request.
        id: QueryId,
        /// The record, verified to be that node's; `None` if the node did not answer with one.
        record: Option<Record>,
    },
    /// Resolve a name: [`Input::NameResolved`].
    ResolveName {
        /// Names the answer.
        id: NameId,
        /// The name, as the user wrote it.
        host: String,
    },
    /// The answer to [`Command::Resolve`].
    Resolved {
        /// Of which request.
        id: QueryId,
        /// The node as it is now, or as others tell of it; `None` if nobody knows it.
        node: Option<Node>,
    },
    /// A datagram is to be sent.
    Send {
        /// Where to.
        to: SocketAddr,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// Something is to be kept for the next run.
    Store(StoreOp),
    /// The answer to [`Command::Table`].
    Table {
        /// Of which request.
        id: QueryId,
        /// The nodes, the closest to us first, those of v4 before those of v5.
        entries: Vec<TableEntry>,
    },
    /// A node asks in a protocol that has a handler: [`Input::TalkResponse`], within a second.
    TalkRequest {
        /// Names the answer.
        id: TalkId,
        /// Who asks: it has proved that.
        from: NodeId,
        /// From where: it has proved that too.
        addr: SocketAddr,
        /// The protocol.
        protocol: Vec<u8>,
        /// What is asked.
        request: Vec<u8>,
    },
    /// The answer to [`Command::Talk`].
    TalkResponse {
        /// Of which request.
        id: QueryId,
        /// The answer, empty if the node does not speak the protocol; `None` if it did not answer.
        response: Option<Vec<u8>>,
    },
    /// Look for nodes of an earlier run: [`Input::Seeds`], also if there are none.
    WantSeeds,
    /// Something that the user should hear of.
    Warning(Warning),
}

/// What the user should hear of, and can do something about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Warning {
    /// The name of a boot node has no address. It is asked for again.
    #[error("cannot resolve the name of the boot node {0}; trying again")]
    BootNodeName(Node),
    /// A boot node cannot be asked.
    #[error("the boot node {0} has no UDP endpoint, so it cannot be asked")]
    BootNodeWithoutEndpoint(Node),
}

impl Output {
    /// The bytes held besides the output itself.
    pub(crate) fn memory(&self) -> usize {
        match self {
            Self::Candidate { .. }
            | Self::LocalRecord(_)
            | Self::LookupStep { .. }
            | Self::NodeAdded { .. }
            | Self::Record { .. }
            | Self::ResolveName { .. }
            | Self::Resolved { .. }
            | Self::Store(_)
            | Self::Warning(_) => Node::MAX_HEAP,
            Self::LookupDone { result, .. } => {
                vec_memory(&result.closest) + result.closest.len() * Node::MAX_HEAP
            }
            Self::NodeDropped { .. }
            | Self::PingFailed { .. }
            | Self::Pong { .. }
            | Self::WantSeeds => 0,
            Self::Send { bytes, .. } => vec_memory(bytes),
            Self::Table { entries, .. } => vec_memory(entries) + entries.len() * Node::MAX_HEAP,
            Self::TalkRequest { protocol, request, .. } => {
                vec_memory(protocol) + vec_memory(request)
            }
            Self::TalkResponse { response, .. } => response.as_ref().map_or(0, vec_memory),
        }
    }
}
