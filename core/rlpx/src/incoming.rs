//! The receiving half of an open connection: frames into messages, and how long the peer may be
//! silent.
//!
//! Not here: what answers a ping (`outgoing`), and who gets a message.

use std::sync::Arc;

use peerage_machine::{Instant, Now};

use crate::{
    Config, Fault, Ingress, PeerMisbehaved, Shared, Timeouts, Waiting, code, disconnect, negotiate,
};

/// The receiving half of an open connection.
///
/// It shares nothing with the other half and never waits for it. What the other half has to know is
/// in [`Received`], or in the fault with which this one ends.
#[derive(Debug)]
pub struct Incoming {
    ingress: Ingress,
    shared: Arc<[Shared]>,
    config: Arc<Config>,
    reading: Reading,
    pings: PingCount,
}

/// What came of the peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// A message of a capability.
    Message {
        /// Index in [`shared`](Incoming::shared).
        shared: usize,
        /// The message's id within its capability.
        code: u64,
    },
    /// A ping, to be answered with [`Outgoing::pong`](crate::Outgoing::pong).
    Ping,
    /// A pong, for [`Outgoing::on_pong`](crate::Outgoing::on_pong).
    Pong,
}

/// Whether we listen.
#[derive(Clone, Copy, Debug)]
enum Reading {
    /// We do not, which is not the peer's fault.
    Paused,
    /// We do, and have heard nothing since then.
    Silent(Instant),
}

impl Incoming {
    pub(crate) fn new(
        now: Instant,
        config: Arc<Config>,
        ingress: Ingress,
        shared: Arc<[Shared]>,
    ) -> Self {
        let (reading, pings) = (Reading::Silent(now), PingCount::new(now));
        Self { ingress, shared, config, reading, pings }
    }

    /// Takes bytes from the front of `input`, up to the end of a message that concerns somebody or
    /// to the end of `input`; decrypts in place.
    ///
    /// With [`Received::Message`], `payload` holds the message in place of what it held before;
    /// call again with the rest of `input`. `None` means that all of `input` was taken.
    ///
    /// # Errors
    ///
    /// The end of the connection: a fault of the peer, or [`Fault::Remote`] if it said Disconnect.
    /// [`Outgoing::disconnect`](crate::Outgoing::disconnect) tells the peer why, where
    /// [`Fault::reason_to_send`] has a reason. Nothing may be received after it.
    pub fn receive(
        &mut self,
        now: Now,
        input: &mut &mut [u8],
        payload: &mut Vec<u8>,
    ) -> Result<Option<Received>, Fault> {
        if let Reading::Silent(since) = &mut self.reading
            && !input.is_empty()
        {
            *since = now.mono;
        }
        while let Some(code) = self.ingress.open(input, payload)? {
            if let Some((shared, code)) = negotiate::route(&self.shared, code) {
                return Ok(Some(Received::Message { shared, code }));
            }
            match code {
                code::HELLO => return Err(PeerMisbehaved::SecondHello.into()),
                code::DISCONNECT => return Err(Fault::Remote(disconnect::decode(payload))),
                code::PING => {
                    self.pings.on_ping(now.mono, &self.config.timeouts)?;
                    return Ok(Some(Received::Ping));
                }
                code::PONG => return Ok(Some(Received::Pong)),
                // Reserved: somebody may have a use for them that we need not know.
                code::FIRST_UNDEFINED..code::FIRST_SHARED => {}
                code => return Err(PeerMisbehaved::OutOfRange(code).into()),
            }
        }
        Ok(None)
    }

    /// Ends the connection if the peer has been silent for too long.
    pub fn handle_timeout(&mut self, now: Now) -> Result<(), Fault> {
        match self.poll_timeout() {
            Some(deadline) if deadline <= now.mono => {
                let idle = self.config.timeouts.idle;
                Err(PeerMisbehaved::TimedOut(idle, Waiting::Idle).into())
            }
            _ => Ok(()),
        }
    }

