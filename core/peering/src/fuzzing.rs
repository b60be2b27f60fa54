//! A model of operations: a driver that keeps the contract does things at random, and what must
//! always hold is checked after each. The body of a fuzz target, and a property test.
//!
//! It panics where something is wrong. The target itself is in `fuzz/`. Not part of the public
//! interface.

#![allow(clippy::unwrap_used, reason = "a finding is a panic")]

mod names;

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::{Instant, Machine, Now};
use peerage_node::{Node, NodeId, Policy};
use peerage_rlpx::{DisconnectReason, Fault, LocalFault, Role};

use self::names::{Numbers, endpoint, id, key, node, node_at};
use crate::{
    Config, Limits, Peer, Server, Slot, Source,
    envelope::{ConnId, DialError, DialId, Input, LocateId, Output, ResolveId},
};

/// Two of them dialed.
const MAX_PEERS: usize = 6;
const MAX_INBOUND: usize = 4;
const MAX_DIALING: usize = 3;
const MAX_HANDSHAKES: usize = 3;

/// How far a connection is, as the driver sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Stage {
    /// Peering was told of it.
    Begun {
        expected: Option<u8>,
    },
    Handshaking {
        expected: Option<u8>,
    },
    Admitted,
    Peer,
    /// Rejected or disconnected: only its end is left to tell.
    Ending {
        was_peer: bool,
    },
}

#[derive(Debug)]
struct Driver {
    settings: Config,
    server: Server,
    /// Of the nodes that operations name.
    numbers: Numbers,
    now: Now,
    next_conn: u64,
    conns: BTreeMap<ConnId, Stage>,
    /// Where the connections come from that do not come from a user.
    remotes: BTreeMap<ConnId, IpAddr>,
    dials: BTreeMap<DialId, u8>,
    /// Where each dial leads that ever was, and when it was begun.
    dialed: BTreeMap<DialId, (Instant, Vec<SocketAddr>)>,
    cancelled: Vec<DialId>,
    resolves: Vec<ResolveId>,
    locates: Vec<LocateId>,
    peers: BTreeMap<NodeId, (ConnId, Slot)>,
    /// Ordinary peers, and the inbound ones of them, before the last input.
    before: (usize, usize),
    stopping: bool,
    stopped: bool,
    accepting: bool,
    /// How often it was said how many candidates are wanted.
    wishes: usize,
}

impl Driver {
    fn new() -> Self {
        let limits = Limits {
            max_peers: MAX_PEERS,
            max_dialing: MAX_DIALING,
            max_handshakes: MAX_HANDSHAKES,
            ..Limits::default()
        };
        let static_nodes = vec![node(11), node_at(12, "example.org:1")];
        let config = Config { static_nodes, trusted: vec![id(13)], limits, ..Config::new(id(1)) };
        let mut driver = Self {
            settings: config.clone(),
            server: Server::new(config, [5; 32]),
            numbers: Numbers::of(10..=17),
            now: Now::default(),
            next_conn: 0,
            conns: BTreeMap::new(),
            remotes: BTreeMap::new(),
            dials: BTreeMap::new(),
            dialed: BTreeMap::new(),
            cancelled: Vec::new(),
            resolves: Vec::new(),
            locates: Vec::new(),
            peers: BTreeMap::new(),
            before: (0, 0),
            stopping: false,
            stopped: false,
            accepting: false,
            wishes: 0,
        };
        driver.drain();
        driver
    }

    fn tell(&mut self, input: Input) {
        let ordinary = self.count(|slot| slot.is_ordinary());
        self.before = (ordinary, self.count(|slot| slot == Slot::Inbound));
        self.server.handle_input(self.now, input);
        self.drain();
    }

    fn conn(&mut self) -> ConnId {
        self.next_conn += 1;
        ConnId(self.next_conn)
    }

