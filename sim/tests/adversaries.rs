//! Each adversary in a small world: what it cannot do, and that what it can do stays small.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::{collections::BTreeSet, time::Duration};

use peerage_node::{Crypto, NodeId};
use peerage_peering::Limits;
use peerage_sim::{
    Chat, HostId, NodeSpec, Place, World,
    adversary::{Accomplices, AdversaryKind, Ring, adversary, id},
    metrics,
};

/// Honest nodes of each world, beside the newcomer.
const HONEST: usize = 8;

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Honest nodes that know the first one, and adversaries that know all of them.
struct Siege {
    world: World,
    honest: Vec<HostId>,
    evil: BTreeSet<NodeId>,
}

impl Siege {
    fn new(kind: AdversaryKind, count: usize, tune: impl Fn(usize, &mut NodeSpec)) -> Self {
        let mut world = World::new(1);
        let mut honest = Vec::new();
        for n in 0..HONEST {
            let host = add_honest(&mut world, honest.first().copied(), |spec| tune(n, spec));
            world.start(host);
            honest.push(host);
        }
        let targets: Vec<_> = honest.iter().map(|host| world.named(*host)).collect();
        let (all, mut evil) = (Ring::default(), BTreeSet::new());
        for n in 0..count {
            let key = world.key_with(Crypto::StandIn);
            evil.insert(id(&key));
            let place = match kind {
                AdversaryKind::Eclipse => Place::Subnet(u16::try_from(n % 2).unwrap()),
                _ => Place::Public,
            };
            let knows = Accomplices { targets: targets.clone(), all: all.clone() };
            let host = world.add_host(place, 0, adversary(kind, key, knows));
            world.start(host);
        }
        Self { world, honest, evil }
    }

    /// Lets time pass, and looks at each honest node every second.
    fn run(&mut self, span: u64, mut look: impl FnMut(u64, &peerage_sim::Node)) {
        for second in 0..span {
            self.world.run_for(seconds(1)).unwrap();
            for host in &self.honest {
                look(second, self.world.node(*host).unwrap());
            }
        }
    }

    /// Adds an honest node that has to find its place now.
    fn newcomer(&mut self) -> HostId {
        let host = add_honest(&mut self.world, Some(self.honest[0]), |_| {});
        self.world.start(host);
        host
    }

    /// Adversaries among the peers of a node.
    fn held(&self, node: &peerage_sim::Node) -> usize {
        held(&self.evil, node)
    }

    fn victim(&self) -> &peerage_sim::Node {
        self.world.node(self.honest[0]).unwrap()
    }

    /// Pairs of honest nodes that are not connected.
    fn strangers(&self) -> usize {
        self.honest.len() * (self.honest.len() - 1) / 2 - self.world.connected_pairs()
    }
}

fn add_honest(world: &mut World, boot: Option<HostId>, tune: impl FnOnce(&mut NodeSpec)) -> HostId {
    let mut spec = NodeSpec::new(world.key_with(Crypto::StandIn));
    if let Some(boot) = boot {
        let boot = world.named(boot);
        spec.discovery.as_mut().unwrap().bootnodes.push(boot);
    }
    spec.protocols = vec![Chat::every(seconds(10), 600).into()];
    tune(&mut spec);
    world.add_node(Place::Public, spec)
}

fn held(evil: &BTreeSet<NodeId>, node: &peerage_sim::Node) -> usize {
    node.peers().filter(|(id, _)| evil.contains(id)).count()
}

fn as_it_is(_: usize, _: &mut NodeSpec) {}

#[test]
fn honest_nodes_find_each_other_among_adversaries_of_any_kind() {
    for kind in AdversaryKind::ALL {
        let mut siege = Siege::new(kind, 4, as_it_is);
        siege.world.run_for(seconds(240)).unwrap_or_else(|broken| panic!("{kind}: {broken}"));
        assert_eq!(siege.strangers(), 0, "{kind}");
    }
}

#[test]
fn the_same_seed_gives_the_same_trace_with_adversaries_of_any_kind() {
    for kind in AdversaryKind::ALL {
        let run = || {
            let mut siege = Siege::new(kind, 3, as_it_is);
            siege.world.run_for(seconds(40)).unwrap();
            siege.world.trace().hash()
        };
        assert_eq!(run(), run(), "{kind}");
    }
}

