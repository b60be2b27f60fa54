//! What goes wrong on a host itself: names without an answer, no descriptors, sends that fail. A
//! node survives all of it, and goes on as its machines say.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use peerage_peering::{NAME_PATIENCE, NAMES_AT_ONCE};
use peerage_sim::{Faults, HostId, LinkProfile, NodeSpec, Place, Resolver, Settings, World};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn with_descriptors(most: usize) -> Faults {
    let mut faults = Faults::NONE;
    faults.descriptors = Some(most);
    faults
}

fn unreachable() -> Faults {
    let mut faults = Faults::NONE;
    faults.is_unreachable = true;
    faults
}

/// Nodes without discovery, and in the end one that has all of them as static nodes, by address or
/// by name.
fn star(settings: Settings, count: usize, by_name: bool) -> (World, Vec<HostId>) {
    let mut world = World::with_settings(1, settings);
    let mut hosts = Vec::new();
    let mut names = std::collections::BTreeMap::new();
    let mut center = NodeSpec::new(world.key());
    center.discovery = None;
    for n in 0..count {
        let mut spec = NodeSpec::new(world.key());
        spec.discovery = None;
        let host = world.add_node(Place::Public, spec);
        let node = world.named(host);
        names.insert(format!("n{n}.example"), vec![world.ip(host)]);
        let url = format!("enode://{}@n{n}.example:30303", node.public_key());
        center.static_nodes.push(if by_name { url.parse().unwrap() } else { node });
        hosts.push(host);
    }
    world.set_names(names);
    hosts.push(world.add_node(Place::Public, center));
    (world, hosts)
}

fn start(world: &mut World, hosts: &[HostId]) {
    hosts.iter().for_each(|host| world.start(*host));
}

fn peers(world: &World, host: HostId) -> usize {
    world.node(host).unwrap().peer_count()
}

#[test]
fn a_name_takes_its_time() {
    let mut settings = Settings::default();
    settings.resolver.delay = (seconds(3), seconds(3));
    settings.link = LinkProfile::perfect(Duration::from_millis(10));
    let (mut world, hosts) = star(settings, 1, true);
    world.trace_mut().record();
    start(&mut world, &hosts);
    world.run_for(seconds(2)).unwrap();
    assert_eq!(world.net_stats().streams, 0);
    world.run_for(seconds(2)).unwrap();
    assert_eq!(peers(&world, hosts[1]), 1);
    let lines = world.trace_mut().take_lines();
    let told = lines.iter().filter(|line| line.contains(" name ")).count();
    assert_eq!(told, 2, "a question and an answer: {lines:#?}");
}

#[test]
fn a_name_without_an_answer_is_given_up_in_time_and_asked_for_again() {
    for resolver in [Resolver::DEAD, Resolver::BROKEN] {
        let mut settings = Settings::default();
        settings.resolver = resolver;
        // More names than may be asked for at once: those that wait have their turn.
        let count = NAMES_AT_ONCE + 2;
        let (mut world, hosts) = star(settings, count, true);
        start(&mut world, &hosts);
        world.run_for(2 * NAME_PATIENCE + seconds(1)).unwrap();
        let center = world.node(hosts[count]).unwrap();
        assert_eq!(center.seen().dials_failed, count as u64, "{resolver:?}");
        assert_eq!(world.net_stats().streams, 0);
        world.set_resolver(Resolver::GOOD);
        world.run_for(seconds(600)).unwrap();
        assert_eq!(peers(&world, hosts[count]), count, "{resolver:?}");
    }
}

#[test]
fn a_stop_does_not_wait_for_names() {
    let mut settings = Settings::default();
    settings.resolver = Resolver::DEAD;
    let (mut world, hosts) = star(settings, 3, true);
    start(&mut world, &hosts);
    world.run_for(seconds(1)).unwrap();
    world.stop(hosts[3]);
    world.run_for(seconds(1)).unwrap();
    assert!(!world.is_up(hosts[3]));
}

#[test]
fn a_node_without_descriptors_dials_and_accepts_as_many_as_it_has() {
    let (mut world, hosts) = star(Settings::default(), 6, false);
    let center = hosts[6];
    world.set_faults(center, with_descriptors(4));
    start(&mut world, &hosts);
    world.run_for(seconds(90)).unwrap();
    assert_eq!(peers(&world, center), 4);
    assert!(world.net_stats().streams_refused > 0);
    assert!(world.node(center).unwrap().seen().dials_failed > 0);
    world.set_faults(center, Faults::NONE);
    world.run_for(seconds(600)).unwrap();
    assert_eq!(peers(&world, center), 6);
}

