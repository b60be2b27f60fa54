//! What a researcher puts in from outside: protocols, measures, observers, programs.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{collections::BTreeSet, time::Duration};

use peerage_machine::Instant;
use peerage_sim::{
    Bounds, Chat, Crash, Fact, HostEvent, HostId, Io, Mail, NodeFact, NodeSpec, Observer, Peer,
    Place, Program, Protocol, ProtocolIo, ProtocolSpec, Verdict, Way, World,
    scenario::{Measure, Outcome, Run, Scenario},
};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Passes words on, and remembers what it was told.
#[derive(Debug, Default)]
struct Gossip {
    words: BTreeSet<Vec<u8>>,
    peers: BTreeSet<Peer>,
    ended: usize,
    woken: Option<Instant>,
}

impl Gossip {
    fn spec() -> ProtocolSpec {
        ProtocolSpec::new("gossip", 1, 1, Self::default)
    }

    fn say(&mut self, io: &mut ProtocolIo<'_, '_>, word: &[u8]) {
        if self.words.insert(word.to_vec()) {
            for peer in io.peers() {
                io.send(peer, 0, word).unwrap();
            }
        }
    }
}

impl Protocol for Gossip {
    fn on_start(&mut self, io: &mut ProtocolIo<'_, '_>) {
        io.wake_at(io.now().mono + seconds(7));
    }

    fn on_peer(&mut self, io: &mut ProtocolIo<'_, '_>, peer: Peer) {
        assert!(io.peers().contains(&peer));
        self.peers.insert(peer);
    }

    fn on_message(&mut self, io: &mut ProtocolIo<'_, '_>, from: Peer, code: u64, word: &[u8]) {
        assert!(self.peers.contains(&from) && code == 0);
        self.say(io, word);
    }

    fn on_end(&mut self, io: &mut ProtocolIo<'_, '_>, peer: Peer) {
        assert!(self.peers.remove(&peer));
        assert!(io.send(peer, 0, b"too late").is_err());
        self.ended += 1;
    }

    fn on_wake(&mut self, io: &mut ProtocolIo<'_, '_>) {
        assert_eq!(self.woken.replace(io.now().mono), None);
    }
}

/// Nodes without discovery, each connected to the one before.
fn line(world: &mut World, count: usize, protocols: &[ProtocolSpec]) -> Vec<HostId> {
    let mut hosts: Vec<HostId> = Vec::new();
    for _ in 0..count {
        let mut spec = NodeSpec::new(world.key());
        spec.discovery = None;
        spec.protocols = protocols.to_vec();
        spec.static_nodes.extend(hosts.last().map(|host| world.named(*host)));
        hosts.push(world.add_node(Place::Public, spec));
    }
    hosts.iter().for_each(|host| world.start(*host));
    hosts
}

fn gossip(world: &World, host: HostId) -> &Gossip {
    world.node(host).unwrap().protocol().unwrap()
}

#[test]
fn a_protocol_is_told_of_peers_messages_and_ends_and_what_it_says_arrives() {
    let mut world = World::new(1);
    // Beside another one, on the same connections.
    let hosts = line(&mut world, 5, &[Chat::every(seconds(1), 100).into(), Gossip::spec()]);
    world.run_for(seconds(60)).unwrap();
    assert_eq!(gossip(&world, hosts[1]).peers.len(), 2);
    let woken = gossip(&world, hosts[1]).woken.unwrap().saturating_since(Instant::START);
    assert!((seconds(7)..seconds(8)).contains(&woken), "{woken:?}");
    assert!(world.speak(hosts[0], |it: &mut Gossip, io| it.say(io, b"a word")).is_some());
    world.run_for(seconds(3)).unwrap();
    for host in &hosts {
        assert!(gossip(&world, *host).words.contains(&b"a word"[..]), "{host}");
    }
    world.crash(hosts[0], Crash::Process);
    world.run_for(seconds(3)).unwrap();
    let second = gossip(&world, hosts[1]);
    assert_eq!((second.ended, second.peers.len()), (1, 1));
    assert!(world.speak(hosts[0], |it: &mut Gossip, io| it.say(io, b"another")).is_none());
    // A start makes a new one.
    world.start(hosts[0]);
    assert!(gossip(&world, hosts[0]).words.is_empty());
}

#[test]
fn nodes_that_share_no_protocol_are_no_peers() {
    let mut world = World::new(2);
    let hosts = line(&mut world, 2, &[Gossip::spec()]);
    world.configure(hosts[1], |spec| spec.protocols = vec![Chat::default().into()]);
    world.crash(hosts[1], Crash::Process);
    world.start(hosts[1]);
    world.run_for(seconds(60)).unwrap();
    assert!(!world.is_peer(hosts[0], hosts[1]));
    assert!(gossip(&world, hosts[0]).peers.is_empty());
    assert!(world.node(hosts[1]).unwrap().seen().connections > 0);
}

