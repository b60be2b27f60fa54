//! The handle of a running server.
//!
//! Not here: anything that runs. A handle posts commands to the peering task, and reads the copy of
//! the roster that it keeps.

mod candidates;
mod discovery;

use std::{net::SocketAddr, sync::Arc};

use peerage_node::{NetList, Node, NodeId};
use peerage_peering::envelope::Input;
use peerage_rlpx::DisconnectReason;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::{
    dialer::{BoxedStream, Direction, Transport},
    error::ConnectError,
    events::{Event, Events},
    info::{NodeInfo, PeerInfo, node_infos},
    peer::Peer,
    protocol::Protocol,
    tasks::{clock::Clock, discovery::Reach, notice::Notice, roster::Roster},
};

/// A running server. Cheap to clone: every clone is a handle of the same server.
///
/// The server stops when [`stop`](Self::stop) is called or its last handle is dropped. Commands
/// given to a server that has stopped do nothing.
#[derive(Clone)]
pub struct Server(pub(crate) Arc<Handle>);

/// What all handles share.
pub(crate) struct Handle {
    pub(crate) clock: Clock,
    /// Ourselves, as it stands.
    pub(crate) local: watch::Receiver<Node>,
    /// `None` if discovery is off.
    pub(crate) discovery: Option<Reach>,
    pub(crate) name: String,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) protocols: Arc<[Arc<Protocol>]>,
    pub(crate) roster: Arc<Roster>,
    pub(crate) events: broadcast::WeakSender<Event>,
    pub(crate) tell: mpsc::UnboundedSender<Notice>,
    pub(crate) stopped: watch::Receiver<bool>,
    pub(crate) wanted: watch::Receiver<usize>,
}

impl Server {
    /// Makes a node static: connected to for ever, in a place of its own, even on a full server. A
    /// static node that is named with another endpoint is dialed there from now on. Outlives a
    /// restart with a [data directory](crate::Builder::data_dir).
    pub fn add_static(&self, node: Node) {
        self.tell(Input::AddStatic { node });
    }

    /// Makes a static node an ordinary one again, and disconnects it.
    pub fn remove_static(&self, id: NodeId) {
        self.tell(Input::RemoveStatic { id });
    }

    /// Trusts a node: it may always connect, even to a full server. Does not dial it. Outlives a
    /// restart with a [data directory](crate::Builder::data_dir); its key is enough.
    pub fn add_trusted(&self, node: Node) {
        self.tell(Input::AddTrusted { node });
    }

    /// Trusts a node no longer. A connection to it goes on.
    pub fn remove_trusted(&self, id: NodeId) {
        self.tell(Input::RemoveTrusted { id });
    }

    /// Has nothing to do with addresses outside these networks from now on, in either direction;
    /// `None` lifts the restriction. Peers outside them are disconnected, dials end, and discovery
    /// drops such nodes. A static node that only the restriction kept away is dialed at once.
    pub fn set_net_restrict(&self, networks: Option<NetList>) {
        // Fails if the server has stopped.
        let _ = self.0.tell.send(Notice::Restrict(networks));
    }

    /// Ends the connection to a node, if there is one. The node may come back at once.
    pub fn disconnect(&self, id: NodeId, reason: DisconnectReason) {
        self.tell(Input::Disconnect { id, reason });
    }

    /// Makes a connection of a stream that the embedding program brings: a pipe, a proxy's tunnel.
    ///
    /// Waits until the node at its other end is a peer, and gives its id. Throttles and net
    /// restriction do not hold for it, limits do.
    pub async fn connect_stream(
        &self,
        stream: impl Transport + 'static,
        direction: Direction,
    ) -> Result<NodeId, ConnectError> {
        let stream: BoxedStream = Box::new(stream);
        let (done, answer) = oneshot::channel();
        let notice = Notice::Stream { stream, direction, done };
        self.0.tell.send(notice).map_err(|_| ConnectError::Stopped)?;
        answer.await.map_err(|_| ConnectError::Stopped)?
    }

    /// Subscribes to what happens from now on.
    pub fn subscribe(&self) -> Events {
        match self.0.events.upgrade() {
            Some(events) => Events(events.subscribe()),
            // Stopped: a subscription that is over.
            None => Events(broadcast::channel(1).1),
        }
    }

    /// Stops the server: every peer is told so, and every task ends within
    /// [`Builder::stop_timeout`](crate::Builder::stop_timeout), but for a protocol that blocks its
    /// thread: nobody can end that, so it is waited for. May be called more than once, and from
    /// more than one task.
    pub async fn stop(&self) {
        // Fails if it has stopped already.
        let _ = self.0.tell.send(Notice::Stop);
        // Fails if the runtime has dropped the server's tasks, which stops it too.
        let _ = self.0.stopped.clone().wait_for(|stopped| *stopped).await;
    }

    /// Whether the server has stopped.
    pub fn is_stopped(&self) -> bool {
        *self.0.stopped.borrow() || self.0.tell.is_closed()
    }

    /// Ourselves, as others can be told: our record, with where we listen. Changes where discovery
    /// learns our address ([`Event::LocalNodeChanged`]).
    pub fn local_node(&self) -> Node {
        self.0.local.borrow().clone()
    }

    /// Where we listen, with the port that the system chose if 0 was asked for.
    pub fn listen_addr(&self) -> Option<SocketAddr> {
        self.0.listen
    }

    /// Every peer, in the order of their ids.
    pub fn peers(&self) -> Vec<PeerInfo> {
        let of = |peer: &Peer| {
            PeerInfo::of(peer, |capability| {
                self.0
                    .protocols
                    .iter()
                    .find(|protocol| protocol.is(capability))
                    .map_or(serde_json::Value::Null, |protocol| {
                        protocol.peer_info_value(&peer.id())
                    })
            })
        };
        self.0.roster.peers().iter().map(of).collect()
    }

    /// How many peers there are.
    pub fn peer_count(&self) -> usize {
        self.0.roster.count()
    }

    /// What we are and speak.
    pub fn node_info(&self) -> NodeInfo {
        let node = self.local_node();
        NodeInfo {
            id: node.id(),
            name: self.0.name.clone(),
            enode: node.enode_url(),
            enr: node.record().map(ToString::to_string).unwrap_or_default(),
            listen: self.0.listen,
            discovery: self.discovery_addr(),
            protocols: node_infos(&self.0.protocols),
        }
    }

    fn tell(&self, input: Input) {
        // Fails if the server has stopped; then there is nothing to command.
        let _ = self.0.tell.send(Notice::Command(Box::new(input)));
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("node", &*self.0.local.borrow())
            .field("listen", &self.0.listen)
            .field("peers", &self.peer_count())
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let _ = self.tell.send(Notice::Stop);
    }
}
