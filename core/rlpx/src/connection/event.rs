//! What a connection tells.

use peerage_node::PublicKey;

use crate::{Fault, Hello, Step};

/// What happened on a connection.
#[derive(Debug)]
pub enum Event {
    /// It is over: what there was to say has been written, or will never be. The last event, and
    /// every connection has it once.
    Closed {
        /// Why.
        fault: Fault,
    },
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
    /// A message of a capability.
    Message {
        /// Index in [`shared`](super::Connection::shared).
        shared: usize,
        /// The message's id within its capability.
        code: u64,
    },
    /// The peer's Hello is here and fits, and its MAC proves the peer's key. The connection stands
    /// still until the second verdict.
    Ready {
        /// What the peer says of itself.
        hello: Hello,
    },
    /// A step of the encryption handshake is to be run: its result is for
    /// [`handle_step`](super::Connection::handle_step). The connection stands still until then.
    /// Its deadlines do not.
    Step(Step),
}