    /// One operation, chosen by `what`, on the thing chosen by `which`.
    fn act(&mut self, what: u8, which: u8) {
        let n = 10 + which % 8;
        let pick = usize::from(which);
        match what {
            0 if self.accepting => {
                let conn = self.conn();
                let ip = if which.is_multiple_of(2) { [127, 0, 0, 1] } else { [203, 0, which, 1] };
                let remote = SocketAddr::from((ip, 1));
                self.conns.insert(conn, Stage::Begun { expected: None });
                self.remotes.insert(conn, remote.ip());
                self.tell(Input::Accepted { conn, remote });
            }
            1 => {
                let source = [Source::USER, Source::new("other")][pick % 2];
                let before = self.wishes;
                self.tell(Input::Candidate { node: node(n), source });
                assert_eq!(self.wishes, before + 1, "it is not said whether one may go on");
            }
            2 => self.tell(Input::AddStatic { node: node(n) }),
            3 => {
                let host = ["example.org:1", "10.1.1.1:5", "10.1.1.1:0"][pick % 3];
                self.tell(Input::AddStatic { node: node_at(n, host) });
            }
            4 => self.tell(Input::AddStatic { node: Node::new(key(n)) }),
            5 => self.tell(Input::RemoveStatic { id: id(n) }),
            6 => self.tell(Input::AddTrusted { node: node(n) }),
            7 => self.tell(Input::RemoveTrusted { id: id(n) }),
            8 => self.tell(Input::Disconnect { id: id(n), reason: DisconnectReason::Requested }),
            9 => {
                if let Some(dial) = pick_one(self.dials.keys(), pick) {
                    let expected = self.dials.remove(&dial);
                    let conn = self.conn();
                    self.conns.insert(conn, Stage::Begun { expected });
                    self.remotes.insert(conn, endpoint(n).ip());
                    self.tell(Input::DialSucceeded { dial, conn, remote: endpoint(n) });
                }
            }
            10 => {
                if let Some(dial) = pick_one(self.dials.keys(), pick) {
                    self.dials.remove(&dial);
                    self.tell(Input::DialFailed { dial, why: DialError::TimedOut });
                }
            }
            11 => {
                if let Some(resolve) = pick_one(self.resolves.iter(), pick) {
                    self.resolves.retain(|of| *of != resolve);
                    let addresses = (0..which % 3).map(|i| [10, 7, 7, i].into()).collect();
                    self.tell(Input::Resolved { resolve, addresses });
                }
                if let Some(locate) = pick_one(self.locates.iter(), pick) {
                    self.locates.retain(|of| *of != locate);
                    // At times it is another than was asked for.
                    let node = (!which.is_multiple_of(3)).then(|| names::node(n));
                    self.tell(Input::Located { locate, node });
                }
            }
            12..=15 => {
                // Mostly forward, so that there are peers.
                if let Some(conn) = pick_one(self.conns.keys(), pick) {
                    self.advance(conn, n, which);
                }
            }
            16 => {
                if let Some(conn) = pick_one(self.conns.keys(), pick) {
                    self.close(conn);
                }
            }
            17 => {
                let conn = self.conn();
                let expected = which.is_multiple_of(2).then_some(n);
                self.conns.insert(conn, Stage::Begun { expected });
                let role = match expected {
                    Some(n) => Role::Initiator { remote: key(n) },
                    None => Role::Recipient,
                };
                self.tell(Input::Stream { conn, role });
            }
            18 => {
                self.now = self.now.later(Duration::from_secs(u64::from(which)));
                self.server.handle_timeout(self.now);
                self.drain();
                let timeout = self.settings.dial_timeout;
                for (dial, (begun, _)) in &self.dialed {
                    let is_late = self.now.mono.saturating_since(*begun) >= timeout;
                    assert!(!is_late || !self.is_going_on(dial), "{dial:?} is too late");
                }
            }
            _ if which.is_multiple_of(3) => self.set_policy(which),
            _ => {
                // What no driver should say; it is not believed.
                let fault = Fault::Local(LocalFault::Lost);
                let dial = DialId(u64::MAX);
                self.tell(Input::Closed { conn: ConnId(u64::MAX), fault });
                self.tell(Input::Ready { conn: ConnId(u64::MAX), shared: 1 });
                self.tell(Input::DialFailed { dial, why: DialError::Refused });
                let resolve = ResolveId(u64::MAX);
                self.tell(Input::Resolved { resolve, addresses: Vec::new() });
                self.tell(Input::Located { locate: LocateId(u64::MAX), node: None });
            }
        }
    }

