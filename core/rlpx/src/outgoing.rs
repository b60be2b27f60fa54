//! The sending half of an open connection: messages into frames, and frames on their way to the
//! transport.
//!
//! Not here: what comes of the peer (`incoming`), and how much may wait.

mod outbox;
mod pings;

use std::{sync::Arc, time::Duration};

use peerage_machine::{Instant, Now};

use crate::{
    Compressed, Config, DisconnectReason, Egress, Fault, Goodbye, PayloadTooLarge, PeerMisbehaved,
    Shared, Unsealed, Waiting, code,
};
pub(crate) use outbox::Outbox;
use pings::Pings;

/// The sending half of an open connection.
///
/// It shares nothing with the other half and never waits for it. A broadcaster may hold many of
/// them: a payload is [compressed](crate::Compressor::compress) once,
/// [encrypted](Self::encrypt) for each, and [sealed](crate::seal_all) for all together.
#[derive(Debug)]
pub struct Outgoing {
    egress: Egress,
    out: Outbox,
    shared: Arc<[Shared]>,
    config: Arc<Config>,
    pings: Pings,
}

/// Why a message was not sent. Nothing of it was, and the connection is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// The connection is not open: not yet, or not any more. Only a whole
    /// [`Connection`](crate::Connection) says so.
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

impl From<PayloadTooLarge> for SendError {
    fn from(PayloadTooLarge(size): PayloadTooLarge) -> Self {
        Self::TooLarge(size)
    }
}

impl Outgoing {
    pub(crate) fn new(
        now: Instant,
        config: Arc<Config>,
        egress: Egress,
        out: Outbox,
        shared: Arc<[Shared]>,
    ) -> Self {
        let pings = Pings::new(now, &config.timeouts);
        Self { egress, out, shared, config, pings }
    }

    /// Ends the connection if the transport has stood still for too long; sends a ping if it is
    /// time for one and the last one has left.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), Fault> {
        let write = self.config.timeouts.write;
        if self.out.deadline(write).is_some_and(|deadline| deadline <= now.mono) {
            return Err(PeerMisbehaved::TimedOut(write, Waiting::Writing).into());
        }
        if self.pings.is_due(now.mono, &self.config.timeouts, &self.out) {
            self.send_base(now, code::PING);
            self.pings.pinged(now.mono, &self.out);
        }
        Ok(())
    }

    /// Sends message `code` of the capability at index `shared` of [`shared`](Self::shared):
    /// compresses, encrypts and seals it at its place in [`waiting`](Self::waiting). While that has
    /// room, nothing is allocated.
    ///
    /// How much may be waiting is the caller's to bound, by [`queued`](Self::queued).
    pub fn send(
        &mut self,
        now: Now,
        shared: usize,
        code: u64,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let code = self.code(shared, code)?;
        self.egress.seal(code, payload, self.out.back(now.mono))?;
        Ok(())
    }

    /// As [`send`](Self::send), of a payload that was compressed before, and up to the seal: to be
    /// sealed together with what is sent to others.
    pub fn encrypt(
        &mut self,
        now: Now,
        shared: usize,
        code: u64,
        payload: &Compressed,
    ) -> Result<Unsealed<'_>, SendError> {
        let code = self.code(shared, code)?;
        Ok(self.egress.encrypt_compressed(code, payload, self.out.back(now.mono))?)
    }

    /// Answers a ping: [`Received::Ping`](crate::Received::Ping).
    pub fn pong(&mut self, now: Now) {
        if self.pings.is_to_be_answered(&self.out) {
            self.send_base(now, code::PONG);
            self.pings.ponged(&self.out);
        }
    }

    /// Notes that a pong came: [`Received::Pong`](crate::Received::Pong).
    pub fn on_pong(&mut self, now: Now) {
        self.pings.on_pong(now.mono);
    }

    /// Ends the connection for `reason`: what is left is to be written.
    pub fn disconnect(self, now: Now, reason: DisconnectReason) -> Goodbye {
        Goodbye::new(now, reason, self.egress, self.out, &self.config.timeouts)
    }

    /// Notes that the transport took the first `n` bytes of [`waiting`](Self::waiting).
    ///
    /// # Panics
    ///
    /// If there were fewer.
    pub fn written(&mut self, now: Now, n: usize) {
        self.out.written(now.mono, n);
    }

    /// Frees the buffers that hold nothing. For connections that idle.
    pub fn release(&mut self) {
        self.out.release();
        self.egress.release();
    }

    /// When a ping is due, or the transport will have stood still for too long.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let ping = self.pings.next();
        let write = self.out.deadline(self.config.timeouts.write);
        Some(write.map_or(ping, |write| write.min(ping)))
    }

    /// The bytes that wait for the transport, to be written in order.
    pub fn waiting(&self) -> &[u8] {
        self.out.waiting()
    }

    /// How many bytes wait for the transport.
    pub fn queued(&self) -> usize {
        self.out.len()
    }

    /// How long the last answered ping took; `None` before the first one.
    pub const fn round_trip(&self) -> Option<Duration> {
        self.pings.round_trip()
    }

    /// The capabilities in common, in the order of their names.
    pub fn shared(&self) -> &[Shared] {
        &self.shared
    }

    /// The bytes held besides the value itself and what it shares with the other half.
    pub(crate) fn memory(&self) -> usize {
        self.egress.memory() + self.out.memory()
    }

    /// The id on the wire of a message of a capability.
    fn code(&self, shared: usize, code: u64) -> Result<u64, SendError> {
        match self.shared.get(shared) {
            Some(capability) if code < capability.length => Ok(capability.offset + code),
            _ => Err(SendError::OutOfRange { shared, code }),
        }
    }

    /// Sends a ping or a pong.
    fn send_base(&mut self, now: Now, code: u64) {
        const EMPTY_LIST: &[u8] = &[0xc0];
        self.egress
            .seal(code, EMPTY_LIST, self.out.back(now.mono))
            .expect("because a frame has room for a byte");
    }
}