#[test]
fn a_protocol_that_hangs_up_ends_the_peer_at_both_ends() {
    let mut world = World::new(3);
    let hosts = line(&mut world, 2, &[Gossip::spec()]);
    world.run_for(seconds(30)).unwrap();
    assert!(world.is_peer(hosts[0], hosts[1]));
    let reason = peerage_rlpx::DisconnectReason::SubprotocolReason;
    world.speak(hosts[0], |_: &mut Gossip, io| {
        io.peers().into_iter().for_each(|peer| io.disconnect(peer, reason));
    });
    world.run_for(seconds(1)).unwrap();
    assert_eq!([0, 1].map(|n| gossip(&world, hosts[n]).ended), [1, 1]);
}

/// Sends as much as is taken, or takes a message a second.
#[derive(Debug, Default)]
struct Flood {
    sent: usize,
    heard: usize,
}

impl Flood {
    /// Of each message.
    const SIZE: usize = 100_000;

    fn spec() -> ProtocolSpec {
        ProtocolSpec::new("flood", 1, 1, Self::default)
    }

    fn pour(&mut self, io: &mut ProtocolIo<'_, '_>) {
        for peer in io.peers() {
            // What does not compress.
            let payload: Vec<u8> =
                (0..Self::SIZE / 32).flat_map(|_| io.random().bytes::<32>()).collect();
            while io.send(peer, 0, &payload).is_ok() {
                self.sent += 1;
            }
        }
        io.wake_at(io.now().mono + Duration::from_millis(100));
    }
}

impl Protocol for Flood {
    fn on_message(&mut self, io: &mut ProtocolIo<'_, '_>, _: Peer, code: u64, payload: &[u8]) {
        assert_eq!((code, payload.len()), (0, Self::SIZE));
        self.heard += 1;
        io.busy_until(io.now().mono + seconds(1));
    }

    fn on_wake(&mut self, io: &mut ProtocolIo<'_, '_>) {
        self.pour(io);
    }
}

#[test]
fn a_protocol_that_is_slow_slows_its_peer_down_and_loses_nothing() {
    let mut world = World::new(4);
    let mut bounds = Bounds::default();
    bounds.per_peer = 1 << 20;
    world.set_bounds(bounds);
    let hosts = line(&mut world, 2, &[Flood::spec()]);
    world.run_for(seconds(30)).unwrap();
    world.speak(hosts[0], |it: &mut Flood, io| it.pour(io)).unwrap();
    world.run_for(seconds(100)).unwrap();
    let flood = |n: usize| world.node(hosts[n]).unwrap().protocol::<Flood>().unwrap();
    // Not dropped for its silence meanwhile, either.
    assert!(world.is_peer(hosts[0], hosts[1]) && world.is_peer(hosts[1], hosts[0]));
    assert!((95..=101).contains(&flood(1).heard), "{}", flood(1).heard);
    // What waits at either end (1.25 MiB in backlogs, and as much again taken out of them), between
    // them, and what was heard.
    let waits = (flood(0).sent - flood(1).heard) * Flood::SIZE;
    assert!((1 << 20..4 << 20).contains(&waits), "{waits}");
}

#[test]
fn what_has_arrived_for_a_busy_protocol_is_heard_after_the_end() {
    let mut world = World::new(6);
    let hosts = line(&mut world, 2, &[Flood::spec()]);
    world.run_for(seconds(30)).unwrap();
    world.speak(hosts[0], |_: &mut Flood, io| {
        let peer = io.peers()[0];
        for _ in 0..3 {
            io.send(peer, 0, &[7; Flood::SIZE]).unwrap();
        }
    });
    let other = world.named(hosts[1]).id();
    world.disconnect(hosts[0], other);
    let heard = |world: &World| world.node(hosts[1]).unwrap().protocol::<Flood>().unwrap().heard;
    world.run_for(seconds(1)).unwrap();
    assert!(!world.is_peer(hosts[1], hosts[0]));
    assert_eq!(heard(&world), 1);
    world.run_for(seconds(4)).unwrap();
    assert_eq!(heard(&world), 3);
}

/// Counts what it sees, and finds a rule broken at a certain datagram.
#[derive(Debug, Default)]
struct Counter {
    starts: usize,
    sent: usize,
    told: usize,
    added: usize,
    rests: usize,
    latest: Option<Instant>,
    most: Option<usize>,
}

impl Observer for Counter {
    fn on_fact(&mut self, verdict: &mut Verdict, at: Instant, host: HostId, fact: &Fact<'_>) {
        match fact {
            Fact::Starts => self.starts += 1,
            Fact::Sent { .. } => self.sent += 1,
            Fact::Told(_) => self.told += 1,
            fact => {
                if let Some(NodeFact::Added { .. }) = fact.reported() {
                    self.added += 1;
                }
            }
        }
        if self.most.is_some_and(|most| self.sent > most) {
            verdict.break_rule(at, host, || "it talks too much".into());
        }
    }

    fn on_rest(&mut self, _: &mut Verdict, _: Instant, _: HostId, _: &dyn Program) {
        self.rests += 1;
    }

