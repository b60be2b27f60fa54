//! Streams of bytes between two hosts: ordered and complete like TCP, and as unkind.
//!
//! ```text
//!   Dialing --SYN, answer--> both ends live --close--> FIN behind the data --> read to its end
//!      |  refused, no answer        |
//!      v                            +--reset, or a host that vanished (half open)--> dead ends
//!     gone
//! ```
//!
//! Not here: when bytes arrive (`Net` plans that), and what hosts do with them.

use std::{collections::VecDeque, net::SocketAddr};

use peerage_machine::Instant;

use crate::world::HostId;

/// How many bytes may be on their way to an end or wait there to be read, together.
pub(crate) const WINDOW: usize = 256 << 10;

/// One end of a stream, as its host names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Socket(pub(crate) u64);

impl Socket {
    pub(crate) const fn dialer(stream: u64) -> Self {
        Self(stream * 2)
    }

    pub(crate) const fn other(self) -> Self {
        Self(self.0 ^ 1)
    }
}

/// What one end holds.
#[derive(Debug)]
pub(crate) struct End {
    pub(crate) host: HostId,
    /// Where the other end is, as this one sees it.
    pub(crate) remote: SocketAddr,
    /// Whether a program still holds it, or its system does for it in the backlog.
    pub(crate) is_held: bool,
    /// Whether it is one of the streams that its program has open.
    pub(crate) is_open: bool,
    /// Arrived and not read.
    pub(crate) unread: VecDeque<u8>,
    /// On the way to this end, in order, with the time of arrival.
    pub(crate) flight: VecDeque<(Instant, Piece)>,
    pub(crate) in_flight: usize,
    /// The other end's program has no more to say, and that has arrived.
    pub(crate) is_eof: bool,
    /// The stream broke.
    pub(crate) is_reset: bool,
    /// This end has said that it has no more to say.
    pub(crate) is_shut: bool,
    /// This end wanted to write more than there was room for.
    pub(crate) is_blocked: bool,
}

/// Something on its way.
#[derive(Debug)]
pub(crate) enum Piece {
    Bytes(Vec<u8>),
    Fin,
}

impl End {
    pub(crate) const fn new(host: HostId, remote: SocketAddr) -> Self {
        Self {
            host,
            remote,
            is_held: true,
            is_open: false,
            unread: VecDeque::new(),
            flight: VecDeque::new(),
            in_flight: 0,
            is_eof: false,
            is_reset: false,
            is_shut: false,
            is_blocked: false,
        }
    }

    /// How many bytes the other end may send.
    pub(crate) fn room(&self) -> usize {
        WINDOW.saturating_sub(self.unread.len() + self.in_flight)
    }

    /// Whether reading would tell something new.
    pub(crate) fn is_readable(&self) -> bool {
        self.is_held && (!self.unread.is_empty() || self.is_eof || self.is_reset)
    }
}

/// What reading a stream gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Read {
    /// Some bytes, at least one.
    Bytes(Vec<u8>),
    /// Nothing more will come: the other end is done, or the stream broke.
    End,
    /// Nothing yet.
    Nothing,
}
