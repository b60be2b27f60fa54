//! A network in virtual time, of machines and of testers that send what they like.

mod demands;
mod hostile;
mod memory;
mod network;
mod newcomers;
mod stand_in;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use peerage_machine::{Instant, Machine, Now, TimerTable};
use peerage_node::{LocalRecord, Node, NodeId, Policy, SecretKey};

use super::{
    Config, Input, Output, QueryId, V4,
    packet::{Endpoint, EnrRequest, FindNode, Packet, Ping, Pong, Target, Token},
};
use crate::testing::secret;

/// Of every datagram.
const LATENCY: Duration = Duration::from_millis(10);
const START: Now = Now { mono: Instant::START, unix: Duration::from_secs(1_800_000_000) };

fn restricted_to(networks: &str) -> Policy {
    Policy::default().with_net_restrict(Some(networks.parse().unwrap()))
}

/// Everybody, by address.
#[derive(Debug)]
struct Net {
    now: Now,
    machines: BTreeMap<SocketAddr, V4>,
    /// When each wants to be woken.
    wakes: TimerTable<SocketAddr>,
    /// Clocks that differ, in seconds.
    skews: BTreeMap<SocketAddr, i64>,
    /// Addresses from and to which everything is lost.
    down: BTreeSet<SocketAddr>,
    /// Datagrams under way by the time they arrive.
    flying: BTreeMap<(Instant, u64), Datagram>,
    count: u64,
    /// What arrived where no machine is.
    mail: Vec<Datagram>,
    /// What the machines put out, besides datagrams.
    events: Vec<(SocketAddr, Output)>,
}

#[derive(Clone, Debug)]
struct Datagram {
    from: SocketAddr,
    to: SocketAddr,
    bytes: Vec<u8>,
}

impl Net {
    fn new() -> Self {
        Self {
            now: START,
            machines: BTreeMap::new(),
            wakes: TimerTable::new(),
            skews: BTreeMap::new(),
            down: BTreeSet::new(),
            flying: BTreeMap::new(),
            count: 0,
            mail: Vec::new(),
            events: Vec::new(),
        }
    }

    /// Starts the machine with the `n`th key at `addr`, which it is told, with a record.
    fn start(&mut self, n: u32, addr: SocketAddr, bootnodes: Vec<Node>) {
        let mut local = LocalRecord::new(secret(n), 0);
        state(&mut local, addr);
        self.start_with(n, addr, local, Config { bootnodes, ..Config::default() });
    }

    fn start_with(&mut self, n: u32, addr: SocketAddr, local: LocalRecord, config: Config) {
        let seed = [u8::try_from(n % 256).unwrap(); 32];
        let v4 = V4::new(config, secret(n), local, Vec::new(), self.now, seed);
        self.machines.insert(addr, v4);
        self.drain(addr);
    }

    fn input(&mut self, addr: SocketAddr, input: Input<'_>) {
        let now = self.now_at(addr);
        self.machines.get_mut(&addr).unwrap().handle_input(now, input);
        self.drain(addr);
    }

    /// Sends, as of now.
    fn send(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        if self.down.contains(&from) || self.down.contains(&to) {
            return;
        }
        self.count += 1;
        self.flying.insert((self.now.mono + LATENCY, self.count), Datagram { from, to, bytes });
    }

    /// Lets `span` pass.
    fn run(&mut self, span: Duration) {
        let end = self.now.mono + span;
        loop {
            let wakes = self.wakes.next();
            let arrives = self.flying.keys().next().map(|(at, _)| *at);
            let next = wakes.into_iter().chain(arrives).min().filter(|at| *at <= end);
            let next = next.unwrap_or(end).max(self.now.mono);
            self.now = self.now.later(next.saturating_since(self.now.mono));
            while let Some(entry) = self.flying.first_entry() {
                if entry.key().0 > self.now.mono {
                    break;
                }
                let datagram = entry.remove();
                let Datagram { from, to, ref bytes } = datagram;
                if self.machines.contains_key(&to) {
                    self.input(to, Input::Datagram { from, bytes });
                } else {
                    self.mail.push(datagram);
                }
            }
            let due: Vec<_> = std::iter::from_fn(|| self.wakes.pop_due(self.now.mono)).collect();
            for addr in &due {
                let now = self.now_at(*addr);
                self.machines.get_mut(addr).unwrap().handle_timeout(now);
                self.drain(*addr);
            }
            let is_quiet =
                due.is_empty() && self.flying.keys().next().is_none_or(|key| key.0 > end);
            if self.now.mono >= end && is_quiet {
                return;
            }
        }
    }

    fn v4(&self, addr: SocketAddr) -> &V4 {
        &self.machines[&addr]
    }

    /// What a machine has put out since this was asked last.
    fn events(&mut self, addr: SocketAddr) -> Vec<Output> {
        let (mine, others) =
            std::mem::take(&mut self.events).into_iter().partition(|(at, _)| *at == addr);
        self.events = others;
        let mine: Vec<(SocketAddr, Output)> = mine;
        mine.into_iter().map(|(_, output)| output).collect()
    }

