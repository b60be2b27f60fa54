//! Endpoint proofs: which node is known to be at which address, and which knows that of us.
//!
//! A proof is that of a node at an IP address, whatever the port: routers change ports, and what a
//! forger could make us send would reach the same machine anyway.
//!
//! Spec: [discv4.md](https://github.com/ethereum/devp2p/blob/master/discv4.md#endpoint-proof).

use std::{net::IpAddr, time::Duration};

use peerage_machine::{ExpiringMap, Instant};
use peerage_node::{NodeId, SubnetCounts, is_lan};

/// How many proofs are kept of each kind: one per node that talks to us in a day, at about 150
/// bytes.
const MAX_PROOFS: usize = 16_384;

/// How many nodes of one public /24 or /64 may be proved at a time. Who has one network and many
/// keys would otherwise push out the proofs of everybody else.
const MAX_PER_SUBNET: usize = 128;

/// Pings of one claimant are reported to be kept this far apart: what is kept says "in the last
/// day".
const REPORT_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// A node id, as somebody at an address claims to be it. A proof makes it true.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Claimant {
    pub(crate) ip: IpAddr,
    pub(crate) id: NodeId,
}

/// All endpoint proofs of the last day.
#[derive(Debug)]
pub(crate) struct Bonds {
    lifetime: Duration,
    /// Claimants that answered a ping of ours: they are where they say.
    proved: ExpiringMap<Claimant, ()>,
    subnets: SubnetCounts,
    /// Claimants that pinged us and were answered: they may have a proof of us.
    ///
    /// # Security
    ///
    /// Anyone can fill it with forged addresses. It decides nothing but whether we ping before we
    /// ask. With when it was last reported to be kept.
    pinged_us: ExpiringMap<Claimant, Instant>,
}

