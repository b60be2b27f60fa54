//! What a way through the network does to what is sent on it.

use std::time::Duration;

use peerage_machine::{Instant, Random};

use crate::world::HostId;

/// A million: probabilities are in parts of it, so that no floating point decides anything.
pub(crate) const MILLION: u64 = 1_000_000;

/// How the ways between hosts behave. Chances are in parts per million.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkProfile {
    /// One way, from the nearest pair of hosts to the farthest. Each pair keeps the latency it has.
    pub latency: (Duration, Duration),
    /// What comes on top for each packet, at most.
    pub jitter: Duration,
    /// How many packets are lost. A lost piece of a stream comes late instead.
    pub loss: u32,
    /// How many datagrams arrive twice.
    pub duplicate: u32,
    /// How many datagrams are held back, for up to ten latencies.
    pub reorder: u32,
    /// How many datagrams arrive with a byte changed.
    pub corrupt: u32,
    /// How many pieces of streams stall on their way, for up to two seconds.
    pub stall: u32,
    /// How many pieces of streams are cut in two or more.
    pub split: u32,
    /// How many pieces of streams have the stream reset in their place.
    pub reset: u32,
    /// Bytes per second that a host can send, and that it can receive; 0 is no bound.
    pub bandwidth: u64,
    /// The largest packet with its headers, in bytes; larger datagrams are lost.
    pub mtu: usize,
}

impl Default for LinkProfile {
    /// A good part of the Internet: 10 to 120 ms one way, 0.1 % lost.
    fn default() -> Self {
        Self {
            latency: (Duration::from_millis(10), Duration::from_millis(120)),
            jitter: Duration::from_millis(5),
            loss: 1_000,
            duplicate: 100,
            reorder: 1_000,
            corrupt: 10,
            stall: 100,
            split: 50_000,
            reset: 0,
            bandwidth: 12_500_000,
            mtu: 1_500,
        }
    }
}

impl LinkProfile {
    /// A network without any flaw, where everything takes `latency`.
    pub fn perfect(latency: Duration) -> Self {
        Self {
            latency: (latency, latency),
            jitter: Duration::ZERO,
            loss: 0,
            duplicate: 0,
            reorder: 0,
            corrupt: 0,
            stall: 0,
            split: 0,
            reset: 0,
            bandwidth: 0,
            mtu: 1_500,
        }
    }

    /// A bad mobile network: slow, lossy, and it breaks.
    pub fn poor() -> Self {
        Self {
            latency: (Duration::from_millis(60), Duration::from_millis(400)),
            jitter: Duration::from_millis(80),
            loss: 50_000,
            duplicate: 5_000,
            reorder: 20_000,
            corrupt: 1_000,
            stall: 10_000,
            split: 300_000,
            reset: 500,
            bandwidth: 250_000,
            mtu: 1_400,
        }
    }

    /// The latency that a pair of hosts keeps, one way.
    pub(crate) fn latency(&self, salt: u64, a: HostId, b: HostId) -> Duration {
        let (low, high) = self.latency;
        let (a, b) = (u64::from(a.0.min(b.0)), u64::from(a.0.max(b.0)));
        let mixed = mix(salt ^ mix(a << 32 | b));
        low + share(high.saturating_sub(low), mixed)
    }
}

/// Whether something happens that has a chance of so many in a million.
pub(crate) fn chance(random: &mut Random, ppm: u32) -> bool {
    ppm > 0 && random.below(MILLION) < u64::from(ppm)
}

/// A random time below `span`.
pub(crate) fn up_to(random: &mut Random, span: Duration) -> Duration {
    Duration::from_nanos(random.below(nanos(span)))
}

/// The times at which a host's line is free again, each way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Line {
    pub(crate) up: Instant,
    pub(crate) down: Instant,
}

/// How long a packet may wait for a line before it is lost.
const MAX_QUEUE: Duration = Duration::from_millis(500);

/// Sends `size` bytes over a line that is free at `free`: when the last one is through. `None` if
/// there is too much on it already.
pub(crate) fn transmit(
    free: &mut Instant,
    now: Instant,
    size: usize,
    bandwidth: u64,
) -> Option<Instant> {
    if bandwidth == 0 {
        return Some(now);
    }
    let start = (*free).max(now);
    if start.saturating_since(now) > MAX_QUEUE {
        return None;
    }
    let nanos = (size as u64).saturating_mul(1_000_000_000) / bandwidth;
    *free = start + Duration::from_nanos(nanos);
    Some(*free)
}

fn share(span: Duration, mixed: u64) -> Duration {
    let part = (u128::from(nanos(span)) * u128::from(mixed)) >> 64;
    Duration::from_nanos(u64::try_from(part).unwrap_or(u64::MAX))
}

fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Spreads a number over all 64 bits: multiplications by odd constants and shifts lose nothing.
pub(crate) const fn mix(number: u64) -> u64 {
    let mut x = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x = (x ^ (x >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93);
    x ^ (x >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_has_one_latency_both_ways_and_pairs_differ() {
        let link = LinkProfile::default();
        let at = |a, b| link.latency(7, HostId(a), HostId(b));
        assert_eq!(at(1, 2), at(2, 1));
        assert_ne!(at(1, 2), at(1, 3));
        let spread: Vec<_> = (1..200).map(|n| at(0, n)).collect();
        let (low, high) = link.latency;
        assert!(spread.iter().all(|it| (low..=high).contains(it)));
        let middle = (low + high) / 2;
        let below = spread.iter().filter(|it| **it < middle).count();
        assert!((70..130).contains(&below), "{below} of 199 are below the middle");
    }

    #[test]
    fn a_line_sends_one_after_the_other_and_drops_what_would_wait_too_long() {
        let mut free = Instant::START;
        let second = 1_000;
        let at = |millis| Instant::START + Duration::from_millis(millis);
        assert_eq!(transmit(&mut free, at(0), 300, second), Some(at(300)));
        assert_eq!(transmit(&mut free, at(0), 300, second), Some(at(600)));
        assert_eq!(transmit(&mut free, at(0), 1, second), None);
        assert_eq!(transmit(&mut free, at(700), 1, second), Some(at(701)));
    }
}
