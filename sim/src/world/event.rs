//! What can happen in a world, and what a host is told of it.

use std::{
    any::Any,
    fmt,
    net::{IpAddr, SocketAddr},
};

use super::{host::HostId, names::ResolveError, net::Socket};

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
    Mail { host: HostId, epoch: u32, mail: Box<dyn Mail> },
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
#[non_exhaustive]
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
    /// A dialed stream could not be had.
    ConnectFailed {
        /// The stream, which is gone.
        socket: Socket,
        /// Why.
        why: ConnectError,
    },
    /// A datagram came in.
    Datagram {
        /// Where it comes from, as it looks here.
        from: SocketAddr,
        /// All of it.
        bytes: Vec<u8>,
    },
    /// A name was resolved, or has no address.
    Resolved {
        /// The number that the program gave to the question.
        question: u64,
        /// Every address of the name, both families.
        answer: Result<Vec<IpAddr>, ResolveError>,
    },
    /// There is something to read, or room to write.
    Stream(Socket),
    /// A time that the program asked for has come; with the number that it gave.
    Wake(u64),
}

/// Why a stream could not be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The far end refused, or nothing listens there.
    #[error("connection refused")]
    Refused,
    /// The program has too many open.
    #[error("too many open files")]
    TooManyOpen,
    /// The host has no way to there.
    #[error("network is unreachable")]
    Unreachable,
}

/// What one task of a program tells another one, on the same host. The world carries it and knows
/// nothing of it; the program gets back what it was:
///
/// ```
/// # use std::any::Any;
/// # use peerage_sim::Mail;
/// let mail: Box<dyn Mail> = Box::new("the door is open");
/// let mail: Box<dyn Any> = mail;
/// assert_eq!(*mail.downcast::<&str>().unwrap(), "the door is open");
/// ```
pub trait Mail: Any + fmt::Debug {}

impl<T: Any + fmt::Debug> Mail for T {}
