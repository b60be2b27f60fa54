//! The network between hosts: who is where, and when what arrives.
//!
//! Not here: what hosts send, and why.

mod link;
mod local;
mod nat;
mod route;
mod stream;
mod tcp;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    net::{IpAddr, SocketAddr},
};

use peerage_machine::{Instant, Random};

pub use link::LinkProfile;
pub(crate) use link::{chance, up_to};
pub use nat::NatKind;
pub use stream::{Read, Socket};

use self::{
    link::{Line, transmit},
    nat::{Gateway, Transport},
    stream::End,
};
use super::{
    event::{Event, HostEvent},
    faults::{Faults, SendError},
    host::HostId,
    queue::Queue,
};

/// Streams that may wait to be accepted; more are not answered, as by a kernel.
const BACKLOG: usize = 128;

/// IP and UDP headers.
const UDP_HEADERS: usize = 28;

/// All hosts' places, and everything that is on its way.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) link: LinkProfile,
    pub(crate) random: Random,
    /// Decides which pairs of hosts are near each other.
    salt: u64,
    /// What new hosts lack.
    faults: Faults,
    stations: Vec<Station>,
    gateways: Vec<Gateway>,
    places: BTreeMap<IpAddr, Place>,
    streams: BTreeMap<u64, [End; 2]>,
    next_stream: u64,
    pub(crate) stats: NetStats,
}

/// What has been sent since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct NetStats {
    /// Datagrams sent.
    pub datagrams: u64,
    /// Bytes in them.
    pub datagram_bytes: u64,
    /// Datagrams that were lost on their way, for whatever reason.
    pub datagrams_lost: u64,
    /// Datagrams that the sender's own system did not take.
    pub datagrams_refused: u64,
    /// Streams dialed.
    pub streams: u64,
    /// Of those, streams that the dialer's own system did not open.
    pub streams_refused: u64,
    /// Bytes written to streams.
    pub stream_bytes: u64,
}

/// Where a host is.
#[derive(Debug)]
pub(crate) struct Station {
    ips: Vec<IpAddr>,
    gateway: Option<usize>,
    /// Whether the machine runs: then it answers what its programs do not.
    is_powered: bool,
    /// Whether its program runs.
    is_running: bool,
    epoch: u32,
    /// The ports at which a program listens.
    udp: Option<u16>,
    tcp: Option<u16>,
    backlog: VecDeque<Socket>,
    sockets: BTreeSet<Socket>,
    /// Streams that its program has open.
    open: usize,
    line: Line,
    faults: Faults,
    /// Hosts of different groups cannot reach each other.
    group: u32,
}

#[derive(Clone, Copy, Debug)]
enum Place {
    Host(HostId),
    Gateway(usize),
}

/// How a host goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The power fails: nobody is told anything, and streams stay half open.
    Power,
    /// The program is killed: the system closes its streams.
    Process,
}

impl Net {
    pub(crate) fn new(link: LinkProfile, faults: Faults, mut random: Random) -> Self {
        Self {
            link,
            faults,
            salt: u64::from_le_bytes(random.bytes()),
            random,
            stations: Vec::new(),
            gateways: Vec::new(),
            places: BTreeMap::new(),
            streams: BTreeMap::new(),
            next_stream: 0,
            stats: NetStats::default(),
        }
    }

    /// Adds a host that is reached directly at each of `ips`.
    pub(crate) fn add_host(&mut self, ips: Vec<IpAddr>) -> HostId {
        let host = self.add_station(ips.clone(), None);
        for ip in ips {
            self.places.insert(ip, Place::Host(host));
        }
        host
    }

    /// Adds a host at `ip` behind a gateway of this kind at `outside`, which is made if there is
    /// none. A firewall has the address of its host.
    pub(crate) fn add_behind(&mut self, kind: NatKind, outside: IpAddr, ip: IpAddr) -> HostId {
        let gateway = match self.places.get(&outside) {
            Some(Place::Gateway(gateway)) => *gateway,
            _ => {
                self.gateways.push(Gateway::new(kind, outside));
                let gateway = self.gateways.len() - 1;
                self.places.insert(outside, Place::Gateway(gateway));
                gateway
            }
        };
        let host = self.add_station(vec![ip], Some(gateway));
        self.gateways[gateway].insert(ip, host);
        host
    }

    fn add_station(&mut self, ips: Vec<IpAddr>, gateway: Option<usize>) -> HostId {
        let host = HostId(u32::try_from(self.stations.len()).unwrap_or(u32::MAX));
        self.stations.push(Station {
            ips,
            gateway,
            is_powered: false,
            is_running: false,
            epoch: 0,
            udp: None,
            tcp: None,
            backlog: VecDeque::new(),
            sockets: BTreeSet::new(),
            open: 0,
            line: Line::default(),
            faults: self.faults,
            group: 0,
        });
        host
    }

