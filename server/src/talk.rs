//! TALKREQ: requests and responses of other protocols, carried by discovery v5.

use std::{net::SocketAddr, sync::Arc};

use peerage_node::NodeId;

use crate::protocol::BoxFuture;

pub use peerage_discovery::v5::{MAX_TALK_REQUEST, MAX_TALK_RESPONSE};

/// A request that a node made by TALKREQ.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TalkRequest {
    /// Who asks. It has proved that.
    pub from: NodeId,
    /// From where. It has proved that too.
    pub addr: SocketAddr,
    /// The protocol.
    pub protocol: Vec<u8>,
    /// What is asked.
    pub request: Vec<u8>,
}

impl TalkRequest {
    pub(crate) const fn new(
        from: NodeId,
        addr: SocketAddr,
        protocol: Vec<u8>,
        request: Vec<u8>,
    ) -> Self {
        Self { from, addr, protocol, request }
    }
}

/// What answers the requests of a protocol.
pub(crate) type TalkHandler = Arc<dyn Fn(TalkRequest) -> BoxFuture<'static, Vec<u8>> + Send + Sync>;

/// The handler that `answer` is.
pub(crate) fn handler<F, A>(answer: F) -> TalkHandler
where
    F: Fn(TalkRequest) -> A + Send + Sync + 'static,
    A: Future<Output = Vec<u8>> + Send + 'static,
{
    Arc::new(move |request| Box::pin(answer(request)))
}