    fn on_time(&mut self, _: &mut Verdict, at: Instant) {
        assert!(self.latest.is_none_or(|latest| latest <= at));
        self.latest = Some(at);
    }
}

fn pair(observer: Option<Counter>) -> World {
    let mut world = World::new(4);
    if let Some(observer) = observer {
        world.add_observer(Box::new(observer));
    }
    let first = NodeSpec::new(world.key());
    let first = world.add_node(Place::Public, first);
    let mut second = NodeSpec::new(world.key());
    second.discovery.as_mut().unwrap().bootnodes.push(world.named(first));
    let second = world.add_node(Place::Public, second);
    world.start(first);
    world.start(second);
    world
}

#[test]
fn an_observer_sees_everything_and_changes_nothing() {
    let (mut seen, mut unseen) = (pair(Some(Counter::default())), pair(None));
    seen.run_for(seconds(60)).unwrap();
    unseen.run_for(seconds(60)).unwrap();
    assert_eq!(seen.trace().hash(), unseen.trace().hash());
    let counter = seen.observer::<Counter>().unwrap();
    assert_eq!(counter.sent as u64, seen.net_stats().datagrams);
    assert_eq!((counter.starts, counter.added), (2, 2));
    assert!(counter.told > 0 && counter.rests >= counter.told);
    assert!(counter.latest.is_some());
}

#[test]
fn a_rule_that_an_observer_finds_broken_ends_the_run_there() {
    let mut world = pair(Some(Counter { most: Some(3), ..Counter::default() }));
    let violation = world.run_for(seconds(60)).unwrap_err();
    assert_eq!(violation.what, "it talks too much");
    assert_eq!(world.now(), violation.at);
    // One event may send several.
    assert!((4..8).contains(&world.observer::<Counter>().unwrap().sent));
}

/// A program of one's own: two tasks that write to each other, and a word on the wire at the end.
#[derive(Debug, Default)]
struct Clock {
    ticks: u32,
    way: Way,
    starts: u32,
}

impl Program for Clock {
    fn on_start(&mut self, io: &mut Io<'_>) {
        self.starts += 1;
        io.set_alarm(0, Some(io.now().mono + seconds(1)));
    }

    fn on_event(&mut self, io: &mut Io<'_>, event: HostEvent) {
        if let HostEvent::Wake(0) = event {
            io.mail(&mut self.way, Box::new(self.ticks));
        }
    }

    fn on_mail(&mut self, io: &mut Io<'_>, mail: Box<dyn Mail>) {
        let mail: Box<dyn std::any::Any> = mail;
        assert_eq!(*mail.downcast::<u32>().unwrap(), self.ticks);
        self.ticks += 1;
        if self.ticks == 3 {
            return io.exit();
        }
        io.set_alarm(0, Some(io.now().mono + seconds(1)));
    }
}

#[test]
fn a_program_of_ones_own_has_alarms_and_mail_and_stays_with_its_host() {
    let mut world = World::new(5);
    let host = world.add_host(Place::Public, 0, Box::new(Clock::default()));
    world.start(host);
    world.run_for(seconds(2)).unwrap();
    assert_eq!(world.act(host, |clock: &mut Clock, _| clock.ticks), Some(1));
    world.run_for(seconds(2)).unwrap();
    assert!(!world.is_up(host));
    assert_eq!(world.act(host, |clock: &mut Clock, _| clock.ticks), None);
    world.start(host);
    let clock: &Clock = world.program(host).unwrap();
    assert_eq!((clock.ticks, clock.starts), (3, 2));
    world.stop(host);
    assert!(!world.is_up(host));
}

/// A scenario of one's own, as far as one may be made of another one.
fn measured(measures: &'static [Measure]) -> Outcome {
    let found = Scenario::find("bootstrap").unwrap();
    let mine = Scenario { rows: measures, acts: &[], ..*found };
    let mine: &'static Scenario = Box::leak(Box::new(mine));
    let mut options = mine.options(6);
    (options.nodes, options.span, options.stand_in) = (12, seconds(100), true);
    let mut run = Run::new(mine, options).unwrap();
    run.measure_by("hosts that run", |world| {
        world.hosts().filter(|host| world.is_up(*host)).count() as u64
    });
    run.complete().unwrap()
}

#[test]
fn a_measure_of_ones_own_is_sampled_beside_those_that_are_built_in() {
    let outcome = measured(&[
        Measure::Known,
        Measure::Own("twice the nodes", |run| (2 * run.world().hosts().count()).to_string()),
    ]);
    let labels: Vec<&str> = outcome.rows.iter().map(|row| row.label.as_str()).collect();
    assert_eq!(labels, ["nodes known, mean and fewest", "twice the nodes"]);
    assert_eq!(outcome.rows[1].value, "24");
    let [series] = &outcome.series[..] else { panic!("{:?}", outcome.series) };
    assert_eq!(series.label, "hosts that run");
    // Nodes are all that there is in this one.
    let nodes: Vec<u64> = outcome.samples.iter().map(|sample| sample.nodes).collect();
    assert_eq!(series.values, nodes);
}
