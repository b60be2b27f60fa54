//! How many packets are worth looking at: per address and in all, decided before any signature is
//! recovered.
//!
//! A recovery costs some 40 us, the fixed price a stranger can make us pay per packet; this is what
//! bounds their number. Not here: what a packet says, or whether its sender may be answered.

use std::{net::IpAddr, time::Duration};

use peerage_machine::{ExpiringMap, Instant};
use peerage_node::Subnet;

/// How many packets per second are let in.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LimiterConfig {
    /// From one IPv4 address or IPv6 /64. A lookup asks one node a few times; a bond takes four
    /// packets.
    pub per_address: Rate,
    /// From all addresses together that have not proved themselves: some 8 % of one core.
    pub unproved: Rate,
    /// From all addresses together that have: some 30 % of one core.
    pub proved: Rate,
    /// How many addresses of each kind are remembered, in entries of about 100 bytes.
    pub addresses: usize,
    /// How long an address stays proved.
    pub proof_lifetime: Duration,
    /// Whether packets from this machine pass uncounted. Whoever sends them has cheaper ways to
    /// keep the machine busy, and a network of many nodes on one address should work.
    pub is_loopback_exempt: bool,
}

impl Default for LimiterConfig {
    fn default() -> Self {
        Self {
            per_address: Rate { per_second: 50, burst: 100 },
            unproved: Rate { per_second: 2_000, burst: 2_000 },
            proved: Rate { per_second: 8_000, burst: 8_000 },
            addresses: 8_192,
            proof_lifetime: Duration::from_secs(24 * 60 * 60),
            is_loopback_exempt: true,
        }
    }
}

/// A steady rate, and how much may come at once after silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Packets per second; at least 1.
    pub per_second: u32,
    /// Packets at once; at least 1.
    pub burst: u32,
}

impl Rate {
    fn period(self) -> Duration {
        Duration::from_secs(1) / self.per_second.max(1)
    }

    /// A level that has taken one more packet, or `None` if the packet is one too many.
    fn take(self, level: Level, now: Instant) -> Option<Level> {
        let start = level.0.max(now);
        let slack = self.period() * (self.burst.max(1) - 1);
        (start.saturating_since(now) <= slack).then(|| Level(start + self.period()))
    }

    /// A level that has taken one more packet, and when that one may go: now, or later.
    pub(crate) fn reserve(self, level: Level, now: Instant) -> (Level, Instant) {
        let start = level.0.max(now);
        let slack = self.period() * (self.burst.max(1) - 1);
        let wait = start.saturating_since(now).saturating_sub(slack);
        (Level(start + self.period()), now + wait)
    }
}

/// When a bucket will have recovered fully: all the state a rate needs. One in the past is a full
/// bucket.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Level(pub(crate) Instant);

/// Decides which packets are looked at. Each call is `O(log n)`.
///
/// # Security
///
/// Source addresses of UDP are easily forged. A flood from forged ones can at most use up the
/// budget of addresses that have not proved themselves, so nodes that we know go on being heard;
/// they share a budget of their own. Someone who forges the address of a known node takes that
/// node's share only; it takes the addresses of as many as use up the budget together to silence
/// the others.
#[derive(Debug)]
pub struct Limiter {
    config: LimiterConfig,
    /// Addresses that have not recovered fully. A full map drops the one closest to recovery, which
    /// loses least: whoever floods stays.
    levels: ExpiringMap<Sender, Level>,
    /// Addresses from which an endpoint proof has come. A full map drops the oldest.
    proofs: ExpiringMap<Sender, ()>,
    unproved: Level,
    proved: Level,
}

impl Limiter {
    /// A limiter that has seen nothing.
    pub fn new(config: LimiterConfig) -> Self {
        let (levels, proofs) =
            (ExpiringMap::new(config.addresses), ExpiringMap::new(config.addresses));
        Self { config, levels, proofs, unproved: Level::default(), proved: Level::default() }
    }

    /// Whether a packet from `ip` is to be looked at; if so, it is counted.
    #[must_use]
    pub fn allow(&mut self, now: Instant, ip: IpAddr) -> bool {
        if self.config.is_loopback_exempt && ip.to_canonical().is_loopback() {
            return true;
        }
        let key = key(ip);
        self.levels.tidy(now);
        let level = self.levels.get(&key, now).copied().unwrap_or_default();
        let is_proved = self.proofs.get(&key, now).is_some();
        let (rate, total) = if is_proved {
            (self.config.proved, &mut self.proved)
        } else {
            (self.config.unproved, &mut self.unproved)
        };
        let taken = self.config.per_address.take(level, now).zip(rate.take(*total, now));
        if let Some((level, new_total)) = taken {
            *total = new_total;
            self.levels.insert(key, level, level.0);
        }
        taken.is_some()
    }

    /// Notes that `ip` has answered a packet of ours with what only its holder could know.
    pub fn prove(&mut self, now: Instant, ip: IpAddr) {
        self.proofs.pop_expired(now);
        self.proofs.insert(key(ip), (), now + self.config.proof_lifetime);
    }

    /// How many addresses are remembered: those counted, and those proved.
    pub fn len(&self) -> (usize, usize) {
        (self.levels.len(), self.proofs.len())
    }

    /// Whether no address is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == (0, 0)
    }

    /// The bytes held, estimated from the number of addresses.
    pub(crate) fn memory(&self) -> usize {
        self.levels.memory() + self.proofs.memory()
    }

    /// The most bytes held.
    pub(crate) fn memory_bound(config: &LimiterConfig) -> usize {
        let addresses = config.addresses.max(1);
        ExpiringMap::<Sender, Level>::memory_bound(addresses)
            + ExpiringMap::<Sender, ()>::memory_bound(addresses)
    }
}