    fn set_policy(&mut self, which: u8) {
        let networks = ["10.0.0.0/8", "127.0.0.0/8", "", "0.0.0.0/0"][usize::from(which / 3) % 4];
        let policy = Policy::default().with_net_restrict(Some(networks.parse().unwrap()));
        self.tell(Input::SetPolicy { policy: policy.clone() });
        assert_eq!(self.server.policy(), &policy);
        for (conn, stage) in &self.conns {
            let is_ending = matches!(stage, Stage::Ending { .. });
            assert!(is_ending || self.is_allowed(*conn), "{conn:?} is forbidden and goes on");
        }
        // A dial that is forbidden is one that was cancelled.
        for (dial, (_, addresses)) in &self.dialed {
            let is_going_on = self.is_going_on(dial);
            assert!(!is_going_on || self.are_allowed(addresses), "{dial:?} is forbidden");
        }
    }

    /// Whether the driver dials, and peering waits for it.
    fn is_going_on(&self, dial: &DialId) -> bool {
        self.dials.contains_key(dial) && !self.cancelled.contains(dial)
    }

    fn is_allowed(&self, conn: ConnId) -> bool {
        self.is_allowed_at(self.remotes.get(&conn).copied())
    }

    fn are_allowed(&self, addresses: &[SocketAddr]) -> bool {
        addresses.iter().all(|address| self.is_allowed_at(Some(address.ip())))
    }

    fn is_allowed_at(&self, ip: Option<IpAddr>) -> bool {
        self.server.policy().check(self.now.mono, None, ip).is_ok()
    }

    /// Stops the server, and does what is left to be done.
    fn stop(&mut self) {
        // A connection that closes for any reason, and a dial that fails, are all that is left to
        // come.
        self.stopping = true;
        self.tell(Input::Stop);
        self.check();
        while let Some(dial) = self.dials.keys().next().copied() {
            assert!(!self.stopped && self.cancelled.contains(&dial));
            self.dials.remove(&dial);
            self.tell(Input::DialFailed { dial, why: DialError::Cancelled });
        }
        while let Some((conn, stage)) = self.conns.iter().next().map(|(c, s)| (*c, *s)) {
            let ending = matches!(stage, Stage::Ending { .. });
            assert!(!self.stopped && ending);
            self.close(conn);
        }
        assert!(self.stopped);
        assert!(self.peers.is_empty());
    }

    fn advance(&mut self, conn: ConnId, n: u8, which: u8) {
        match self.conns[&conn] {
            Stage::Handshaking { expected } => {
                // Node 1 is ourselves.
                let n = if which.is_multiple_of(16) { 1 } else { expected.unwrap_or(n) };
                self.tell(Input::Identified { conn, key: key(n) });
                let stage = self.conns[&conn];
                assert!(!matches!(stage, Stage::Handshaking { .. }), "no answer for {conn:?}");
            }
            Stage::Admitted => {
                self.tell(Input::Ready { conn, shared: usize::from(!which.is_multiple_of(8)) });
                assert_ne!(self.conns[&conn], Stage::Admitted, "no answer for {conn:?}");
            }
            Stage::Begun { .. } => panic!("{conn:?} neither begins nor is refused"),
            Stage::Ending { .. } => self.close(conn),
            Stage::Peer => {}
        }
    }

