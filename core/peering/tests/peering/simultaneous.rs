//! Two nodes dial each other: every order in which events can reach them, gone through completely.
//!
//! Two real machines, and between them a model of the network: for each of the two connections,
//! messages that arrive in order in each direction, and for everything else any order at all. Each
//! end may see the other at the address that it dials, or at another one; and strangers may claim
//! to be the other one. States that were seen before are not gone through again, which is what
//! makes the search end.

use std::{
    collections::{BTreeSet, VecDeque},
    net::SocketAddr,
};

use peerage_machine::{Machine, Now};
use peerage_node::{Node, PublicKey};
use peerage_peering::{
    Config, Limits, Server, Source,
    envelope::{ConnId, DialError, DialId, Input, Output},
};
use peerage_rlpx::{DisconnectReason, Fault, LocalFault};

use crate::support::{endpoint, id, key, limits};

/// What travels on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Message {
    /// TCP: somebody connects.
    Syn,
    Auth,
    Ack,
    Hello,
    Disconnect(DisconnectReason),
    /// TCP: the connection is lost.
    Lost,
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// A source finds the other node.
    Found { at: usize },
    /// The dial of `link` connects.
    Connects { link: usize },
    /// The dial of `link` ends, as was asked.
    Cancelled { link: usize },
    /// The first message that travels to `at` arrives.
    Arrives { link: usize, at: usize },
    /// The end of `link` at `at`, which said goodbye, has closed.
    Closes { link: usize, at: usize },
    /// The connection is lost, once in a run at most.
    Loses { link: usize },
    /// A stranger connects to `at`, and claims to be the other node.
    Claims { at: usize },
    /// The stranger's connection to `at` has closed.
    GivesUp { at: usize },
}

#[derive(Debug, Default)]
struct End {
    inbox: VecDeque<Message>,
    known: bool,
    closing: bool,
    closed: bool,
}

/// The connection that node `n` begins, for `links[n]`.
#[derive(Debug, Default)]
struct Link {
    dial: Option<DialId>,
    cancel: bool,
    ends: [End; 2],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stranger {
    Absent,
    Claiming,
    Gone,
}

/// What is given, while the order of events is not.
#[derive(Clone, Copy, Debug)]
struct Setting<'a> {
    nodes: [u8; 2],
    limits: [&'a Limits; 2],
    /// Whether connections from the other node come from where this one dials it.
    known: [bool; 2],
    /// Whether a source finds the other node.
    finds: [bool; 2],
    /// Whether a stranger comes.
    strangers: [bool; 2],
    may_lose: bool,
}

#[derive(Debug)]
struct Pair {
    nodes: [u8; 2],
    known: [bool; 2],
    keys: [PublicKey; 2],
    servers: [Server; 2],
    links: [Link; 2],
    found: [bool; 2],
    strangers: [Stranger; 2],
    may_lose: bool,
}

impl Pair {
    /// The keys are those of the nodes, which take a while to derive.
    fn new(setting: &Setting<'_>, keys: [PublicKey; 2]) -> Self {
        let Setting { nodes, limits, known, finds, strangers, may_lose } = *setting;
        let server = |at: usize| {
            let limits = limits[at].clone();
            let config = Config::new(keys[at].id()).with_limits(limits);
            let mut server = Server::new(config, [9; 32]);
            while server.poll_output().is_some() {}
            server
        };
        Self {
            nodes,
            known,
            keys,
            servers: [server(0), server(1)],
            links: Default::default(),
            found: finds.map(|finds| !finds),
            strangers: strangers.map(|comes| if comes { Stranger::Absent } else { Stranger::Gone }),
            may_lose,
        }
    }

