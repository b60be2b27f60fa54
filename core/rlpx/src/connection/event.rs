//! What a connection is told, and what it tells.

use peerage_node::PublicKey;

use crate::{DisconnectReason, Fault, Hello};

/// What happened on a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The encryption handshake is done. The connection stands still until the first verdict:
    /// [`admit`](super::Connection::admit) or [`disconnect`](super::Connection::disconnect).
    ///
    /// # Security
    ///
    /// `key` is a claim. Anybody can make an auth that names any key, and an ack in the place of
    /// anybody; only [`Ready`](Self::Ready) proves it. What is decided here must not harm the node
    /// that has the key.
    Identified {
        /// The key that the peer claims.
        key: PublicKey,
    },
    /// The peer's Hello is here and fits, and its MAC proves the peer's key. The connection stands
    /// still until the second verdict.
    Ready {
        /// What the peer says of itself.
        hello: Hello,
    },
    /// A message of a capability.
    Message {
        /// Index in [`shared`](super::Connection::shared).
        shared: usize,
        /// The message's id within its capability.
        code: u64,
    },
    /// It is over: what there was to say has been written, or will never be. The last event, and
    /// every connection has it once.
    Closed {
        /// Why.
        fault: Fault,
    },
}

/// What a connection is told, where it is driven as a [`Machine`](peerage_machine::Machine).
#[derive(Debug)]
pub enum Input<'a> {
    /// The verdict is yes: [`admit`](super::Connection::admit).
    Admit,
    /// Bytes of the peer, at most [`read_budget`](super::Connection::read_budget); decrypted in
    /// place.
    Bytes(&'a mut [u8]),
    /// The verdict is no, or we have had enough: [`disconnect`](super::Connection::disconnect).
    Disconnect(DisconnectReason),
    /// Nothing more will come: [`receive_eof`](super::Connection::receive_eof).
    Eof,
    /// Send a message: [`send`](super::Connection::send). Ignored while the connection is not open,
    /// since its end may have crossed with this.
    Send {
        /// Index in [`shared`](super::Connection::shared).
        shared: usize,
        /// The message's id within its capability.
        code: u64,
        /// The message.
        payload: &'a [u8],
    },
    /// The transport took this many bytes: [`written`](super::Connection::written).
    Written(usize),
}

/// What a connection wants done or known, where it is driven as a
/// [`Machine`](peerage_machine::Machine).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// See [`Event::Closed`].
    Closed {
        /// Why.
        fault: Fault,
    },
    /// See [`Event::Identified`].
    Identified {
        /// The key that the peer claims.
        key: PublicKey,
    },
    /// See [`Event::Message`].
    Message {
        /// Index in [`shared`](super::Connection::shared).
        shared: usize,
        /// The message's id within its capability.
        code: u64,
        /// The message.
        payload: Vec<u8>,
    },
    /// See [`Event::Ready`].
    Ready {
        /// What the peer says of itself.
        hello: Hello,
    },
    /// Write these bytes behind those of earlier `Write`s, and say so with [`Input::Written`].
    Write(Vec<u8>),
}

/// Why a message was not sent. Nothing of it was, and the connection is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is not open: not yet, or not any more.
    #[error("the connection is not open")]
    NotOpen,
    /// No such shared capability, or it has no such message id.
    #[error("message id {code:#x} does not exist in shared capability {shared}")]
    OutOfRange {
        /// The index that was given.
        shared: usize,
        /// The id that was given.
        code: u64,
    },
    /// No frame can carry this much.
    #[error("a payload of {0} bytes is too large for a frame")]
    TooLarge(usize),
}
