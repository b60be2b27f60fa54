//! From an address to a host and back, through translators and firewalls.

use std::net::{IpAddr, SocketAddr};

use peerage_machine::Instant;

use super::{Net, Place, nat::Transport};
use crate::world::HostId;

impl Net {
    /// What a packet of `host` to `to` has as its source out there, and the host that it goes to or
    /// near to. `None` where there is nobody.
    pub(super) fn outbound(
        &mut self,
        now: Instant,
        transport: Transport,
        host: HostId,
        to: SocketAddr,
    ) -> Option<(SocketAddr, HostId)> {
        let station = &self.stations[host.index()];
        let ip = *station.ips.iter().find(|ip| ip.is_ipv4() == to.is_ipv4())?;
        let inner = SocketAddr::new(ip, station.udp.unwrap_or(0));
        match station.gateway {
            None => self.near(to.ip()).map(|target| (inner, target)),
            Some(gateway) => match self.gateways[gateway].local(to.ip()) {
                Some(target) => Some((inner, target)),
                None => {
                    let target = self.near(to.ip())?;
                    let outer = self.gateways[gateway].outbound(now, transport, inner, to);
                    Some((outer, target))
                }
            },
        }
    }

    /// The host and the port there that a packet from `from`, sent by `sender`, to `to` reaches.
    pub(super) fn inbound(
        &self,
        now: Instant,
        transport: Transport,
        sender: HostId,
        from: SocketAddr,
        to: SocketAddr,
    ) -> Option<(HostId, u16)> {
        let inside = self.stations[sender.index()].gateway;
        let local = inside.and_then(|gateway| self.gateways[gateway].local(to.ip()));
        let (host, port) = match (local, self.places.get(&to.ip())) {
            (Some(host), _) => (host, to.port()),
            (None, Some(Place::Host(host))) => (*host, to.port()),
            (None, Some(Place::Gateway(gateway))) => {
                let gateway = &self.gateways[*gateway];
                let inner = gateway.inbound(now, transport, to.port(), from)?;
                (gateway.local(inner.ip())?, inner.port())
            }
            (None, None) => return None,
        };
        let is_up = self.stations[host.index()].is_powered;
        (is_up && self.is_connected(sender, host)).then_some((host, port))
    }

    /// Whether no partition lies between two hosts.
    pub(super) fn is_connected(&self, a: HostId, b: HostId) -> bool {
        self.stations[a.index()].group == self.stations[b.index()].group
    }

    /// A host that is as far away as `ip` is.
    fn near(&self, ip: IpAddr) -> Option<HostId> {
        match self.places.get(&ip)? {
            Place::Host(host) => Some(*host),
            Place::Gateway(gateway) => self.gateways[*gateway].any(),
        }
    }
}
