//! The last states of a connection.

use peerage_node::PublicKey;

use crate::{Fault, Goodbye, LocalFault};

/// What is left of a connection.
#[derive(Clone, Debug)]
pub(super) struct End {
    pub(super) fault: Fault,
    /// Boxed, as a connection that has not ended should not have to have room for it.
    pub(super) remote: Option<Box<PublicKey>>,
    /// Whether there was a goodbye.
    pub(super) was_said: bool,
}

impl End {
    /// The end of a connection that we know nothing of.
    pub(super) const UNKNOWN: Self =
        Self { fault: Fault::Local(LocalFault::Lost), remote: None, was_said: false };
}

/// A connection that is over, but for what there is to say.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) end: End,
    pub(super) goodbye: Goodbye,
    /// Whether the peer may still be heard.
    pub(super) hears: bool,
}