    fn close(&mut self, conn: ConnId) {
        let was_peer = matches!(self.conns[&conn], Stage::Peer | Stage::Ending { was_peer: true });
        self.tell(Input::Closed { conn, fault: Fault::Local(LocalFault::Lost) });
        self.conns.remove(&conn);
        let still = self.peers.values().any(|(of, _)| *of == conn);
        assert!(!still, "{conn:?} (peer: {was_peer}) closed and was not dropped");
    }

    fn drain(&mut self) {
        while let Some(output) = self.server.poll_output() {
            assert!(
                !self.stopped || matches!(output, Output::Refuse { .. }),
                "{output:?} after the end"
            );
            self.take(output);
        }
        // The nodes are 16; every connection but the accepted ones may be a stream.
        let brought = 16 + usize::try_from(self.next_conn).unwrap();
        let bound = Server::memory_bound(&self.settings, brought);
        let memory = self.server.memory();
        assert!(memory <= bound, "{memory} bytes of {bound}");
    }

    fn take(&mut self, output: Output) {
        match output {
            Output::Accepting(accepting) => self.accepting = accepting,
            Output::Begin { conn, role } => {
                let Stage::Begun { expected } = self.conns[&conn] else { panic!("{conn:?}") };
                let due = match expected {
                    Some(n) => Role::Initiator { remote: key(n) },
                    None => Role::Recipient,
                };
                assert_eq!(role, due);
                self.conns.insert(conn, Stage::Handshaking { expected });
            }
            Output::Greet { conn } => {
                let stage = self.conns.get_mut(&conn).unwrap();
                assert!(matches!(stage, Stage::Handshaking { .. }), "{conn:?} while {stage:?}");
                *stage = Stage::Admitted;
            }
            Output::CancelDial { dial } => {
                assert!(self.dials.contains_key(&dial), "{dial:?} is not under way");
                self.cancelled.push(dial);
            }
            Output::Dial { dial, key, addresses } => {
                assert!(!self.stopping && !addresses.is_empty());
                assert!(self.are_allowed(&addresses), "{addresses:?} is forbidden");
                self.dialed.insert(dial, (self.now.mono, addresses));
                assert_ne!(key.id(), id(1), "dialed ourselves");
                let n = self.numbers.number(&key.id());
                assert!(!self.peers.contains_key(&key.id()), "dialed a peer");
                let twice =
                    self.dials.iter().any(|(of, node)| *node == n && !self.cancelled.contains(of));
                assert!(!twice, "{n} is dialed twice at once");
                self.dials.insert(dial, n);
                assert!(self.dials.len() <= MAX_DIALING);
            }
            Output::Disconnect { conn, .. } | Output::Reject { conn, .. } => {
                let stage = self.conns.get_mut(&conn).unwrap();
                assert!(!matches!(stage, Stage::Ending { .. }), "{conn:?} was ended twice");
                *stage = Stage::Ending { was_peer: *stage == Stage::Peer };
            }
            Output::PeerAdded { id: of, peer: Peer { conn, key, slot, .. }, remote } => {
                assert_ne!(of, id(1), "we are our own peer");
                assert_eq!(of, key.id());
                assert_eq!(self.conns.insert(conn, Stage::Peer), Some(Stage::Admitted));
                assert_eq!(remote.map(|it| it.ip()), self.remotes.get(&conn).copied());
                assert!(self.is_allowed(conn), "{conn:?} became a peer and is forbidden");
                assert!(self.peers.insert(of, (conn, slot)).is_none(), "two peers of one id");
                // Trust that was taken away may have led over the cap: then nobody is added but an
                // heir.
                let all = self.count(|slot| slot.is_ordinary());
                let inbound = self.count(|slot| slot == Slot::Inbound);
                if slot.is_ordinary() {
                    assert!(all <= self.before.0.max(MAX_PEERS));
                }
                if slot == Slot::Inbound {
                    assert!(inbound <= self.before.1.max(MAX_INBOUND));
                }
                assert!(self.server.counts().dialing <= MAX_DIALING);
            }
            Output::PeerDropped { conn, id: of, .. } => {
                let (peer, _) = self.peers.remove(&of).expect("because it was added");
                assert_eq!(peer, conn, "another connection was dropped");
            }
            Output::Refuse { conn, .. } => {
                self.conns.remove(&conn);
            }
            Output::Locate { locate, key } => {
                assert!(!self.peers.contains_key(&key.id()), "looked for a peer");
                self.locates.push(locate);
            }
            Output::Resolve { resolve, .. } => self.resolves.push(resolve),
            Output::SlotChanged { conn, id: of, slot } => {
                assert_eq!(self.peers.insert(of, (conn, slot)).map(|(of, _)| of), Some(conn));
            }
            Output::Stopped => {
                assert!(self.stopping && self.conns.is_empty() || self.only_closing());
                self.stopped = true;
            }
            Output::WantCandidates { count } => {
                self.wishes += 1;
                assert!(count <= MAX_DIALING && !(self.stopping && count > 0));
            }
            Output::CandidateSkipped { .. }
            | Output::DialFailed { .. }
            | Output::Forget { .. }
            | Output::Keep { .. }
            | Output::PolicyChanged { .. } => {}
        }
    }