/// What counts as one sender: an IPv4 address, or an IPv6 /64, which one machine can fill. The
/// [number](Subnet::number) of that.
type Sender = u128;

fn key(ip: IpAddr) -> Sender {
    Subnet::number(ip, 32, Subnet::V6_PREFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// One of many public addresses, all different.
    fn stranger(n: u32) -> IpAddr {
        IpAddr::V4((0x0b00_0000 + n).into())
    }

    const START: Instant = Instant::START;

    fn small() -> Limiter {
        Limiter::new(LimiterConfig {
            per_address: Rate { per_second: 10, burst: 5 },
            unproved: Rate { per_second: 20, burst: 20 },
            proved: Rate { per_second: 20, burst: 20 },
            addresses: 16,
            ..LimiterConfig::default()
        })
    }

    fn allowed(limiter: &mut Limiter, now: Instant, ip: IpAddr, tries: usize) -> usize {
        (0..tries).filter(|_| limiter.allow(now, ip)).count()
    }

    #[test]
    fn an_address_has_a_burst_and_then_its_rate() {
        let mut limiter = small();
        assert_eq!(allowed(&mut limiter, START, ip("8.8.8.8"), 50), 5);
        assert_eq!(allowed(&mut limiter, START + Duration::from_millis(100), ip("8.8.8.8"), 50), 1);
        assert_eq!(allowed(&mut limiter, START + Duration::from_secs(60), ip("8.8.8.8"), 50), 5);
    }

    #[test]
    fn what_is_one_too_many_is_due_when_its_turn_comes() {
        let rate = Rate { per_second: 1, burst: 4 };
        let mut level = Level::default();
        let due: Vec<u64> = (0..7)
            .map(|_| {
                let (next, at) = rate.reserve(level, START);
                level = next;
                at.saturating_since(START).as_secs()
            })
            .collect();
        assert_eq!(due, [0, 0, 0, 0, 1, 2, 3]);
    }

    #[test]
    fn a_64_and_the_mapped_form_are_one_sender() {
        let mut limiter = small();
        assert_eq!(allowed(&mut limiter, START, ip("2a01::1"), 50), 5);
        assert_eq!(allowed(&mut limiter, START, ip("2a01::2"), 50), 0);
        assert_eq!(allowed(&mut limiter, START, ip("2a01:0:0:1::2"), 50), 5);
        assert_eq!(allowed(&mut limiter, START, ip("8.8.8.8"), 50), 5);
        assert_eq!(allowed(&mut limiter, START, ip("::ffff:8.8.8.8"), 50), 0);
    }

    #[test]
    fn one_flooder_uses_up_nothing_but_its_own_share() {
        let mut limiter = small();
        assert_eq!(allowed(&mut limiter, START, ip("8.8.8.8"), 1000), 5);
        // 20 in all, 5 used.
        assert_eq!(allowed(&mut limiter, START, ip("8.8.4.4"), 5), 5);
    }

    #[test]
    fn a_flood_from_forged_addresses_is_bounded_and_does_not_silence_known_nodes() {
        let mut limiter = small();
        let known = ip("9.9.9.9");
        limiter.prove(START, known);
        assert_eq!((0..1000).filter(|n| limiter.allow(START, stranger(*n))).count(), 20);
        assert_eq!(allowed(&mut limiter, START, ip("7.7.7.7"), 3), 0);
        assert_eq!(allowed(&mut limiter, START, known, 3), 3);
        assert!(limiter.len().0 <= 16);
    }

    #[test]
    fn known_nodes_together_are_bounded_too() {
        let mut limiter = small();
        for n in 0..16 {
            limiter.prove(START, stranger(n));
        }
        assert_eq!(
            (0..16).map(|n| allowed(&mut limiter, START, stranger(n), 5)).sum::<usize>(),
            20
        );
        assert!(limiter.allow(START, ip("7.7.7.7")));
    }

    #[test]
    fn a_proof_is_forgotten_after_its_lifetime() {
        let mut limiter = small();
        limiter.prove(START, ip("9.9.9.9"));
        let day = START + LimiterConfig::default().proof_lifetime;
        assert_eq!((0..1000).filter(|n| limiter.allow(day, stranger(*n))).count(), 20);
        assert!(!limiter.allow(day, ip("9.9.9.9")));
    }

    #[test]
    fn memory_is_bounded_and_given_back() {
        let mut limiter = small();
        for n in 0..100 {
            limiter.prove(START, stranger(n));
            let now = START + Duration::from_secs(u64::from(n));
            assert!(limiter.allow(now, stranger(n)));
        }
        assert_eq!(limiter.len(), (1, 16));
    }

    #[test]
    fn a_full_map_keeps_the_flooder() {
        let mut limiter = Limiter::new(LimiterConfig { addresses: 4, ..LimiterConfig::default() });
        assert_eq!(allowed(&mut limiter, START, ip("8.8.8.8"), 1000), 100);
        for n in 0..1000 {
            assert!(limiter.allow(START, stranger(n)));
        }
        assert_eq!(allowed(&mut limiter, START, ip("8.8.8.8"), 10), 0);
    }

    #[test]
    fn this_machine_is_not_counted() {
        let mut limiter = small();
        assert_eq!(allowed(&mut limiter, START, ip("127.0.0.1"), 1000), 1000);
        assert_eq!(allowed(&mut limiter, START, ip("::1"), 1000), 1000);
        assert!(limiter.is_empty());
    }
}