#[test]
fn a_node_without_descriptors_leaves_others_in_the_backlog_and_takes_them_when_it_has_some() {
    let mut world = World::new(2);
    let spec = NodeSpec::new(world.key());
    let server = world.add_node(Place::Public, spec);
    world.set_faults(server, with_descriptors(2));
    world.start(server);
    let mut hosts = Vec::new();
    for _ in 0..4 {
        let mut spec = NodeSpec::new(world.key());
        spec.discovery = None;
        spec.static_nodes.push(world.named(server));
        hosts.push(world.add_node(Place::Public, spec));
    }
    start(&mut world, &hosts);
    world.trace_mut().record();
    world.run_for(seconds(8)).unwrap();
    assert_eq!(peers(&world, server), 2);
    // It tries again and again, not all the time.
    let lines = world.trace_mut().take_lines();
    let tries = lines.iter().filter(|line| line.contains("cannot accept")).count();
    assert!((10..=80).contains(&tries), "{tries} tries in 8 s");
    // A peer that goes leaves its place to one that waits.
    let peer = hosts.iter().find(|host| world.is_peer(server, **host)).unwrap();
    world.crash(*peer, peerage_sim::Crash::Process);
    world.run_for(seconds(600)).unwrap();
    assert_eq!(peers(&world, server), 2);
    world.set_faults(server, Faults::NONE);
    world.run_for(seconds(600)).unwrap();
    assert_eq!(peers(&world, server), 3);
}

/// Two nodes that find each other by discovery alone.
fn pair() -> (World, [HostId; 2]) {
    let mut world = World::new(3);
    let spec = NodeSpec::new(world.key());
    let first = world.add_node(Place::Public, spec);
    let mut spec = NodeSpec::new(world.key());
    spec.discovery.as_mut().unwrap().bootnodes.push(world.named(first));
    let second = world.add_node(Place::Public, spec);
    (world, [first, second])
}

/// Nodes in a node's table that have proved to be there.
fn live(world: &World, host: HostId) -> usize {
    world.node(host).unwrap().v4().unwrap().table().live()
}

#[test]
fn datagrams_that_the_system_does_not_take_are_questions_without_an_answer() {
    let (mut world, hosts) = pair();
    let mut faults = Faults::NONE;
    faults.no_buffers = 1_000_000;
    world.set_faults(hosts[1], faults);
    start(&mut world, &hosts);
    world.run_for(seconds(60)).unwrap();
    let stats = *world.net_stats();
    assert!(stats.datagrams_refused > 0, "{stats:?}");
    assert_eq!((stats.datagrams, live(&world, hosts[1])), (0, 0));
    // Half of them are lost: discovery asks again, as where the network loses them.
    faults.no_buffers = 500_000;
    world.set_faults(hosts[1], faults);
    world.run_for(seconds(300)).unwrap();
    assert_eq!(live(&world, hosts[1]), 1);
    world.set_faults(hosts[1], Faults::NONE);
    world.run_for(seconds(300)).unwrap();
    assert_eq!(hosts.map(|host| live(&world, host)), [1, 1]);
}

#[test]
fn a_node_without_a_way_out_fails_to_dial_at_once_and_comes_back() {
    let (mut world, hosts) = star(Settings::default(), 2, false);
    start(&mut world, &hosts);
    world.run_for(seconds(30)).unwrap();
    assert_eq!(peers(&world, hosts[2]), 2);
    world.set_faults(hosts[2], unreachable());
    // What is open stays open.
    world.run_for(seconds(30)).unwrap();
    assert_eq!(peers(&world, hosts[2]), 2);
    let dialed = world.net_stats().streams;
    world.crash(hosts[0], peerage_sim::Crash::Process);
    world.run_for(seconds(60)).unwrap();
    assert!(world.node(hosts[2]).unwrap().seen().dials_failed > 0);
    assert!(world.net_stats().streams > dialed);
    world.start(hosts[0]);
    world.run_for(seconds(60)).unwrap();
    assert_eq!(peers(&world, hosts[2]), 1);
    world.set_faults(hosts[2], Faults::NONE);
    world.run_for(seconds(600)).unwrap();
    assert_eq!(peers(&world, hosts[2]), 2);
}
