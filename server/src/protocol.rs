//! Protocols: async functions of a peer and a message channel.
//!
//! Not here: how the two ends agree on what to speak (`peerage-rlpx`).

use std::{error::Error, fmt, pin::Pin, sync::Arc};

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