    /// Lets everything through to `host` that comes to its gateway at `port`.
    pub(crate) fn forward(&mut self, host: HostId, port: u16) {
        let station = &self.stations[host.index()];
        if let Some((gateway, ip)) = station.gateway.zip(station.ips.first()) {
            self.gateways[gateway].forward(SocketAddr::new(*ip, port));
        }
    }

    /// Puts a host into a group; those of different groups cannot reach each other.
    pub(crate) fn set_group(&mut self, host: HostId, group: u32) {
        self.stations[host.index()].group = group;
    }

    /// The host's program starts: its incarnation.
    pub(crate) fn start(&mut self, host: HostId) -> u32 {
        let station = &mut self.stations[host.index()];
        station.is_powered = true;
        station.is_running = true;
        station.epoch += 1;
        station.epoch
    }

    /// Whether the host's program runs.
    pub(crate) fn is_running(&self, host: HostId) -> bool {
        self.stations[host.index()].is_running
    }

    pub(crate) fn epoch(&self, host: HostId) -> u32 {
        self.stations[host.index()].epoch
    }

    pub(crate) fn ips(&self, host: HostId) -> &[IpAddr] {
        &self.stations[host.index()].ips
    }

    /// Opens or closes the ports of a host.
    pub(crate) fn listen(&mut self, host: HostId, udp: Option<u16>, tcp: Option<u16>) {
        let station = &mut self.stations[host.index()];
        (station.udp, station.tcp) = (udp, tcp);
    }

    /// The host's program ends, in whatever way.
    pub(crate) fn end(&mut self, now: Instant, queue: &mut Queue<Event>, host: HostId, how: Crash) {
        let station = &mut self.stations[host.index()];
        (station.udp, station.tcp) = (None, None);
        station.is_running = false;
        station.epoch += 1;
        station.is_powered = how == Crash::Process;
        station.backlog.clear();
        for socket in std::mem::take(&mut station.sockets) {
            match how {
                Crash::Power => {
                    if let Some(end) = self.end_mut(socket) {
                        end.is_held = false;
                        end.unread.clear();
                    }
                    self.sweep(socket);
                }
                Crash::Process => self.close(now, queue, socket),
            }
        }
        self.stations[host.index()].open = 0;
    }

    /// Sends a datagram, with a source address that is not the host's if `forged` is one. An error
    /// is of the host's own system; what else becomes of the datagram is the network's secret.
    pub(crate) fn send(
        &mut self,
        now: Instant,
        queue: &mut Queue<Event>,
        host: HostId,
        forged: Option<SocketAddr>,
        to: SocketAddr,
        mut bytes: Vec<u8>,
    ) -> Result<(), SendError> {
        self.takes_datagram(host)?;
        self.stats.datagrams += 1;
        self.stats.datagram_bytes += bytes.len() as u64;
        let Some((from, target)) = self.outbound(now, Transport::Udp, host, to) else {
            self.stats.datagrams_lost += 1;
            return Ok(());
        };
        let from = forged.unwrap_or(from);
        let size = bytes.len() + UDP_HEADERS;
        let bandwidth = self.link.bandwidth;
        let up = transmit(&mut self.stations[host.index()].line.up, now, size, bandwidth);
        let is_lost = size > self.link.mtu || chance(&mut self.random, self.link.loss);
        let Some(sent) = up.filter(|_| !is_lost) else {
            self.stats.datagrams_lost += 1;
            return Ok(());
        };
        if chance(&mut self.random, self.link.corrupt) && !bytes.is_empty() {
            let at = self.random.below(bytes.len() as u64);
            bytes[usize::try_from(at).unwrap_or(0)] ^= 1 << self.random.below(8);
        }
        let latency = self.link.latency(self.salt, host, target);
        if chance(&mut self.random, self.link.duplicate) {
            let at = sent + latency + up_to(&mut self.random, self.link.jitter + latency);
            queue.plan(at, Event::Datagram { sender: host, from, to, bytes: bytes.clone() });
        }
        let held = if chance(&mut self.random, self.link.reorder) {
            10 * latency
        } else {
            self.link.jitter
        };
        let at = sent + latency + up_to(&mut self.random, held);
        let through = transmit(&mut self.stations[target.index()].line.down, at, size, bandwidth);
        match through {
            Some(at) => queue.plan(at, Event::Datagram { sender: host, from, to, bytes }),
            None => self.stats.datagrams_lost += 1,
        }
        Ok(())
    }

    /// A datagram has come to where it was sent: the host that gets it, if one does.
    pub(crate) fn on_datagram(
        &mut self,
        now: Instant,
        sender: HostId,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) -> Option<(HostId, HostEvent)> {
        let found = self.inbound(now, Transport::Udp, sender, from, to);
        let host = found.filter(|(host, port)| self.stations[host.index()].udp == Some(*port));
        match host {
            Some((host, _)) => Some((host, HostEvent::Datagram { from, bytes })),
            None => {
                self.stats.datagrams_lost += 1;
                None
            }
        }
    }
}