#[test]
fn every_kind_is_named_and_found_by_its_name() {
    for kind in AdversaryKind::ALL {
        assert_eq!(kind.name().parse(), Ok(kind));
        assert!(!kind.about().is_empty());
    }
    assert!("nobody".parse::<AdversaryKind>().is_err());
}

#[test]
fn a_silent_node_never_becomes_a_peer_and_holds_no_handshake_past_its_deadline() {
    let mut siege = Siege::new(AdversaryKind::Silent, 4, as_it_is);
    let evil = siege.evil.clone();
    let mut most = 0;
    siege.run(240, |_, node| {
        assert_eq!(held(&evil, node), 0);
        most = most.max(node.counts().handshakes);
    });
    // Each comes four times in 30 s and is cut off after 10 s.
    assert!((1..=8).contains(&most), "{most} handshakes at once");
    assert_eq!(siege.strangers(), 0);
}

#[test]
fn a_slow_reader_is_cut_off_once_nothing_more_goes_out_to_it() {
    let chatty = |n, spec: &mut NodeSpec| {
        if n == 0 {
            spec.protocols = vec![Chat::every(seconds(1), 512 << 10).into()];
        }
    };
    let mut siege = Siege::new(AdversaryKind::SlowReader, 2, chatty);
    let mut last = Vec::new();
    let (evil, victim) = (siege.evil.clone(), siege.victim().spec().id());
    siege.run(180, |_, node| {
        if node.spec().id() == victim {
            last.push(held(&evil, node));
        }
    });
    // Both come in. Some 10 s fill what the system of one takes, then 20 s pass; it may come back,
    // and loses that too.
    let first = last.iter().position(|held| *held == 2).unwrap();
    let then = last[first..].iter().position(|held| *held < 2).unwrap();
    assert!((20..60).contains(&then), "{last:?}");
    assert_eq!(siege.strangers(), 0);
}

#[test]
fn a_slow_writer_is_through_with_its_handshake_in_time_or_out() {
    let mut siege = Siege::new(AdversaryKind::SlowWriter, 4, as_it_is);
    let mut most = 0;
    siege.run(240, |_, node| most = most.max(node.counts().handshakes));
    assert!((1..=8).contains(&most), "{most} handshakes at once");
    // Whoever dribbles never comes to say which network it is on, but is not silent either: it
    // holds a slot.
    assert!(siege.honest.iter().any(|host| siege.held(siege.world.node(*host).unwrap()) > 0));
    assert_eq!(siege.strangers(), 0);
}

#[test]
fn a_flood_of_handshakes_takes_its_share_and_newcomers_get_in() {
    let mut siege = Siege::new(AdversaryKind::HandshakeFlood, 4, as_it_is);
    let share = Limits::default().max_handshakes_per_subnet();
    let mut most = 0;
    siege.run(60, |_, node| most = most.max(node.counts().handshakes));
    let newcomer = siege.newcomer();
    siege.run(60, |_, node| most = most.max(node.counts().handshakes));
    assert!(most > 0);
    assert!(most <= 4 * share, "{most} handshakes at once");
    assert!(siege.victim().seen().refused > 100, "{:?}", siege.victim().seen());
    let node = siege.world.node(newcomer).unwrap();
    assert!(node.peer_count() >= HONEST - 1, "{}", node.peer_count());
    assert_eq!(
        siege.honest.iter().map(|it| siege.held(siege.world.node(*it).unwrap())).sum::<usize>(),
        0
    );
}

#[test]
fn a_flood_of_datagrams_breaks_no_bond_and_makes_nobody_a_reflector() {
    let mut siege = Siege::new(AdversaryKind::UdpFlood, 4, as_it_is);
    siege.world.run_for(seconds(60)).unwrap();
    let newcomer = siege.newcomer();
    siege.world.run_for(seconds(60)).unwrap();
    let node = siege.world.node(newcomer).unwrap();
    assert!(node.peer_count() >= HONEST - 1, "{}", node.peer_count());
    let ids: BTreeSet<_> =
        siege.honest.iter().map(|it| siege.world.node(*it).unwrap().spec().id()).collect();
    for host in siege.honest.iter().chain([&newcomer]) {
        let table = siege.world.node(*host).unwrap().v4().unwrap().table();
        let live = table.entries().filter(|it| it.is_live() && ids.contains(&it.id())).count();
        assert!(live >= HONEST - 2, "{host} has {live} honest nodes");
    }
}

