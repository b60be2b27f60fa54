//! What can go wrong on a host itself, before anything is on its way.

/// What a host's own system lacks. By default it lacks nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Faults {
    /// How many streams a program may have open, accepted and dialed; `None` is no bound. Beyond
    /// it, accepting and dialing fail (EMFILE), and what was not accepted stays in the backlog.
    pub descriptors: Option<usize>,
    /// How many datagrams the system does not take for want of memory (ENOBUFS), in parts per
    /// million.
    pub no_buffers: u32,
    /// Whether there is no way out (ENETUNREACH): the system takes no datagram and opens no stream.
    pub is_unreachable: bool,
}

impl Faults {
    /// A host that lacks nothing.
    pub const NONE: Self = Self { descriptors: None, no_buffers: 0, is_unreachable: false };
}

/// Why a system does not send a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// It has no memory for it.
    #[error("no buffer space available")]
    NoBuffers,
    /// It has no way to there.
    #[error("network is unreachable")]
    Unreachable,
}

/// Why a system gives no stream out of the backlog.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AcceptError {
    /// None waits.
    #[error("no connection waits")]
    Nothing,
    /// The program has too many open.
    #[error("too many open files")]
    TooManyOpen,
}
