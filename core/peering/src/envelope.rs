//! The messages between `peering` and everything else: drivers only carry them.
//!
//! This is the modern form of go-ethereum's channels into its `run` loop and dial scheduler; each
//! variant names the one it stands for.

use std::net::{IpAddr, SocketAddr};

use peerage_machine::Instant;
use peerage_node::{Forbidden, List, Node, NodeId, Policy, PublicKey};
use peerage_rlpx::{DisconnectReason, Fault, Role};

use crate::{Peer, Slot, Source};

/// A connection, from accept or dial to its end. Chosen by the driver, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnId(pub u64);

/// One attempt to dial. Chosen by peering, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DialId(pub u64);

/// One question where a node is. Chosen by peering, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocateId(pub u64);

/// One name resolution. Chosen by peering, never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResolveId(pub u64);

/// What peering is told.
#[derive(Clone, Debug)]
pub enum Input {
    /// The listener accepted a connection (`listenLoop`, `checkInboundConn`).
    /// Answered by [`Output::Begin`] or [`Output::Refuse`].
    Accepted {
        /// The new connection.
        conn: ConnId,
        /// Where it comes from.
        remote: SocketAddr,
    },
    /// Makes a node static (`addstatic`), or gives a static node its new endpoint.
    AddStatic {
        /// The node; without an endpoint it is located before each dial.
        node: Node,
    },
    /// Trusts a node (`addtrusted`), connected or not.
    AddTrusted {
        /// The node; its key is enough.
        node: Node,
    },
    /// A source found a node that could be dialed (`nodesIn`). Answered by [`Output::Dial`] or
    /// [`Output::CandidateSkipped`], and by [`Output::WantCandidates`].
    Candidate {
        /// The node.
        node: Node,
        /// Who found it.
        source: Source,
    },
    /// A connection ended (`delpeer`, or the end of a failed `SetupConn`), whoever ended it: comes
    /// once for each connection that was not refused, also after [`Output::Reject`] and
    /// [`Output::Disconnect`].
    Closed {
        /// The connection.
        conn: ConnId,
        /// Why.
        fault: Fault,
    },
    /// A dial reached nobody (`doneCh` with an error). Nothing more is heard of it.
    DialFailed {
        /// The attempt.
        dial: DialId,
        /// Why.
        why: DialError,
    },
    /// A dial connected, and is now a connection. Answered by [`Output::Begin`]; ignored where
    /// there is no such dial.
    DialSucceeded {
        /// The attempt.
        dial: DialId,
        /// The connection that it has become.
        conn: ConnId,
        /// The address that answered.
        remote: SocketAddr,
    },
    /// Ends the connection to a node, if there is one.
    Disconnect {
        /// The node.
        id: NodeId,
        /// The reason to give.
        reason: DisconnectReason,
    },
    /// The other end claims to be a node, in an encryption handshake that has ended
    /// (`checkpointPostHandshake`).
    /// Answered by [`Output::Greet`] or [`Output::Reject`], unless an [`Output::Disconnect`] for
    /// the connection is already on its way.
    ///
    /// # Security
    ///
    /// Whoever knows a node's public key can claim to be that node: only [`Ready`](Self::Ready)
    /// proves it, by the MAC of the first frame. Nothing that concerns other connections to the
    /// node may follow from this message but by the address of this one: see [`tie`](crate::tie).
    Identified {
        /// The connection.
        conn: ConnId,
        /// Who the other end claims to be.
        key: PublicKey,
    },
    /// Both Hellos are there, and the MAC of the other end's proves who it claimed to be
    /// (`checkpointAddPeer`). Answered by [`Output::PeerAdded`] or [`Output::Reject`], unless an
    /// [`Output::Disconnect`] for the connection is already on its way.
    Ready {
        /// The connection.
        conn: ConnId,
        /// How many capabilities both ends share.
        shared: usize,
    },
    /// A node was looked for.
    Located {
        /// The question.
        locate: LocateId,
        /// The node with its endpoints; `None` if nobody knows where it is, or nobody could be
        /// asked.
        node: Option<Node>,
    },
    /// Makes a node an ordinary one again (`removestatic`) and ends the connection to it.
    RemoveStatic {
        /// The node.
        id: NodeId,
    },
    /// Trusts a node no longer (`removetrusted`). A connection to it goes on.
    RemoveTrusted {
        /// The node.
        id: NodeId,
    },
    /// A name was resolved, or was not: then `addresses` is empty.
    Resolved {
        /// The question.
        resolve: ResolveId,
        /// Every address of the name, both families.
        addresses: Vec<IpAddr>,
    },
    /// Who may be talked to from now on. Connections and dials that it forbids end, and static
    /// nodes that it allows again are due at once. [`Output::PolicyChanged`] follows.
    SetPolicy {
        /// The policy in place of the one before.
        policy: Policy,
    },
    /// Ends everything (`quit`). [`Output::Stopped`] follows once every connection has closed.
    Stop,
    /// The embedding program brought a connection of its own, such as a pipe or a proxied stream
    /// (`SetupConn`). Exempt from throttles, net restriction and the bound on handshakes, not from
    /// the checkpoints. Answered by [`Output::Begin`], or by [`Output::Refuse`] where the server
    /// stops.
    Stream {
        /// The connection.
        conn: ConnId,
        /// Which end of it we are.
        role: Role,
    },
}