impl Bonds {
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            proved: ExpiringMap::new(MAX_PROOFS),
            subnets: SubnetCounts::new(MAX_PER_SUBNET),
            pinged_us: ExpiringMap::new(MAX_PROOFS),
        }
    }

    /// Notes that `claimant` answered a ping of ours. Whether that was noted: not when too many
    /// nodes of its network are proved.
    pub(crate) fn prove(&mut self, now: Instant, claimant: Claimant) -> bool {
        self.prove_for(now, claimant, self.lifetime)
    }

    /// Notes that `claimant` answered a ping of ours in an earlier run, `age` ago.
    pub(crate) fn restore(&mut self, now: Instant, claimant: Claimant, age: Duration) {
        if age < self.lifetime {
            self.prove_for(now, claimant, self.lifetime - age);
        }
    }

    fn prove_for(&mut self, now: Instant, claimant: Claimant, lifetime: Duration) -> bool {
        while let Some((old, ())) = self.proved.pop_expired(now) {
            self.forget(old);
        }
        if self.proved.renew(&claimant, now, now + lifetime, |()| ()).is_some() {
            return true;
        }
        if !is_lan(claimant.ip) && !self.subnets.add(claimant.ip) {
            return false;
        }
        if let Some((old, ())) = self.proved.insert(claimant, (), now + lifetime) {
            self.forget(old);
        }
        true
    }

    /// Whether `claimant` is known to be where it is, so that it may be answered.
    pub(crate) fn is_proved(&self, now: Instant, claimant: Claimant) -> bool {
        self.proved.get(&claimant, now).is_some()
    }

    /// Notes that `claimant` pinged us, which it does to get a proof of us. Whether that is news
    /// worth keeping.
    pub(crate) fn on_ping(&mut self, now: Instant, claimant: Claimant) -> bool {
        self.pinged_us.tidy(now);
        let until = now + self.lifetime;
        let is_news = self.pinged_us.renew(&claimant, now, until, |reported| {
            let is_news = now.saturating_since(*reported) >= REPORT_INTERVAL;
            if is_news {
                *reported = now;
            }
            is_news
        });
        is_news.unwrap_or_else(|| {
            self.pinged_us.insert(claimant, now, until);
            true
        })
    }

    /// Forgets that `claimant` pinged us: it does not seem to know us any more.
    pub(crate) fn doubt(&mut self, claimant: Claimant) {
        self.pinged_us.remove(&claimant);
    }

    /// Whether `claimant` probably has a proof of us, so that it will answer.
    pub(crate) fn may_know_us(&self, now: Instant, claimant: Claimant) -> bool {
        self.pinged_us.get(&claimant, now).is_some()
    }

    /// How many claimants are proved.
    pub(crate) fn len(&self) -> usize {
        self.proved.len()
    }

    /// The bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.proved.memory() + self.subnets.memory() + self.pinged_us.memory()
    }

    /// The most bytes held.
    pub(crate) const fn memory_bound() -> usize {
        ExpiringMap::<Claimant, ()>::memory_bound(MAX_PROOFS)
            + SubnetCounts::memory_bound(MAX_PROOFS)
            + ExpiringMap::<Claimant, Instant>::memory_bound(MAX_PROOFS)
    }

    fn forget(&mut self, claimant: Claimant) {
        if !is_lan(claimant.ip) {
            self.subnets.remove(claimant.ip);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn claimant(ip: [u8; 4], id: u32) -> Claimant {
        let mut bytes = [0; 32];
        bytes[..4].copy_from_slice(&id.to_be_bytes());
        Claimant { ip: ip.into(), id: NodeId(bytes) }
    }

    #[test]
    fn a_proof_is_of_one_node_at_one_address_for_a_day() {
        let mut bonds = Bonds::new(DAY);
        let start = Instant::START;
        assert!(bonds.prove(start, claimant([8, 8, 8, 8], 1)));
        assert!(bonds.is_proved(start, claimant([8, 8, 8, 8], 1)));
        assert!(!bonds.is_proved(start, claimant([8, 8, 8, 9], 1)));
        assert!(!bonds.is_proved(start, claimant([8, 8, 8, 8], 2)));
        assert!(!bonds.is_proved(start + DAY, claimant([8, 8, 8, 8], 1)));
    }

    #[test]
    fn a_proof_of_an_earlier_run_is_good_for_the_rest_of_its_day() {
        let mut bonds = Bonds::new(DAY);
        let hour = Duration::from_secs(60 * 60);
        bonds.restore(Instant::START, claimant([8, 8, 8, 8], 1), 23 * hour);
        bonds.restore(Instant::START, claimant([8, 8, 8, 8], 2), DAY);
        assert!(bonds.is_proved(Instant::START, claimant([8, 8, 8, 8], 1)));
        assert!(!bonds.is_proved(Instant::START + hour, claimant([8, 8, 8, 8], 1)));
        assert!(!bonds.is_proved(Instant::START, claimant([8, 8, 8, 8], 2)));
    }

    #[test]
    fn a_flood_of_pings_is_reported_once() {
        let mut bonds = Bonds::new(DAY);
        let at = |secs| Instant::START + Duration::from_secs(secs);
        let reports = (0..1200).filter(|n| bonds.on_ping(at(*n), claimant([8, 8, 8, 8], 1)));
        assert_eq!(reports.count(), 2);
    }

    #[test]
    fn a_ping_of_theirs_is_no_proof_of_theirs() {
        let mut bonds = Bonds::new(DAY);
        assert!(bonds.on_ping(Instant::START, claimant([8, 8, 8, 8], 1)));
        assert!(!bonds.is_proved(Instant::START, claimant([8, 8, 8, 8], 1)));
        assert!(bonds.may_know_us(Instant::START, claimant([8, 8, 8, 8], 1)));
        bonds.doubt(claimant([8, 8, 8, 8], 1));
        assert!(!bonds.may_know_us(Instant::START, claimant([8, 8, 8, 8], 1)));
    }

    #[test]
    fn one_network_cannot_push_out_the_proofs_of_others() {
        let mut bonds = Bonds::new(DAY);
        let start = Instant::START;
        assert!(bonds.prove(start, claimant([9, 9, 9, 9], 0)));
        let later = start + Duration::from_secs(1);
        let noted =
            (0..20_000).filter(|id| bonds.prove(later, claimant([8, 8, 8, 8], *id))).count();
        assert_eq!(noted, MAX_PER_SUBNET);
        assert!(bonds.is_proved(later, claimant([9, 9, 9, 9], 0)));
        // Those that are in can renew their proof, and make room a day later.
        assert!(bonds.prove(later, claimant([8, 8, 8, 8], 0)));
        assert!(bonds.prove(later + DAY, claimant([8, 8, 8, 8], 500)));
    }

    #[test]
    fn many_networks_fill_no_more_than_the_map() {
        let mut bonds = Bonds::new(DAY);
        for n in 0..20_000_u32 {
            let [a, b, c, d] = (0x0b00_0000 + n * 256).to_be_bytes();
            assert!(bonds.prove(Instant::START, claimant([a, b, c, d], n)));
            bonds.on_ping(Instant::START, claimant([a, b, c, d], n));
        }
        assert_eq!(bonds.len(), MAX_PROOFS);
        assert_eq!(bonds.subnets.len(), MAX_PROOFS);
        assert_eq!(bonds.pinged_us.len(), MAX_PROOFS);
    }
}
