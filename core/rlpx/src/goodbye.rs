//! What is still to be written once a connection has ended: the reason last.

use peerage_machine::{Instant, Now};

use crate::{DisconnectReason, Egress, Timeouts, code, disconnect, outgoing::Outbox};

/// What is still to be written once a connection has ended at our end: what was sent before, then
/// the Disconnect.
///
/// It has a time of its own. Once that is over, or everything is written, there is nothing left to
/// be done but to close the transport.
#[derive(Debug)]
pub struct Goodbye {
    out: Outbox,
    deadline: Instant,
}

impl Goodbye {
    pub(crate) fn new(
        now: Now,
        reason: DisconnectReason,
        mut egress: Egress,
        mut out: Outbox,
        timeouts: &Timeouts,
    ) -> Self {
        egress
            .seal(code::DISCONNECT, &disconnect::encode(reason), out.back(now.mono))
            .expect("because a frame has room for three bytes");
        Self { out, deadline: now.mono + timeouts.close }
    }

    /// The bytes that wait for the transport, to be written in order.
    pub fn waiting(&self) -> &[u8] {
        self.out.waiting()
    }

    /// Notes that the transport took the first `n` bytes of [`waiting`](Self::waiting).
    ///
    /// # Panics
    ///
    /// If there were fewer.
    pub fn written(&mut self, now: Now, n: usize) {
        self.out.written(now.mono, n);
    }

    /// Whether it is over: everything is written, or it took too long.
    pub fn is_over(&self, now: Now) -> bool {
        self.out.is_empty() || self.deadline <= now.mono
    }

    /// When it is over at the latest.
    pub const fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The bytes held besides the value itself.
    pub(crate) const fn memory(&self) -> usize {
        self.out.memory()
    }
}
