//! A driver for tests: nodes are small numbers, connections have names, and outputs are text, so
//! that rounds can be written as data.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use peerage_machine::{Instant, Machine, Now};
use peerage_node::{List, Node, NodeId};
use peerage_peering::{
    Backoff, Config, Limits, Peer, Role, Server, Source, Throttle,
    envelope::{ConnId, DialError, DialId, Input, LocateId, Output, ResolveId},
};
use peerage_rlpx::{DisconnectReason, Fault, LocalFault};

/// Something that happens. Nodes are numbers; `&'static str` names a connection.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    Accept(&'static str, &'static str),
    /// From the address of a node.
    AcceptOf(&'static str, u8),
    AddKey(u8),
    AddStatic(u8),
    AddStaticAt(u8, &'static str),
    AddTrusted(u8),
    Candidate(u8),
    CandidateAt(u8, &'static str),
    CandidateOf(Source, u8),
    Close(&'static str),
    Disconnect(u8),
    /// The dial to a node succeeds, as this connection.
    DialOk(u8, &'static str),
    DialErr(u8),
    Identify(&'static str, u8),
    /// Becomes a peer by an inbound connection.
    PeerIn(&'static str, u8),
    /// Becomes a peer by the dial under way.
    PeerOut(&'static str, u8),
    /// The node last looked for is there, or nowhere.
    Located(Option<(u8, &'static str)>),
    /// Only these networks from now on; `None` for all.
    Policy(Option<&'static str>),
    Ready(&'static str),
    ReadyUseless(&'static str),
    RemoveStatic(u8),
    RemoveTrusted(u8),
    Resolved(&'static [&'static str]),
    Stop,
    Stream(&'static str, Option<u8>),
    Wait,
}

pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) seconds: u64,
    numbers: Numbers,
    conns: BTreeMap<&'static str, ConnId>,
    accepted: BTreeSet<ConnId>,
    /// Dialed connections and streams whose handshake has begun, as which end.
    begun: BTreeMap<ConnId, Role>,
    dials: BTreeMap<u8, DialId>,
    resolve: Option<ResolveId>,
    locate: Option<LocateId>,
    /// What was to be kept (true) or forgotten, by list.
    pub(crate) kept: Vec<(List, NodeId, bool)>,
}

#[path = "../../src/fuzzing/names.rs"]
mod names;

pub(crate) use names::*;

/// Round numbers: no jitter, one try per window, 35 s of history and base, 60 s to have lasted.
pub(crate) fn limits() -> Limits {
    Limits::default()
        .with_inbound_throttle(Throttle::new(1, Duration::from_secs(30)))
        .with_static_backoff(Backoff::default().with_jitter_percent(0))
}

/// Node 1 is ourselves in every test, and dials take as long as they like, unless said otherwise.
pub(crate) fn config(limits: Limits) -> Config {
    Config::new(id(1)).with_limits(limits).with_dial_timeout(Duration::MAX)
}

impl World {
    pub(crate) fn new(config: Config) -> Self {
        Self::seeded(config, 7)
    }

    pub(crate) fn seeded(config: Config, seed: u8) -> Self {
        Self {
            server: Server::new(config, [seed; 32]),
            seconds: 0,
            numbers: Numbers::of(1..=60),
            conns: BTreeMap::new(),
            accepted: BTreeSet::new(),
            begun: BTreeMap::new(),
            dials: BTreeMap::new(),
            resolve: None,
            locate: None,
            kept: Vec::new(),
        }
    }

    /// Goes through rounds of (second, what happens, outputs joined by "; "). Timers fire before
    /// what happens at the same second.
    pub(crate) fn play(&mut self, rounds: &[(u64, Do, &str)]) {
        for (i, (seconds, what, expected)) in rounds.iter().enumerate() {
            let mut got = self.advance(*seconds);
            got.extend(self.act(what));
            assert_eq!(got.join("; "), *expected, "round {i}: {what:?} at {seconds} s");
        }
    }

    /// One thing that happens now.
    pub(crate) fn act(&mut self, what: &Do) -> Vec<String> {
        match what.clone() {
            Do::Accept(conn, remote) => {
                let conn = self.conn(conn);
                let remote = SocketAddr::new(remote.parse().unwrap(), 50_000);
                self.accepted.insert(conn);
                self.tell(Input::Accepted { conn, remote })
            }
            Do::AcceptOf(conn, n) => {
                let conn = self.conn(conn);
                let remote = SocketAddr::new(endpoint(n).ip(), 50_000);
                self.accepted.insert(conn);
                self.tell(Input::Accepted { conn, remote })
            }
            Do::AddKey(n) => self.tell(Input::AddStatic { node: Node::new(key(n)) }),
            Do::AddStatic(n) => self.tell(Input::AddStatic { node: node(n) }),
            Do::AddStaticAt(n, host) => self.tell(Input::AddStatic { node: node_at(n, host) }),
            Do::AddTrusted(n) => self.tell(Input::AddTrusted { node: node(n) }),
            Do::Candidate(n) => self.candidate(node(n), Source::USER),
            Do::CandidateAt(n, host) => self.candidate(node_at(n, host), Source::USER),
            Do::CandidateOf(source, n) => self.candidate(node(n), source),
            Do::Close(conn) => {
                let conn = self.conn(conn);
                self.tell(Input::Closed { conn, fault: Fault::Local(LocalFault::Lost) })
            }
            Do::Disconnect(n) => self
                .tell(Input::Disconnect { id: id(n), reason: DisconnectReason::SubprotocolReason }),
            Do::DialOk(n, conn) => {
                let conn = self.conn(conn);
                let dial = self.dials[&n];
                let lines = self.tell(Input::DialSucceeded { dial, conn, remote: endpoint(n) });
                let role = Role::Initiator { remote: key(n) };
                assert_eq!(self.begun.get(&conn), Some(&role), "{conn:?} does not begin");
                lines
            }
            Do::DialErr(n) => {
                let dial = self.dials[&n];
                self.tell(Input::DialFailed { dial, why: DialError::Refused })
            }
            Do::Identify(conn, n) => {
                let conn = self.conn(conn);
                self.tell(Input::Identified { conn, key: key(n) })
            }
            Do::PeerIn(conn, n) => {
                let steps = [Do::Accept(conn, "127.0.0.1"), Do::Identify(conn, n), Do::Ready(conn)];
                steps.iter().flat_map(|step| self.act(step)).collect()
            }
            Do::PeerOut(conn, n) => {
                let steps = [Do::DialOk(n, conn), Do::Identify(conn, n), Do::Ready(conn)];
                steps.iter().flat_map(|step| self.act(step)).collect()
            }
            Do::Located(found) => {
                let locate = self.locate.unwrap();
                let node = found.map(|(n, host)| node_at(n, host));
                self.tell(Input::Located { locate, node })
            }
            Do::Policy(networks) => {
                let policy = self.server.policy().clone();
                let networks = networks.map(|networks| networks.parse().unwrap());
                self.tell(Input::SetPolicy { policy: policy.with_net_restrict(networks) })
            }
            Do::Ready(conn) => {
                let conn = self.conn(conn);
                self.tell(Input::Ready { conn, shared: 1 })
            }
            Do::ReadyUseless(conn) => {
                let conn = self.conn(conn);
                self.tell(Input::Ready { conn, shared: 0 })
            }
            Do::RemoveStatic(n) => self.tell(Input::RemoveStatic { id: id(n) }),
            Do::RemoveTrusted(n) => self.tell(Input::RemoveTrusted { id: id(n) }),
            Do::Resolved(addresses) => {
                let resolve = self.resolve.unwrap();
                let addresses = addresses.iter().map(|ip| ip.parse().unwrap()).collect();
                self.tell(Input::Resolved { resolve, addresses })
            }
            Do::Stop => self.tell(Input::Stop),
            Do::Stream(conn, dialed) => {
                let conn = self.conn(conn);
                let remote = dialed.map(|n| Role::Initiator { remote: key(n) });
                let role = remote.unwrap_or(Role::Recipient);
                let lines = self.tell(Input::Stream { conn, role });
                let is_refused = lines.iter().any(|line| line.starts_with("refuse"));
                assert_eq!(self.begun.get(&conn), (!is_refused).then_some(&role), "{lines:?}");
                lines
            }
            Do::Wait => Vec::new(),
        }
    }

    /// Lets time pass, with every timeout at its moment.
    pub(crate) fn advance(&mut self, seconds: u64) -> Vec<String> {
        let mut got = self.drain();
        let until = Instant::START + Duration::from_secs(seconds);
        while let Some(at) = self.server.poll_timeout().filter(|at| *at <= until) {
            let mono = at.max(self.now().mono);
            self.seconds = mono.saturating_since(Instant::START).as_secs();
            self.server.handle_timeout(Now { mono, ..Now::default() });
            got.extend(self.drain());
            assert!(self.server.poll_timeout().is_none_or(|next| next > mono), "a timer spins");
        }
        self.seconds = seconds;
        got
    }

    pub(crate) fn now(&self) -> Now {
        Now::default().later(Duration::from_secs(self.seconds))
    }

    pub(crate) fn tell(&mut self, input: Input) -> Vec<String> {
        self.server.handle_input(self.now(), input);
        self.drain()
    }

    fn candidate(&mut self, node: Node, source: Source) -> Vec<String> {
        self.tell(Input::Candidate { node, source })
    }

    fn conn(&mut self, name: &'static str) -> ConnId {
        let next = ConnId(self.conns.len() as u64);
        *self.conns.entry(name).or_insert(next)
    }

    fn name(&self, conn: ConnId) -> &'static str {
        self.conns.iter().find(|(_, of)| **of == conn).unwrap().0
    }

    pub(crate) fn number(&self, of: &NodeId) -> u8 {
        self.numbers.number(of)
    }

    fn drain(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while let Some(output) = self.server.poll_output() {
            lines.extend(self.line(output));
        }
        lines
    }

    /// What the rounds read; nothing for what every dial and every stream begins with, nor for what
    /// is to be kept.
    fn line(&mut self, output: Output) -> Option<String> {
        Some(match output {
            Output::Accepting(true) => "accepting".into(),
            Output::Accepting(false) => "not accepting".into(),
            Output::Begin { conn, role: Role::Recipient } if self.accepted.contains(&conn) => {
                format!("proceed {}", self.name(conn))
            }
            Output::Begin { conn, role } => {
                self.begun.insert(conn, role);
                return None;
            }
            Output::CandidateSkipped { id, source: Source::USER, why } => {
                format!("skip {}: {why}", self.number(&id))
            }
            Output::CandidateSkipped { id, source, why } => {
                format!("skip {} of {source}: {why}", self.number(&id))
            }
            Output::CancelDial { dial } => {
                let (n, _) = self.dials.iter().find(|(_, of)| **of == dial).unwrap();
                format!("cancel {n}")
            }
            Output::Dial { dial, key, addresses } => {
                let n = self.number(&key.id());
                self.dials.insert(n, dial);
                let addresses: Vec<String> = addresses
                    .iter()
                    .filter(|of| **of != endpoint(n))
                    .map(ToString::to_string)
                    .collect();
                if addresses.is_empty() {
                    format!("dial {n}")
                } else {
                    format!("dial {n} at {}", addresses.join(" "))
                }
            }
            Output::DialFailed { id, why, retry_at } => {
                let retry = match retry_at {
                    Some(at) => {
                        let wait = at.saturating_since(self.now().mono);
                        format!(", again in {} s", wait.as_secs())
                    }
                    None => String::new(),
                };
                format!("{} failed: {why}{retry}", self.number(&id))
            }
            Output::Disconnect { conn, reason } => format!("end {}: {reason}", self.name(conn)),
            Output::Forget { list, id } => {
                self.kept.push((list, id, false));
                return None;
            }
            Output::Keep { list, node } => {
                self.kept.push((list, node.id(), true));
                return None;
            }
            Output::Greet { conn } => format!("greet {}", self.name(conn)),
            Output::Locate { locate, key } => {
                self.locate = Some(locate);
                format!("locate {}", self.number(&key.id()))
            }
            Output::PeerAdded { id, peer: Peer { conn, slot, .. }, .. } => {
                format!("peer {} by {} as {slot:?}", self.number(&id), self.name(conn))
            }
            Output::PeerDropped { conn, id, .. } => {
                format!("dropped {} by {}", self.number(&id), self.name(conn))
            }
            Output::PolicyChanged { policy } => match policy.net_restrict() {
                Some(networks) => format!("policy {networks}"),
                None => "policy of everybody".into(),
            },
            Output::Refuse { conn, why, .. } => format!("refuse {}: {why}", self.name(conn)),
            Output::Reject { conn, reason } => format!("reject {}: {reason}", self.name(conn)),
            Output::Resolve { resolve, host } => {
                self.resolve = Some(resolve);
                format!("resolve {host}")
            }
            Output::SlotChanged { id, slot, .. } => {
                format!("slot of {}: {slot:?}", self.number(&id))
            }
            Output::Stopped => "stopped".into(),
            Output::WantCandidates { count } => format!("want {count}"),
        })
    }
}
