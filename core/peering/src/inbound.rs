//! The gate: what accepted connections have to pass before any cryptography is done for them.
//!
//! Not here: who is at the other end, which nobody knows yet; that is [`admit`](crate::admit)'s
//! matter.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use peerage_machine::{ExpiringMap, Instant, tree_memory};
use peerage_node::{Policy, Subnet, SubnetCounts, is_lan};

use crate::{
    Limits, Throttle,
    envelope::{ConnId, Refusal},
};

/// Addresses whose tries are counted: as many as could be let in within the window of 30 s by 500
/// handshakes a second. In a greater flood the oldest are forgotten, and `max_handshakes` is what
/// holds.
const MAX_ADDRESSES: usize = 16_384;

/// The handshakes that strangers have under way, and how often their addresses came.
///
/// # Security
///
/// A handshake costs curve arithmetic, a socket and a buffer on behalf of whoever asks. One address
/// is slowed down, one subnet gets no more than its share, and all together stay below a bound.
#[derive(Debug)]
pub(crate) struct Gate {
    throttle: Throttle,
    max_handshakes: usize,
    /// Tries within the window, by IPv4 address or IPv6 /64: whoever has one address of a /64 has
    /// all.
    tries: ExpiringMap<Subnet, u32>,
    /// At most `max_handshakes`.
    under_way: BTreeMap<ConnId, IpAddr>,
    /// Of `under_way`, those from elsewhere than this machine and the local network.
    subnets: SubnetCounts,
}