#[test]
fn an_eclipse_gets_no_more_of_a_table_than_its_subnets_may_have() {
    let mut siege = Siege::new(AdversaryKind::Eclipse, 40, as_it_is);
    siege.world.run_for(seconds(300)).unwrap();
    for host in &siege.honest {
        let table = siege.world.node(*host).unwrap().v4().unwrap().table();
        let held = table.entries().filter(|it| siege.evil.contains(&it.id())).count();
        // Two subnets, and ten of one may be in a table.
        assert!(held <= 2 * 10, "{host}: {held}");
    }
    assert!(metrics::held(&siege.world, siege.honest[0], &siege.evil).0 > 0);
    // It may have every inbound slot there is: those that are for dialed peers are out of its
    // reach.
    for host in &siege.honest {
        let node = siege.world.node(*host).unwrap();
        let honest = node.peer_count() - siege.held(node);
        println!("{host}: {} of {} held", siege.held(node), node.peer_count());
        assert!(honest >= 5, "{host} has {honest} honest peers");
    }
    assert_eq!(metrics::components(&siege.world), 1);
}

#[test]
fn a_liar_sends_nobody_anywhere() {
    let mut siege = Siege::new(AdversaryKind::Liar, 4, as_it_is);
    siege.world.run_for(seconds(300)).unwrap();
    assert_eq!(siege.strangers(), 0);
    for host in &siege.honest {
        let node = siege.world.node(*host).unwrap();
        for entry in node.v4().unwrap().table().entries().filter(|it| it.is_live()) {
            let known = siege.evil.contains(&entry.id());
            assert!(known || siege.world.host_of(&entry.id()).is_some(), "{host}: {entry:?}");
            assert!(entry.endpoint().port() > 1_024);
        }
    }
}

#[test]
fn what_is_replayed_makes_no_peer_and_breaks_none() {
    let mut siege = Siege::new(AdversaryKind::Replay, 4, as_it_is);
    siege.world.run_for(seconds(120)).unwrap();
    let dropped = |siege: &Siege| siege.victim().seen().dropped;
    let before = dropped(&siege);
    siege.world.run_for(seconds(180)).unwrap();
    assert_eq!(siege.strangers(), 0);
    // Its own connections come and go; no honest one does.
    let honest = siege.victim().peers().filter(|(id, _)| !siege.evil.contains(id)).count();
    assert_eq!(honest, HONEST - 1, "{before} peers were dropped");
}

#[test]
fn whoever_says_to_be_somebody_else_never_becomes_a_peer() {
    let mut siege = Siege::new(AdversaryKind::WrongIdentity, 4, as_it_is);
    let honest: BTreeSet<_> =
        siege.honest.iter().map(|it| siege.world.node(*it).unwrap().spec().id()).collect();
    let mut closed = 0;
    siege.run(240, |_, node| {
        assert!(node.peers().all(|(id, _)| honest.contains(&id)));
        closed = closed.max(node.seen().closed);
    });
    assert!(closed > 20, "{closed} connections came to nothing");
    assert_eq!(siege.strangers(), 0);
}

#[test]
fn nodes_of_another_network_or_protocol_are_gone_within_seconds() {
    let mut siege = Siege::new(AdversaryKind::WrongNetwork, 6, as_it_is);
    let (evil, mut since, mut longest, mut seen) =
        (siege.evil.clone(), std::collections::BTreeMap::new(), 0, 0);
    siege.run(240, |second, node| {
        let own = node.spec().id();
        for id in &evil {
            if node.peers().any(|(peer, _)| peer == *id) {
                let first = *since.entry((own, *id)).or_insert(second);
                longest = longest.max(second - first);
                seen += 1;
            } else {
                since.remove(&(own, *id));
            }
        }
    });
    assert!(longest <= 3, "{longest} s");
    assert!(seen > 0);
    assert_eq!(siege.strangers(), 0);
}

#[test]
fn whoever_connects_and_leaves_at_once_is_let_in_as_often_as_the_throttle_says() {
    let mut siege = Siege::new(AdversaryKind::HitAndRun, 2, |_, spec| {
        // So that only inbound connections count.
        spec.dialing = false;
        spec.static_nodes.clear();
    });
    siege.world.run_for(seconds(240)).unwrap();
    let seen = siege.victim().seen();
    // Four times in 30 s each, for eight windows and the one that has begun.
    assert!(seen.added > 8, "{seen:?}");
    assert!(seen.added <= 2 * 4 * 9, "{seen:?}");
    assert!(seen.refused > 2 * seen.added, "{seen:?}");
}
