//! Whether the other end is alive: pings, pongs, and the limit of silence.

use std::time::Duration;

use peerage_machine::Instant;

use super::Timeouts;
use crate::PeerMisbehaved;

/// The most pings of a peer within one ping interval of ours.
///
/// # Security
///
/// A correct peer has a use for one or two. The limit lies far above that because pings pile up
/// while we do not read: 128 of them are half an hour of a peer that pings every 15 s. A ping costs
/// us a microsecond and at most one pong that waits to be written, so a flood below the limit hurts
/// nobody.
const MAX_PINGS: u32 = 128;

/// Liveness of an open connection.
#[derive(Debug)]
pub(super) struct Pulse {
    /// Since when nothing was heard; `None` while we do not listen, which is not the peer's fault.
    silent_since: Option<Instant>,
    next_ping: Instant,
    /// When the ping was sent that has no pong yet.
    pending_ping: Option<Instant>,
    round_trip: Option<Duration>,
    /// Where our last ping ends in the stream of bytes that we write.
    pub(super) ping_end: u64,
    /// Where our last pong ends.
    pub(super) pong_end: u64,
    /// When we began to count the peer's pings, and how many came since.
    window: (Instant, u32),
}

impl Pulse {
    pub(super) fn new(now: Instant, timeouts: &Timeouts) -> Self {
        Self {
            silent_since: Some(now),
            next_ping: now + timeouts.ping_interval,
            pending_ping: None,
            round_trip: None,
            ping_end: 0,
            pong_end: 0,
            window: (now, 0),
        }
    }

    /// Bytes came.
    pub(super) fn on_bytes(&mut self, now: Instant) {
        if let Some(since) = &mut self.silent_since {
            *since = now;
        }
    }

    /// A ping came; an error if it was one too many.
    pub(super) fn on_ping(
        &mut self,
        now: Instant,
        timeouts: &Timeouts,
    ) -> Result<(), PeerMisbehaved> {
        let (start, count) = &mut self.window;
        if *start + timeouts.ping_interval <= now {
            (*start, *count) = (now, 0);
        }
        *count += 1;
        if *count > MAX_PINGS { Err(PeerMisbehaved::PingFlood) } else { Ok(()) }
    }

    /// A pong came. One that answers nothing is ignored.
    pub(super) fn on_pong(&mut self, now: Instant) {
        if let Some(sent) = self.pending_ping.take() {
            self.round_trip = Some(now.saturating_since(sent));
        }
    }

    /// Whether it is time for a ping. If so, the next one is due an interval later.
    pub(super) fn ping_is_due(&mut self, now: Instant, timeouts: &Timeouts) -> bool {
        let due = self.next_ping <= now;
        if due {
            self.next_ping = now + timeouts.ping_interval;
        }
        due
    }

    /// A ping was sent.
    pub(super) fn pinged(&mut self, now: Instant) {
        self.pending_ping = Some(now);
    }

    /// We stop listening, or listen again.
    pub(super) fn pause(&mut self, now: Instant, paused: bool) {
        if paused {
            self.silent_since = None;
        } else if self.silent_since.is_none() {
            self.silent_since = Some(now);
        }
    }

    /// When the peer has been silent for too long; `None` while we do not listen.
    pub(super) fn idle_deadline(&self, timeouts: &Timeouts) -> Option<Instant> {
        self.silent_since.map(|since| since + timeouts.idle)
    }

    pub(super) const fn next_ping(&self) -> Instant {
        self.next_ping
    }

    pub(super) const fn is_paused(&self) -> bool {
        self.silent_since.is_none()
    }

    pub(super) const fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: u64) -> Instant {
        Instant::START + Duration::from_secs(secs)
    }

    #[test]
    fn a_flood_is_more_pings_than_fit_one_interval() {
        let timeouts = Timeouts::default();
        let mut pulse = Pulse::new(at(0), &timeouts);
        for window in 0..3 {
            for _ in 0..MAX_PINGS {
                assert_eq!(pulse.on_ping(at(15 * window), &timeouts), Ok(()));
            }
        }
        assert_eq!(pulse.on_ping(at(44), &timeouts), Err(PeerMisbehaved::PingFlood));
    }

    #[test]
    fn the_round_trip_is_that_of_the_last_ping_with_its_pong() {
        let mut pulse = Pulse::new(at(0), &Timeouts::default());
        pulse.on_pong(at(1));
        assert_eq!(pulse.round_trip(), None);
        pulse.pinged(at(10));
        pulse.on_pong(at(12));
        pulse.on_pong(at(17));
        assert_eq!(pulse.round_trip(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn silence_counts_only_while_we_listen() {
        let timeouts = Timeouts::default();
        let mut pulse = Pulse::new(at(0), &timeouts);
        pulse.pause(at(5), true);
        pulse.on_bytes(at(6));
        assert_eq!(pulse.idle_deadline(&timeouts), None);
        pulse.pause(at(100), false);
        pulse.pause(at(110), false);
        assert_eq!(pulse.idle_deadline(&timeouts), Some(at(130)));
        pulse.on_bytes(at(120));
        assert_eq!(pulse.idle_deadline(&timeouts), Some(at(150)));
    }
}