impl Gate {
    /// An open gate.
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            throttle: limits.inbound_throttle,
            max_handshakes: limits.max_handshakes,
            tries: ExpiringMap::new(MAX_ADDRESSES),
            under_way: BTreeMap::new(),
            subnets: SubnetCounts::new(limits.max_handshakes_per_subnet()),
        }
    }

    /// Lets a connection begin its handshake, or says why not.
    ///
    /// Local addresses are never throttled and have no share: networks for development live there.
    /// What is refused counts nowhere.
    pub(crate) fn enter(
        &mut self,
        now: Instant,
        policy: &Policy,
        conn: ConnId,
        remote: SocketAddr,
    ) -> Result<(), Refusal> {
        let ip = remote.ip();
        let local = is_lan(ip);
        policy.check(now, None, Some(ip)).map_err(Refusal::Forbidden)?;
        while self.tries.pop_expired(now).is_some() {}
        let address = Subnet::with_prefix(ip, 32, Subnet::V6_PREFIX);
        let tries = self.tries.get(&address, now).copied();
        if !local && tries.unwrap_or(0) >= self.throttle.attempts {
            return Err(Refusal::Throttled);
        }
        if !self.has_room() {
            return Err(Refusal::TooManyHandshakes);
        }
        if !local && !self.subnets.add(ip) {
            return Err(Refusal::HandshakesFromSubnet);
        }
        self.under_way.insert(conn, ip);
        if !local {
            match self.tries.get_mut(&address, now) {
                Some(tries) => *tries = tries.saturating_add(1),
                None => {
                    self.tries.insert(address, 1, now + self.throttle.window);
                }
            }
        }
        Ok(())
    }

    /// A handshake ended, well or not. Other connections change nothing.
    pub(crate) fn leave(&mut self, conn: ConnId) {
        if let Some(ip) = self.under_way.remove(&conn)
            && !is_lan(ip)
        {
            self.subnets.remove(ip);
        }
    }

    /// The bytes held.
    pub(crate) fn memory(&self) -> usize {
        self.tries.memory()
            + tree_memory::<ConnId, IpAddr>(self.under_way.len())
            + self.subnets.memory()
    }

    /// The most bytes held.
    pub(crate) const fn memory_bound(limits: &Limits) -> usize {
        ExpiringMap::<Subnet, u32>::memory_bound(MAX_ADDRESSES)
            + tree_memory::<ConnId, IpAddr>(limits.max_handshakes)
            + SubnetCounts::memory_bound(limits.max_handshakes)
    }

    /// Whether another handshake may begin.
    pub(crate) fn has_room(&self) -> bool {
        self.under_way.len() < self.max_handshakes
    }

    /// How many handshakes are under way.
    pub(crate) fn len(&self) -> usize {
        self.under_way.len()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use peerage_node::Forbidden;

    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::START + Duration::from_secs(seconds)
    }

    fn gate(limits: &Limits) -> Gate {
        Gate::new(limits)
    }

    /// Tries one address after the other, each with a new connection that stays under way.
    fn enter(gate: &mut Gate, seconds: u64, ip: &str) -> Result<(), Refusal> {
        enter_under(&Policy::default(), gate, seconds, ip)
    }

    fn enter_under(
        policy: &Policy,
        gate: &mut Gate,
        seconds: u64,
        ip: &str,
    ) -> Result<(), Refusal> {
        let conn = ConnId(gate.len() as u64 + 1000 * seconds);
        gate.enter(at(seconds), policy, conn, SocketAddr::new(ip.parse().unwrap(), 40_000))
    }

    fn one_try() -> Limits {
        Limits {
            inbound_throttle: Throttle { window: Duration::from_secs(30), attempts: 1 },
            ..Limits::default()
        }
    }

    #[test]
    fn an_address_is_throttled_for_the_window_and_refused_tries_do_not_extend_it() {
        let mut gate = gate(&one_try());
        for (seconds, ip, result) in [
            (0, "203.0.113.1", Ok(())),
            (1, "203.0.113.1", Err(Refusal::Throttled)),
            // The same address in its other form.
            (1, "::ffff:203.0.113.1", Err(Refusal::Throttled)),
            // A neighbour is another address.
            (2, "203.0.113.2", Ok(())),
            (29, "203.0.113.1", Err(Refusal::Throttled)),
            (30, "203.0.113.1", Ok(())),
            (31, "203.0.113.2", Err(Refusal::Throttled)),
        ] {
            assert_eq!(enter(&mut gate, seconds, ip), result, "{ip} at {seconds} s");
        }
    }

    #[test]
    fn as_many_tries_as_configured_fit_into_one_window() {
        let mut gate = gate(&Limits::default());
        for (seconds, result) in [
            (0, Ok(())),
            (10, Ok(())),
            (20, Ok(())),
            (29, Ok(())),
            (29, Err(Refusal::Throttled)),
            // The window is that of the first.
            (30, Ok(())),
        ] {
            assert_eq!(enter(&mut gate, seconds, "203.0.113.1"), result, "at {seconds} s");
        }
    }

    /// Row I2: go-ethereum keys the throttle by the exact IPv6 address.
    #[test]
    fn a_64_of_ipv6_is_one_address() {
        let mut gate = gate(&one_try());
        assert_eq!(enter(&mut gate, 0, "2a01:4f8:1:2::1"), Ok(()));
        assert_eq!(enter(&mut gate, 1, "2a01:4f8:1:2:ffff::9"), Err(Refusal::Throttled));
        assert_eq!(enter(&mut gate, 1, "2a01:4f8:1:3::1"), Ok(()));
    }

    #[test]
    fn local_addresses_are_bounded_in_all_but_neither_throttled_nor_shared_out() {
        let limits = Limits { max_handshakes: 8, ..one_try() };
        let mut gate = gate(&limits);
        for ip in [
            "127.0.0.1",
            "127.0.0.1",
            "10.0.0.1",
            "10.0.0.1",
            "::1",
            "192.168.1.1",
            "::1",
            "fd00::1",
        ] {
            assert_eq!(enter(&mut gate, 0, ip), Ok(()), "{ip}");
        }
        assert_eq!(enter(&mut gate, 0, "127.0.0.1"), Err(Refusal::TooManyHandshakes));
    }

    #[test]
    fn a_subnet_gets_its_share_and_again_when_a_handshake_ends() {
        let mut gate = gate(&Limits { max_handshakes: 8, ..Limits::default() });
        for (seconds, ip, result) in [
            (1, "203.0.113.1", Ok(())),
            (2, "203.0.113.2", Ok(())),
            (3, "203.0.113.3", Err(Refusal::HandshakesFromSubnet)),
            (4, "203.0.114.3", Ok(())),
            (5, "2a01:4f8:1:2::1", Ok(())),
            (6, "2a01:4f8:1:2::2", Ok(())),
            (7, "2a01:4f8:1:2::3", Err(Refusal::HandshakesFromSubnet)),
        ] {
            assert_eq!(enter(&mut gate, seconds, ip), result, "{ip}");
        }
        gate.leave(ConnId(1000));
        // What never entered ends nothing.
        gate.leave(ConnId(77));
        assert_eq!(enter(&mut gate, 8, "203.0.113.3"), Ok(()));
        assert_eq!(gate.len(), 5);
    }

    #[test]
    fn refusals_for_want_of_room_are_not_counted_as_tries() {
        let limits = Limits { max_handshakes: 1, ..one_try() };
        let mut gate = gate(&limits);
        assert_eq!(enter(&mut gate, 0, "198.51.100.1"), Ok(()));
        assert_eq!(enter(&mut gate, 0, "203.0.113.1"), Err(Refusal::TooManyHandshakes));
        gate.leave(ConnId(0));
        assert_eq!(enter(&mut gate, 0, "203.0.113.1"), Ok(()));
    }

    #[test]
    fn addresses_outside_the_net_restriction_are_refused_before_anything_is_counted() {
        let list = "127.0.0.0/8, 2a01:4f8::/32".parse().unwrap();
        let policy = Policy::default().with_net_restrict(Some(list));
        let mut gate = gate(&Limits::default());
        let refused = Err(Refusal::Forbidden(Forbidden::NetRestricted));
        assert_eq!(enter_under(&policy, &mut gate, 0, "127.0.0.1"), Ok(()));
        assert_eq!(enter_under(&policy, &mut gate, 0, "2a01:4f8::1"), Ok(()));
        assert_eq!(enter_under(&policy, &mut gate, 0, "10.0.0.1"), refused);
        assert_eq!(gate.len(), 2);
        assert_eq!(gate.tries.len(), 1);
    }

    #[test]
    fn a_flood_of_addresses_costs_bounded_memory() {
        let mut gate = gate(&one_try());
        for i in 0..(MAX_ADDRESSES as u32 + 500) {
            let ip = IpAddr::from((0x5000_0000 + i).to_be_bytes());
            let (conn, remote) = (ConnId(u64::from(i)), SocketAddr::new(ip, 1));
            gate.enter(at(0), &Policy::default(), conn, remote).unwrap();
            gate.leave(ConnId(u64::from(i)));
        }
        assert_eq!(gate.tries.len(), MAX_ADDRESSES);
        assert_eq!(gate.len(), 0);
        assert!(gate.subnets.is_empty());
    }
}