    /// Notes that we do not read for a while, or read again: silence meanwhile is not the peer's
    /// fault.
    pub fn pause_reading(&mut self, now: Now, paused: bool) {
        self.reading = match self.reading {
            _ if paused => Reading::Paused,
            Reading::Paused => Reading::Silent(now.mono),
            reading @ Reading::Silent(_) => reading,
        };
    }

    /// Frees the buffers that hold nothing. For connections that idle.
    pub fn release(&mut self) {
        self.ingress.release();
    }

    /// When the peer will have been silent for too long; `None` while we do not read.
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.reading {
            Reading::Paused => None,
            Reading::Silent(since) => Some(since + self.config.timeouts.idle),
        }
    }

    /// Whether nothing is to be read.
    pub const fn is_paused(&self) -> bool {
        matches!(self.reading, Reading::Paused)
    }

    /// The capabilities in common, in the order of their names.
    pub fn shared(&self) -> &[Shared] {
        &self.shared
    }

    /// The bytes held besides the value itself and what it shares with the other half.
    pub(crate) const fn memory(&self) -> usize {
        self.ingress.memory()
    }
}

/// How many pings came of late.
#[derive(Debug)]
struct PingCount {
    /// When we began to count.
    start: Instant,
    count: u32,
}

impl PingCount {
    /// The most pings of a peer within one ping interval of ours.
    ///
    /// # Security
    ///
    /// A correct peer has a use for one or two. The limit lies far above that because pings pile up
    /// while we do not read: 128 of them are half an hour of a peer that pings every 15 s. A ping
    /// costs us a microsecond and at most one pong that waits to be written, so a flood below the
    /// limit hurts nobody.
    const MOST: u32 = 128;

    const fn new(now: Instant) -> Self {
        Self { start: now, count: 0 }
    }

    /// A ping came; an error if it was one too many.
    fn on_ping(&mut self, now: Instant, timeouts: &Timeouts) -> Result<(), PeerMisbehaved> {
        if self.start + timeouts.ping_interval <= now {
            *self = Self::new(now);
        }
        self.count += 1;
        if self.count > Self::MOST { Err(PeerMisbehaved::PingFlood) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::mac::{Mac, Sponge};

    fn at(secs: u64) -> Instant {
        Instant::START + Duration::from_secs(secs)
    }

    #[test]
    fn a_flood_is_more_pings_than_fit_one_interval() {
        let timeouts = Timeouts::default();
        let mut pings = PingCount::new(at(0));
        for window in 0..3 {
            for _ in 0..PingCount::MOST {
                assert_eq!(pings.on_ping(at(15 * window), &timeouts), Ok(()));
            }
        }
        assert_eq!(pings.on_ping(at(44), &timeouts), Err(PeerMisbehaved::PingFlood));
    }

    #[test]
    fn silence_counts_only_while_we_listen() {
        let config = crate::fuzzing::config(1, &[]);
        let ingress = Ingress::new(&[1; 32], Mac::new(&[2; 32], Sponge::new()));
        let mut incoming = Incoming::new(at(0), config.into(), ingress, [].into());
        let now = |secs| Now::default().later(Duration::from_secs(secs));
        let on_byte = |incoming: &mut Incoming, secs| {
            let received = incoming.receive(now(secs), &mut &mut [0][..], &mut Vec::new());
            assert_eq!(received, Ok(None));
        };
        incoming.pause_reading(now(5), true);
        on_byte(&mut incoming, 6);
        assert_eq!(incoming.poll_timeout(), None);
        incoming.pause_reading(now(100), false);
        incoming.pause_reading(now(110), false);
        assert_eq!(incoming.poll_timeout(), Some(at(130)));
        on_byte(&mut incoming, 120);
        assert_eq!(incoming.poll_timeout(), Some(at(150)));
    }
}