    /// Everything that can happen now.
    fn events(&self) -> Vec<Event> {
        let mut events = Vec::new();
        for at in 0..2 {
            if !self.found[at] {
                events.push(Event::Found { at });
            }
            match self.strangers[at] {
                Stranger::Absent => events.push(Event::Claims { at }),
                Stranger::Claiming => events.push(Event::GivesUp { at }),
                Stranger::Gone => {}
            }
        }
        for (link, of) in self.links.iter().enumerate() {
            if of.dial.is_some() {
                events.push(Event::Connects { link });
                if of.cancel {
                    events.push(Event::Cancelled { link });
                }
            }
            for (at, end) in of.ends.iter().enumerate() {
                if !end.inbox.is_empty() && !end.closed {
                    events.push(Event::Arrives { link, at });
                }
                if end.closing && !end.closed {
                    events.push(Event::Closes { link, at });
                }
            }
            if self.may_lose && of.ends.iter().all(|end| end.known && !end.closed) {
                events.push(Event::Loses { link });
            }
        }
        events
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Found { at } => {
                self.found[at] = true;
                let other = endpoint(self.nodes[1 - at]);
                let node = Node::from_endpoint(self.keys[1 - at], other, None);
                self.tell(at, Input::Candidate { node, source: Source::USER });
            }
            Event::Connects { link } => {
                let dial = self.links[link].dial.take().unwrap();
                self.links[link].ends[1 - link].inbox.push_back(Message::Syn);
                self.links[link].ends[link].known = true;
                let conn = ConnId(link as u64);
                let remote = endpoint(self.nodes[1 - link]);
                self.tell(link, Input::DialSucceeded { dial, conn, remote });
                if !self.links[link].ends[link].closing {
                    self.send(link, link, Message::Auth);
                }
            }
            Event::Cancelled { link } => {
                let dial = self.links[link].dial.take().unwrap();
                self.tell(link, Input::DialFailed { dial, why: DialError::Cancelled });
            }
            Event::Arrives { link, at } => {
                let message = self.links[link].ends[at].inbox.pop_front().unwrap();
                self.arrive(link, at, message);
            }
            Event::Closes { link, at } => {
                let fault =
                    Fault::Local(LocalFault::Disconnected(DisconnectReason::AlreadyConnected));
                self.close(link, at, fault);
            }
            Event::Loses { link } => {
                self.may_lose = false;
                for end in &mut self.links[link].ends {
                    end.inbox.push_back(Message::Lost);
                }
            }
            Event::Claims { at } => {
                self.strangers[at] = Stranger::Claiming;
                let conn = stranger(at);
                self.tell(at, Input::Accepted { conn, remote: endpoint(9) });
                self.tell(at, Input::Identified { conn, key: self.keys[1 - at] });
            }
            Event::GivesUp { at } => {
                self.strangers[at] = Stranger::Gone;
                let fault = Fault::Local(LocalFault::Lost);
                self.tell(at, Input::Closed { conn: stranger(at), fault });
            }
        }
    }

    fn arrive(&mut self, link: usize, at: usize, message: Message) {
        let conn = ConnId(link as u64);
        let identified = Input::Identified { conn, key: self.keys[1 - at] };
        let closing = self.links[link].ends[at].closing;
        match message {
            Message::Syn => {
                self.links[link].ends[at].known = true;
                let from = if self.known[at] { self.nodes[1 - at] } else { 8 };
                let remote = SocketAddr::new(endpoint(from).ip(), 50_000);
                self.tell(at, Input::Accepted { conn, remote });
            }
            Message::Disconnect(reason) => self.close(link, at, Fault::Remote(reason)),
            Message::Lost => self.close(link, at, Fault::Local(LocalFault::Lost)),
            // Nobody reads any longer.
            Message::Auth | Message::Ack | Message::Hello if closing => {}
            Message::Auth => {
                self.send(link, at, Message::Ack);
                self.tell(at, identified);
            }
            Message::Ack => self.tell(at, identified),
            Message::Hello => self.tell(at, Input::Ready { conn, shared: 1 }),
        }
    }

    fn close(&mut self, link: usize, at: usize, fault: Fault) {
        let end = &mut self.links[link].ends[at];
        end.closed = true;
        end.inbox.clear();
        self.tell(at, Input::Closed { conn: ConnId(link as u64), fault });
    }

    fn send(&mut self, link: usize, from: usize, message: Message) {
        let end = &mut self.links[link].ends[1 - from];
        if !end.closed {
            end.inbox.push_back(message);
        }
    }

    fn tell(&mut self, at: usize, input: Input) {
        self.servers[at].handle_input(Now::default(), input);
        while let Some(output) = self.servers[at].poll_output() {
            match output {
                Output::Dial { dial, .. } => self.links[at].dial = Some(dial),
                Output::CancelDial { .. } => self.links[at].cancel = true,
                // Nobody who can read it is there.
                Output::Greet { conn }
                | Output::Reject { conn, .. }
                | Output::Disconnect { conn, .. }
                    if conn == stranger(at) => {}
                Output::Greet { conn } => {
                    self.send(usize::try_from(conn.0).unwrap(), at, Message::Hello);
                }
                Output::Reject { conn, reason } | Output::Disconnect { conn, reason } => {
                    let link = usize::try_from(conn.0).unwrap();
                    self.links[link].ends[at].closing = true;
                    self.send(link, at, Message::Disconnect(reason));
                }
                Output::Refuse { .. } => unreachable!("because these addresses are local"),
                Output::Accepting(_)
                | Output::Begin { .. }
                | Output::CandidateSkipped { .. }
                | Output::DialFailed { .. }
                | Output::Forget { .. }
                | Output::Keep { .. }
                | Output::Locate { .. }
                | Output::PeerAdded { .. }
                | Output::PeerDropped { .. }
                | Output::PolicyChanged { .. }
                | Output::Resolve { .. }
                | Output::SlotChanged { .. }
                | Output::Stopped
                | Output::WantCandidates { .. } => {}
            }
        }
    }

