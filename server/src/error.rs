//! What can go wrong for the program that embeds a server.

use std::{io, net::SocketAddr, path::PathBuf};

use peerage_node::LocalRecordError;
use peerage_rlpx::{Capability, Fault};

use crate::{protocol::MAX_PROTOCOL_LENGTH, store::StoreError};

/// Why a server did not start. Nothing of it is left running.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// A protocol's attribute cannot be part of our node record.
    #[error(transparent)]
    Attribute(#[from] LocalRecordError),
    /// The data directory cannot be used.
    #[error("cannot use {} as data directory: {source}; name one that can be written to", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another server uses the data directory.
    #[error(
        "the data directory {} is in use by another server: stop it, or name another directory",
        path.display()
    )]
    DataDirLocked {
        /// The directory.
        path: PathBuf,
    },
    /// Two protocols have one name and version.
    #[error("the protocol {0} is there twice: give one of them another name or version")]
    DuplicateProtocol(Capability),
    /// Our Hello would be larger than any peer accepts.
    #[error(
        "our Hello would have about {size} bytes, but peers accept {limit}: shorten the client name or \
         offer fewer protocols"
    )]
    HelloTooLarge {
        /// About how large it would be.
        size: usize,
        /// How large it may be.
        limit: usize,
    },
    /// The listen address cannot be bound.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address for discovery cannot be bound.
    #[error("cannot take datagrams on {address}: {source}")]
    ListenUdp {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// A server that is to serve discovery only speaks no version of it.
    #[error("a server of discovery only needs a version of discovery: v4, v5 or both")]
    NoVersion,
    /// Something listens on the port already.
    #[error(
        "port {} of {} is in use: stop the program that listens there, or listen on another port",
        address.port(),
        address.ip()
    )]
    PortInUse {
        /// The address.
        address: SocketAddr,
    },
    /// A protocol has no messages, or more than [`MAX_PROTOCOL_LENGTH`].
    #[error("the protocol {0} needs a length of 1 to {MAX_PROTOCOL_LENGTH} messages")]
    ProtocolLength(Capability),
    /// A protocol's name is not one.
    #[error("{name:?} is no protocol name: use 1 to 8 ASCII letters, digits or punctuation marks")]
    ProtocolName {
        /// The name.
        name: String,
    },
    /// The operating system gives no randomness, without which there are no keys.
    #[error("the operating system gives no random bytes: {0}")]
    Randomness(getrandom::Error),
    /// The node database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The UDP port for discovery is taken.
    #[error(
        "UDP port {} of {} is in use: stop the program that has it, or listen on another port",
        address.port(),
        address.ip()
    )]
    UdpPortInUse {
        /// The address.
        address: SocketAddr,
    },
}

/// Why a stream did not become a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The connection ended before the second checkpoint was passed.
    #[error("{0}")]
    Failed(Fault),
    /// The server has stopped.
    #[error("the server has stopped")]
    Stopped,
}