/// What peering wants done, or known.
#[derive(Clone, Debug)]
pub enum Output {
    /// Accept connections from now on, or let them wait in the backlog (the accept tokens).
    Accepting(bool),
    /// Begin the encryption handshake on a connection (`SetupConn`).
    Begin {
        /// The connection.
        conn: ConnId,
        /// Which end of it we are, and if the initiator, who should be at the other end.
        role: Role,
    },
    /// Nobody waits for this dial any longer, as it is too late, or for another reason. It is still
    /// answered: by [`Input::DialFailed`] with
    /// [`DialError::Cancelled`], or by [`Input::DialSucceeded`] where the cancellation came too
    /// late.
    CancelDial {
        /// The attempt.
        dial: DialId,
    },
    /// A candidate is not dialed.
    CandidateSkipped {
        /// The node.
        id: NodeId,
        /// Who found it.
        source: Source,
        /// Why.
        why: Skip,
    },
    /// Dial a node (`startDial`): race `addresses`, the preferred first.
    Dial {
        /// The attempt; answered by [`Input::DialSucceeded`] or [`Input::DialFailed`].
        dial: DialId,
        /// Who should be there.
        key: PublicKey,
        /// Where; never empty, and the policy allows each.
        addresses: Vec<SocketAddr>,
    },
    /// For people: a dial, or the handshake on it, came to nothing. Not for dials that were
    /// cancelled, unless by a deadline or a new policy, nor where the node became a peer by another
    /// connection, or is about to by one from where it was dialed.
    DialFailed {
        /// The node.
        id: NodeId,
        /// Why.
        why: DialFailure,
        /// When it is tried again at the soonest; `None` for nodes that are not static.
        retry_at: Option<Instant>,
    },
    /// End a connection with a reason.
    Disconnect {
        /// The connection.
        conn: ConnId,
        /// The reason.
        reason: DisconnectReason,
    },
    /// The user took a node off a list: it is not to be on it in the next run.
    Forget {
        /// Which.
        list: List,
        /// The node.
        id: NodeId,
    },
    /// The connection passes the first checkpoint: say Hello.
    Greet {
        /// The connection.
        conn: ConnId,
    },
    /// The user put a node on a list, or changed what is known of it: it is to be on it in the next
    /// run.
    Keep {
        /// Which.
        list: List,
        /// The node.
        node: Box<Node>,
    },
    /// Find out where a static node is of which only the key is known. Answered by
    /// [`Input::Located`], at once where there is nobody to ask.
    Locate {
        /// The question.
        locate: LocateId,
        /// The node.
        key: PublicKey,
    },
    /// The connection passes the second checkpoint, and its node is a peer: start its protocols.
    PeerAdded {
        /// The node.
        id: NodeId,
        /// Its key, its connection, who began that, and the slot it holds.
        peer: Peer,
        /// Where the other end is, if it came over the network.
        remote: Option<SocketAddr>,
    },
    /// A peer was dropped: its protocols have to end.
    PeerDropped {
        /// The connection.
        conn: ConnId,
        /// The node.
        id: NodeId,
        /// Why.
        fault: Fault,
    },
    /// Another policy holds from now on: everything else that asks one, such as discovery, is to
    /// be given it. Comes after the connections and dials that it ends.
    PolicyChanged {
        /// The new one.
        policy: Policy,
    },
    /// Close an accepted connection, or a stream, without a byte. Nothing more is heard of it.
    Refuse {
        /// The connection.
        conn: ConnId,
        /// Where it comes from, if over the network.
        remote: Option<SocketAddr>,
        /// Why.
        why: Refusal,
    },
    /// The connection fails the checkpoint that it stands at: end it with a reason.
    Reject {
        /// The connection.
        conn: ConnId,
        /// The reason to give.
        reason: DisconnectReason,
    },
    /// Resolve a name. Answered by [`Input::Resolved`].
    Resolve {
        /// The question.
        resolve: ResolveId,
        /// The name, as the user wrote it.
        host: String,
    },
    /// The slot of a connected peer changed, as its node became static or trusted, or no longer is.
    SlotChanged {
        /// The connection.
        conn: ConnId,
        /// The node.
        id: NodeId,
        /// The slot it holds now.
        slot: Slot,
    },
    /// Every connection has closed and every dial has ended after [`Input::Stop`].
    Stopped,
    /// Up to `count` candidates would be dialed at once. Zero: keep them, and pause the search.
    /// Each message replaces the one before, and one follows every [`Input::Candidate`], also one
    /// that is not dialed. Who brings one candidate and waits loses none; those beyond `count` are
    /// skipped.
    ///
    /// Which sources are asked is the business of whoever mixes them.
    WantCandidates {
        /// How many.
        count: usize,
    },
}