    /// The connections by which each end has the other as a peer.
    fn kept(&self) -> [Vec<u64>; 2] {
        [0, 1].map(|at| self.servers[at].peers().iter().map(|(_, peer)| peer.conn.0).collect())
    }
}

/// The connection of the stranger who comes to `at`.
fn stranger(at: usize) -> ConnId {
    ConnId(2 + at as u64)
}

/// Goes through every order of events. Calls `judge` with the two ends, and the events, of each
/// that ended. Returns how many states there were.
fn explore(setting: &Setting<'_>, mut judge: impl FnMut([Vec<u64>; 2], &[Event])) -> usize {
    let keys = setting.nodes.map(key);
    let mut seen = BTreeSet::new();
    let mut paths: Vec<Vec<Event>> = vec![Vec::new()];
    while let Some(path) = paths.pop() {
        // Machines cannot be copied, as their randomness must not be: each path is walked anew.
        let mut pair = Pair::new(setting, keys);
        for event in &path {
            pair.happen(*event);
        }
        if !seen.insert(format!("{pair:?}")) {
            continue;
        }
        let events = pair.events();
        if events.is_empty() {
            for server in &pair.servers {
                let counts = server.counts();
                assert_eq!((counts.handshakes, counts.dialing), (0, 0), "{path:?}");
            }
            judge(pair.kept(), &path);
        }
        for event in events {
            paths.push(path.iter().copied().chain([event]).collect());
        }
    }
    seen.len()
}

/// Every setting of these limits: which node has the smaller id, and what each knows.
fn settings<'a>(limits: [&'a Limits; 2]) -> impl Iterator<Item = Setting<'a>> {
    let knowledge = [[true, true], [true, false], [false, true], [false, false]];
    let (finds, strangers, may_lose) = ([true; 2], [false; 2], false);
    [[2, 3], [3, 2]].into_iter().flat_map(move |nodes| {
        knowledge.map(|known| Setting { nodes, limits, known, finds, strangers, may_lose })
    })
}

#[test]
fn both_ends_of_a_simultaneous_dial_keep_the_same_connection_and_exactly_one() {
    for setting in settings([&limits(), &limits()]) {
        let smaller = if id(setting.nodes[0]) < id(setting.nodes[1]) { 0 } else { 1 };
        let mut kept_by_the_smaller = 0;
        let mut ends = 0;
        let states = explore(&setting, |kept, path| {
            assert_eq!(kept[0].len(), 1, "{setting:?}: {path:?}");
            assert_eq!(kept[0], kept[1], "{setting:?}: {path:?}");
            ends += 1;
            kept_by_the_smaller += usize::from(kept[0][0] == smaller);
        });
        assert!(states > 150, "the search is no search: {states} states");
        // Alone, either direction serves.
        assert!(kept_by_the_smaller > 0 && kept_by_the_smaller < ends);
    }
}

#[test]
fn when_a_connection_is_lost_on_the_way_the_ends_still_agree() {
    for setting in settings([&limits(), &limits()]) {
        let setting = Setting { may_lose: true, ..setting };
        explore(&setting, |kept, path| {
            assert!(kept[0].len() <= 1, "{setting:?}: {path:?}");
            assert_eq!(kept[0], kept[1], "{setting:?}: {path:?}");
        });
    }
}

#[test]
fn when_one_end_has_no_inbound_slot_the_ends_still_agree() {
    // One peer, and that one dialed.
    let full = limits().with_max_peers(1);
    for limits in [[&full, &limits()], [&limits(), &full], [&full, &full]] {
        for setting in settings(limits) {
            explore(&setting, |kept, path| {
                assert!(kept[0].len() <= 1, "{setting:?}: {path:?}");
                assert_eq!(kept[0], kept[1], "{setting:?}: {path:?}");
            });
        }
    }
}

#[test]
fn strangers_who_claim_to_be_the_other_node_change_nothing() {
    for setting in settings([&limits(), &limits()]) {
        // Whoever dials, and whomever the stranger chooses. One that comes when all is over is one
        // that does not come.
        for finds in [[true, true], [true, false]] {
            for strangers in [[true, false], [false, true]] {
                let setting = Setting { finds, strangers, ..setting };
                explore(&setting, |kept, path| {
                    assert_eq!(kept[0].len(), 1, "{setting:?}: {path:?}");
                    assert_eq!(kept[0], kept[1], "{setting:?}: {path:?}");
                });
            }
        }
    }
}