    /// The one connection whose end is being told may still be in our list.
    fn only_closing(&self) -> bool {
        self.conns.len() <= 1 && self.dials.is_empty()
    }

    fn count(&self, of: impl Fn(Slot) -> bool) -> usize {
        self.peers.values().filter(|(_, slot)| of(*slot)).count()
    }

    fn check(&self) {
        let peers = self.server.peers();
        assert_eq!(peers.len(), self.peers.len());
        for (of, (conn, slot)) in &self.peers {
            let peer = peers.get(of).expect("because it was added and not dropped");
            assert_eq!((peer.conn, peer.slot), (*conn, *slot));
        }
        assert_eq!(self.count(|slot| slot == Slot::Dialed), peers.dialed());
        assert_eq!(self.count(|slot| slot == Slot::Inbound), peers.inbound());
        let counts = self.server.counts();
        assert!(counts.handshakes <= MAX_HANDSHAKES);
        assert!(counts.dialing <= MAX_DIALING);
        let next = self.server.poll_timeout();
        assert!(!self.stopping || next.is_none());
        if next == Some(Instant::START) {
            assert_eq!(self.now, Now::default(), "a timer in the past");
        }
    }
}

/// The `pick`-th of what there is.
fn pick_one<'a, T: Copy + 'a>(
    mut of: impl ExactSizeIterator<Item = &'a T>,
    pick: usize,
) -> Option<T> {
    let len = of.len();
    if len == 0 { None } else { of.nth(pick % len).copied() }
}

/// Operations, two bytes each, and then a stop.
pub fn server(data: &[u8]) {
    let mut driver = Driver::new();
    for operation in data.chunks_exact(2).take(400) {
        driver.act(operation[0] % 20, operation[1]);
        driver.check();
    }
    driver.stop();
}

#[cfg(test)]
mod tests {
    use peerage_machine::fuzzing::replay;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_was_found_or_is_known_is_survived() {
        replay(env!("CARGO_MANIFEST_DIR"), &[("server", server)]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

        #[test]
        fn whatever_a_driver_does_slots_ids_and_the_stop_hold(
            operations in proptest::collection::vec((0_u8..20, any::<u8>()), 0..200),
        ) {
            let mut driver = Driver::new();
            for (what, which) in operations {
                driver.act(what, which);
                driver.check();
            }
            driver.stop();
        }

        #[test]
        fn the_same_seed_and_inputs_give_the_same_state(
            operations in proptest::collection::vec((0_u8..20, any::<u8>()), 0..100),
        ) {
            let [a, b] = [(), ()].map(|()| {
                let mut driver = Driver::new();
                for (what, which) in &operations {
                    driver.act(*what, *which);
                }
                format!("{driver:?}")
            });
            prop_assert_eq!(a, b);
        }
    }
}
