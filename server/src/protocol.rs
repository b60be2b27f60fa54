//! Protocols: async functions of a peer and a message channel.
//!
//! Not here: how the two ends agree on what to speak (`peerage-rlpx`).

use std::{
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use peerage_node::NodeId;
use peerage_rlpx::{Capability, DisconnectReason};
use serde_json::Value;

use crate::{
    channel::{Channel, SendError},
    peer::Peer,
};

/// A boxed future, as [`Protocol`] functions and [`Dialer`](crate::Dialer)s make them.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How many message ids a protocol may take. Far above any real protocol (`eth` has 18), and low
/// enough that the ids of all protocols together never come near the end of their range.
pub const MAX_PROTOCOL_LENGTH: u64 = 1 << 16;

type Run = dyn Fn(Peer, Channel) -> BoxFuture<'static, Result<(), ProtocolError>> + Send + Sync;
type NodeInfoFn = dyn Fn() -> Value + Send + Sync;
type PeerInfoFn = dyn Fn(&NodeId) -> Option<Value> + Send + Sync;

/// A protocol that the server speaks, in one version.
///
/// The function that it is made of runs in a task of its own for each peer that speaks it. When it
/// returns, the connection to that peer ends, for every protocol, with the reason that its result
/// stands for (see [`ProtocolError`]). A panic in it ends only its peer.
#[derive(Clone)]
pub struct Protocol {
    pub(crate) name: String,
    pub(crate) version: u64,
    pub(crate) length: u64,
    pub(crate) attributes: Vec<(String, Vec<u8>)>,
    run: Arc<Run>,
    node_info: Option<Arc<NodeInfoFn>>,
    peer_info: Option<Arc<PeerInfoFn>>,
}

impl Protocol {
    /// A protocol named `name` (1 to 8 printable ASCII characters) with message ids 0 to
    /// `length - 1`.
    ///
    /// Mistakes in the name or length are reported by [`Builder::start`](crate::Builder::start).
    pub fn new<F, R>(name: &str, version: u64, length: u64, run: F) -> Self
    where
        F: Fn(Peer, Channel) -> R + Send + Sync + 'static,
        R: Future<Output = Result<(), ProtocolError>> + Send + 'static,
    {
        Self {
            name: name.into(),
            version,
            length,
            attributes: Vec::new(),
            run: Arc::new(move |peer, channel| Box::pin(run(peer, channel))),
            node_info: None,
            peer_info: None,
        }
    }

    /// Adds an attribute to our node record: `rlp` is exactly one RLP item.
    #[must_use]
    pub fn attribute(mut self, key: &str, rlp: impl Into<Vec<u8>>) -> Self {
        self.attributes.push((key.into(), rlp.into()));
        self
    }

    /// Offers what [`NodeInfo`](crate::NodeInfo) says of this protocol.
    #[must_use]
    pub fn node_info(mut self, info: impl Fn() -> Value + Send + Sync + 'static) -> Self {
        self.node_info = Some(Arc::new(info));
        self
    }

    /// Offers what [`PeerInfo`](crate::PeerInfo) says of a peer of this protocol; `None` while the
    /// protocol's own handshake is not over.
    #[must_use]
    pub fn peer_info(
        mut self,
        info: impl Fn(&NodeId) -> Option<Value> + Send + Sync + 'static,
    ) -> Self {
        self.peer_info = Some(Arc::new(info));
        self
    }

    /// Runs the protocol with a peer until it returns. The server does this; so do tests, with
    /// [`Channel::pipe`] and [`Peer::without_network`].
    pub fn run(
        &self,
        peer: Peer,
        channel: Channel,
    ) -> BoxFuture<'static, Result<(), ProtocolError>> {
        (self.run)(peer, channel)
    }

    /// What the result of [`run`](Self::run) means for the peer, which is told here to people.
    fn judge(&self, peer: &Peer, result: Ended) -> DisconnectReason {
        let id = peer.id();
        match result {
            Ok(Ok(())) => DisconnectReason::ClientQuitting,
            Ok(Err(error)) => {
                if !matches!(error, ProtocolError::Closed) {
                    tracing::debug!(peer = %id, protocol = self.name, %error, "protocol ended");
                }
                error.reason()
            }
            Err(_) => {
                tracing::error!(peer = %id, protocol = self.name, "protocol panicked");
                DisconnectReason::SubprotocolReason
            }
        }
    }

    /// Whether this is what `capability` names.
    pub(crate) fn is(&self, capability: &Capability) -> bool {
        self.version == capability.version && self.name == capability.name.as_str()
    }

    pub(crate) fn node_info_value(&self) -> Value {
        self.node_info.as_ref().map_or_else(|| "unknown".into(), |info| info())
    }

    pub(crate) fn peer_info_value(&self, id: &NodeId) -> Value {
        match &self.peer_info {
            None => "unknown".into(),
            Some(info) => info(id).unwrap_or_else(|| "handshake".into()),
        }
    }
}