    fn now_at(&self, addr: SocketAddr) -> Now {
        let skew = self.skews.get(&addr).copied().unwrap_or(0);
        let unix = self.now.unix.as_secs().saturating_add_signed(skew);
        Now { unix: Duration::from_secs(unix), ..self.now }
    }

    fn drain(&mut self, addr: SocketAddr) {
        while let Some(output) = self.machines.get_mut(&addr).unwrap().poll_output() {
            match output {
                Output::Send { to, bytes } => {
                    assert!(bytes.len() <= crate::v4::packet::MAX_PACKET_SIZE);
                    self.send(addr, to, bytes);
                }
                output => self.events.push((addr, output)),
            }
        }
        let v4 = self.v4(addr);
        let bound = V4::memory_bound(&v4.config, 1000, 1000);
        assert!(v4.memory() <= bound, "{} bytes of {bound}", v4.memory());
        match v4.poll_timeout() {
            Some(at) => self.wakes.set(addr, at),
            None => drop(self.wakes.cancel(&addr)),
        }
    }
}

/// Somebody with a key, who sends what it likes from where it likes.
struct Tester {
    key: SecretKey,
    addr: SocketAddr,
}

impl Tester {
    fn new(n: u32, addr: SocketAddr) -> Self {
        Self { key: secret(n), addr }
    }

    /// Sends a packet; its hash.
    fn send(&self, net: &mut Net, to: SocketAddr, packet: &Packet) -> Token {
        let (bytes, token) = packet.encode(&self.key);
        net.send(self.addr, to, bytes);
        token
    }

    /// Lets `span` pass, and reads what has come.
    fn read(&self, net: &mut Net, span: Duration) -> Vec<(Packet, Token)> {
        net.run(span);
        let (mine, others) =
            std::mem::take(&mut net.mail).into_iter().partition(|it| it.to == self.addr);
        net.mail = others;
        let mine: Vec<Datagram> = mine;
        mine.iter()
            .map(|datagram| {
                let (packet, _, token) = Packet::decode(&datagram.bytes).unwrap();
                (packet, token)
            })
            .collect()
    }

    /// Sends a packet and reads what comes while go-ethereum's tests would wait.
    fn exchange(&self, net: &mut Net, to: SocketAddr, packet: &Packet) -> Vec<Packet> {
        self.send(net, to, packet);
        self.read(net, READ_WAIT).into_iter().map(|(packet, _)| packet).collect()
    }

    /// Proves itself: pings, and answers the ping that comes back, with no time lost.
    fn bond(&self, net: &mut Net, to: SocketAddr) {
        let token = self.send(net, to, &self.ping(to));
        let answers = self.read(net, 2 * LATENCY);
        assert!(answers.iter().any(|(it, _)| matches!(it, Packet::Pong(it) if it.token == token)));
        let asked = answers.iter().find(|(it, _)| matches!(it, Packet::Ping(_))).expect("a ping");
        self.send(net, to, &self.pong(to, asked.1));
        net.run(LATENCY);
    }

    fn ping(&self, to: SocketAddr) -> Packet {
        Packet::Ping(Ping {
            from: Endpoint::new(self.addr, self.addr.port()),
            to: Endpoint::new(to, 0),
            expiration: VALID,
            seq: None,
        })
    }

    fn pong(&self, to: SocketAddr, token: Token) -> Packet {
        Packet::Pong(Pong { to: Endpoint::new(to, 0), token, expiration: VALID, seq: None })
    }

    fn node(&self) -> Node {
        Node::from_endpoint(*self.key.public(), self.addr, None)
    }
}

/// How long go-ethereum's tests wait for a packet.
const READ_WAIT: Duration = Duration::from_millis(300);

/// When packets of testers expire: in a day.
const VALID: u64 = 1_800_086_400;

fn find_node() -> Packet {
    Packet::FindNode(FindNode { target: Target([5; 64]), expiration: VALID })
}

fn enr_request() -> Packet {
    Packet::EnrRequest(EnrRequest { expiration: VALID })
}

fn state(local: &mut LocalRecord, addr: SocketAddr) {
    match addr {
        SocketAddr::V4(addr) => local.set_ip4(Some(*addr.ip())).unwrap(),
        SocketAddr::V6(addr) => local.set_ip6(Some(*addr.ip())).unwrap(),
    }
    local.set_udp4(Some(addr.port())).unwrap();
    local.set_tcp4(Some(addr.port())).unwrap();
}

/// The node with the `n`th key at `addr`, as a boot node is told.
fn node(n: u32, addr: SocketAddr) -> Node {
    Node::from_endpoint(*secret(n).public(), addr, None)
}

fn id(n: u32) -> NodeId {
    secret(n).public().id()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const QUERY: QueryId = QueryId(7);
