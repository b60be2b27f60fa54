//! Our pings and our answers to the peer's.

use std::time::Duration;

use peerage_machine::Instant;

use super::Outbox;
use crate::Timeouts;

/// What there is to know of pings and pongs that we send.
#[derive(Debug)]
pub(super) struct Pings {
    next: Instant,
    /// When the ping was sent that has no pong yet.
    pending: Option<Instant>,
    round_trip: Option<Duration>,
    /// Where our last ping ends in the stream of bytes that we write.
    ping_end: u64,
    /// Where our last pong ends.
    pong_end: u64,
}

impl Pings {
    pub(super) fn new(now: Instant, timeouts: &Timeouts) -> Self {
        Self {
            next: now + timeouts.ping_interval,
            pending: None,
            round_trip: None,
            ping_end: 0,
            pong_end: 0,
        }
    }

    /// Whether to send a ping now: it is time, and the last one has left. If it is time, the next
    /// one is due an interval later.
    pub(super) fn is_due(&mut self, now: Instant, timeouts: &Timeouts, out: &Outbox) -> bool {
        if self.next > now {
            return false;
        }
        self.next = now + timeouts.ping_interval;
        out.is_written(self.ping_end)
    }

    /// A ping was put into `out`.
    pub(super) fn pinged(&mut self, now: Instant, out: &Outbox) {
        self.ping_end = out.end();
        self.pending = Some(now);
    }

    /// Whether a ping is to be answered: one pong that still waits says as much as two, and two
    /// could be made a million.
    pub(super) fn is_to_be_answered(&self, out: &Outbox) -> bool {
        out.is_written(self.pong_end)
    }

    /// A pong was put into `out`.
    pub(super) fn ponged(&mut self, out: &Outbox) {
        self.pong_end = out.end();
    }

    /// A pong came. One that answers nothing is ignored.
    pub(super) fn on_pong(&mut self, now: Instant) {
        if let Some(sent) = self.pending.take() {
            self.round_trip = Some(now.saturating_since(sent));
        }
    }

    pub(super) const fn next(&self) -> Instant {
        self.next
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
    fn the_round_trip_is_that_of_the_last_ping_with_its_pong() {
        let mut pings = Pings::new(at(0), &Timeouts::default());
        pings.on_pong(at(1));
        assert_eq!(pings.round_trip(), None);
        pings.pinged(at(10), &Outbox::default());
        pings.on_pong(at(12));
        pings.on_pong(at(17));
        assert_eq!(pings.round_trip(), Some(Duration::from_secs(2)));
    }
}