/// The task of one protocol with one peer: runs it, and ends the peer when it ends.
///
/// Written by hand, as there is one for every peer and protocol, and an `async` block would keep
/// the channel three times over.
pub(crate) struct Task {
    protocol: Arc<Protocol>,
    peer: Peer,
    state: State,
}

enum State {
    Starting(Option<Channel>),
    Running(BoxFuture<'static, Result<(), ProtocolError>>),
}

/// How a protocol ended: by itself, or by a panic.
type Ended = std::thread::Result<Result<(), ProtocolError>>;

impl Task {
    pub(crate) fn new(protocol: Arc<Protocol>, peer: Peer, channel: Channel) -> Self {
        Self { protocol, peer, state: State::Starting(Some(channel)) }
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let step = || {
            if let State::Starting(channel) = &mut this.state {
                let Some(channel) = channel.take() else { return Poll::Ready(Ok(())) };
                this.state = State::Running(this.protocol.run(this.peer.clone(), channel));
            }
            match &mut this.state {
                State::Running(run) => run.as_mut().poll(cx),
                State::Starting(_) => Poll::Ready(Ok(())),
            }
        };
        // A future that panicked is never polled again.
        let ended = match catch_unwind(AssertUnwindSafe(step)) {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(result)) => Ok(result),
            Err(panic) => Err(panic),
        };
        let reason = self.protocol.judge(&self.peer, ended);
        self.peer.disconnect(reason);
        Poll::Ready(())
    }
}

impl fmt::Debug for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Protocol({}/{}, {} messages)", self.name, self.version, self.length)
    }
}

/// How a protocol ends other than well, and so with which reason its peer is disconnected.
///
/// `Ok(())` stands for [`ClientQuitting`](DisconnectReason::ClientQuitting).
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProtocolError {
    /// The connection has ended, so there is nothing left to do.
    #[error("the connection has ended")]
    Closed,
    /// The peer is to go for exactly this reason.
    #[error("{0}")]
    Disconnect(DisconnectReason),
    /// The peer sent what cannot be decoded or is not allowed:
    /// [`BreachOfProtocol`](DisconnectReason::BreachOfProtocol).
    #[error("invalid message: {0}")]
    InvalidMessage(#[source] Box<dyn Error + Send + Sync>),
    /// Anything else: [`SubprotocolReason`](DisconnectReason::SubprotocolReason).
    #[error("{0}")]
    Other(#[source] Box<dyn Error + Send + Sync>),
}

impl ProtocolError {
    /// An [`InvalidMessage`](Self::InvalidMessage) because of an error or a text.
    pub fn invalid(why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::InvalidMessage(why.into())
    }

    /// An [`Other`](Self::Other) because of an error or a text.
    pub fn other(why: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Other(why.into())
    }

    /// The reason that is sent to the peer.
    pub fn reason(&self) -> DisconnectReason {
        match self {
            Self::Disconnect(reason) => *reason,
            Self::InvalidMessage(_) => DisconnectReason::BreachOfProtocol,
            Self::Closed | Self::Other(_) => DisconnectReason::SubprotocolReason,
        }
    }
}

impl From<SendError> for ProtocolError {
    fn from(error: SendError) -> Self {
        match error {
            SendError::Closed => Self::Closed,
            error => Self::Other(Box::new(error)),
        }
    }
}

impl From<DisconnectReason> for ProtocolError {
    fn from(reason: DisconnectReason) -> Self {
        Self::Disconnect(reason)
    }
}
