//! What can happen in a world, and what a host is told of it.

use std::net::SocketAddr;

use peerage_peering::envelope::DialError;

use crate::{HostId, net::Socket, node::Mail};

/// Something that is planned to happen.
#[derive(Debug)]
pub(crate) enum Event {
    /// Pieces on the way to this end may have arrived.
    Arrive { socket: Socket },
    /// A datagram reaches the network of its destination.
    Datagram { sender: HostId, from: SocketAddr, to: SocketAddr, bytes: Vec<u8> },
    /// A dialed stream is answered, or refused.
    Answer { socket: Socket, is_refused: bool },
    /// An accepted stream is complete, and waits in the backlog.
    Backlog { socket: Socket },
    /// Something for one host, unless it has started anew since.
    Host { host: HostId, epoch: u32, event: HostEvent },
    /// One task of a host tells another one something, unless the host has started anew since.
    Mail { host: HostId, epoch: u32, mail: Mail },
    /// A stream breaks at this end.
    Reset { socket: Socket },
    /// A host that stood still goes on.
    Resume { host: HostId, epoch: u32 },
    /// A dialed stream asks to be let in, for the nth time.
    Syn { socket: Socket, from: SocketAddr, to: SocketAddr, tries: u32 },
    /// The alarm of a task may be due.
    Wake { host: HostId, task: u64 },
    /// The other end has read: there may be room again.
    Window { socket: Socket },
}

/// What a host's program is told.
#[derive(Debug)]
pub enum HostEvent {
    /// A stream waits to be accepted.
    Acceptable,
    /// A dialed stream is there.
    Connected {
        /// The stream.
        socket: Socket,
        /// Where it leads to.
        remote: SocketAddr,
    },
    /// A dialed stream is refused.
    ConnectFailed {
        /// The stream, which is gone.
        socket: Socket,
        /// Why.
        why: DialError,
    },
    /// A datagram came in.
    Datagram {
        /// Where it comes from, as it looks here.
        from: SocketAddr,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// There is something to read, or room to write.
    Stream(Socket),
    /// A time that the program asked for has come; with the number that it gave. To a node, that is
    /// one of its tasks.
    Wake(u64),
}