/// Why a dial reached nobody, as the driver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialError {
    /// It was cancelled.
    #[error("the dial was cancelled")]
    Cancelled,
    /// The far end refused, or nothing listens there.
    #[error("connection refused")]
    Refused,
    /// No answer within the deadline.
    #[error("no answer in time")]
    TimedOut,
    /// No route, or another failure of the network.
    #[error("the network cannot reach it")]
    Unreachable,
}

/// Why a node that should have been dialed is not a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DialFailure {
    /// Nobody was reached.
    #[error("dial failed: {0}")]
    Dial(DialError),
    /// The policy forbids it, or every address of it; or it changed during the dial, and forbids
    /// one of the addresses that were being dialed.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// Somebody was reached, and the connection ended before the second checkpoint had been passed.
    #[error("handshake failed: {0}")]
    Handshake(Fault),
    /// Its name resolves to nothing; or it has none, and nobody knows where it is.
    #[error("no address of it could be found")]
    NoAddress,
}

/// Why an accepted connection was closed without a byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// The policy forbids its address.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// Too many handshakes are under way from its subnet.
    #[error("too many handshakes from its subnet are under way")]
    HandshakesFromSubnet,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
    /// Its address came too often.
    #[error("its address came again too soon")]
    Throttled,
    /// Too many handshakes are under way in all.
    #[error("too many handshakes are under way")]
    TooManyHandshakes,
}

/// Why a candidate is not dialed. In the order in which it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Skip {
    /// Nobody is dialed: dialing is off, or the server is stopping.
    #[error("nobody is dialed")]
    NotDialing,
    /// It is ourselves.
    #[error("it is this node itself")]
    OwnNode,
    /// A dial of it is under way, or it is being looked for.
    #[error("it is being dialed")]
    Dialing,
    /// It is a peer.
    #[error("it is a peer already")]
    Connected,
    /// A handshake with it is under way that we began, or that comes from where we would dial:
    /// others only claim to be the node.
    #[error("a handshake with it is under way")]
    HandshakeUnderWay,
    /// The policy forbids it, or every address of it.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// It was dialed a short time ago.
    #[error("it was dialed a short time ago")]
    Recent,
    /// It is a static node, which has a schedule of its own.
    #[error("it is a static node, and dialed as such")]
    Static,
    /// More came than were wanted.
    #[error("no more dials are wanted now")]
    NoSlot,
    /// It has no TCP address. A name is none: those are for what a user wrote.
    #[error("it has no TCP address")]
    NoEndpoint,
}
