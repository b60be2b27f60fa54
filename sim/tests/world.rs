//! Worlds of a few hosts: that they are reproducible, and that what a network does to nodes is
//! survived.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use std::time::Duration;

use peerage_sim::{Chat, Crash, HostId, LinkProfile, NatKind, NodeSpec, Place, Settings, World};

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Nodes that know the first one as their boot node, all started.
fn crowd(world: &mut World, count: usize, place: impl Fn(usize) -> Place) -> Vec<HostId> {
    let mut hosts: Vec<HostId> = Vec::new();
    for n in 0..count {
        let mut spec = NodeSpec::new(world.key());
        spec.knows_address = matches!(place(n), Place::Public);
        if let Some(boot) = hosts.first() {
            let boot = world.named(*boot);
            spec.discovery.as_mut().unwrap().bootnodes.push(boot);
        }
        spec.protocols = vec![Chat::every(seconds(20), 600).into()];
        hosts.push(world.add_node(place(n), spec));
    }
    hosts.iter().for_each(|host| world.start(*host));
    hosts
}

/// A world that has everything in it, for a while.
fn eventful(seed: u64) -> World {
    let mut settings = Settings::default();
    settings.link = LinkProfile::poor();
    let mut world = World::with_settings(seed, settings);
    let kinds = [
        Place::Public,
        Place::Behind(NatKind::FullCone),
        Place::Behind(NatKind::Symmetric),
        Place::Forwarded(NatKind::PortRestricted),
        Place::Behind(NatKind::Firewall),
        Place::DualStack,
        Place::Subnet(1),
    ];
    let hosts = crowd(&mut world, 14, |n| kinds[n % kinds.len()]);
    world.run_for(seconds(60)).unwrap();
    world.crash(hosts[3], Crash::Power);
    world.crash(hosts[5], Crash::Process);
    world.suspend(hosts[6], seconds(70));
    world.jump_clock(hosts[7], -4_000);
    for host in &hosts[8..] {
        world.set_part(*host, 1);
    }
    world.run_for(seconds(90)).unwrap();
    for host in &hosts[8..] {
        world.set_part(*host, 0);
    }
    world.start(hosts[3]);
    world.lose_database(hosts[5]);
    world.start(hosts[5]);
    world.run_for(seconds(90)).unwrap();
    for host in &hosts {
        world.stop(*host);
    }
    world.run_for(seconds(15)).unwrap();
    assert!(hosts.iter().all(|host| !world.is_up(*host)));
    world
}

#[test]
fn the_same_seed_gives_the_same_trace_and_another_one_another() {
    let (one, same, other) = (eventful(1), eventful(1), eventful(2));
    assert_eq!(one.trace().hash(), same.trace().hash());
    assert_eq!(one.trace().events(), same.trace().events());
    assert_ne!(one.trace().hash(), other.trace().hash());
}

#[test]
fn nodes_that_know_one_boot_node_connect_to_each_other() {
    let mut world = World::new(3);
    let hosts = crowd(&mut world, 12, |_| Place::Public);
    world.run_for(seconds(300)).unwrap();
    for host in &hosts {
        let node = world.node(*host).unwrap();
        assert!(node.peer_count() >= 8, "{host} has {}", node.peer_count());
        assert!(node.seen().messages > 50, "{host}: {:?}", node.seen());
    }
}

#[test]
fn a_static_node_is_found_by_the_name_that_the_world_knows() {
    for (name, connects) in [("one.example", true), ("nobody.example", false)] {
        let mut world = World::new(8);
        let first = NodeSpec::new(world.key());
        let first = world.add_node(Place::Public, first);
        let names = [("one.example".to_owned(), vec![world.ip(first)])].into();
        world.set_names(names);
        let key = *world.named(first).public_key();
        let mut spec = NodeSpec::new(world.key());
        spec.static_nodes.push(format!("enode://{key}@{name}:30303").parse().unwrap());
        let second = world.add_node(Place::Public, spec);
        world.start(first);
        world.start(second);
        world.run_for(seconds(30)).unwrap();
        assert_eq!(world.is_peer(second, first), connects, "{name}");
    }
}

#[test]
fn a_half_open_connection_ends_with_the_silence_of_its_peer() {
    let mut world = World::new(4);
    let hosts = crowd(&mut world, 2, |_| Place::Public);
    world.run_for(seconds(60)).unwrap();
    assert!(world.is_peer(hosts[0], hosts[1]));
    world.crash(hosts[1], Crash::Power);
    // It was heard of within the last 15 s, and 30 s of silence are the end.
    world.run_for(seconds(14)).unwrap();
    assert!(world.is_peer(hosts[0], hosts[1]));
    world.run_for(seconds(17)).unwrap();
    assert!(!world.is_peer(hosts[0], hosts[1]));
}

#[test]
fn a_killed_peer_is_gone_at_once() {
    let mut world = World::new(5);
    let hosts = crowd(&mut world, 2, |_| Place::Public);
    world.run_for(seconds(60)).unwrap();
    assert!(world.is_peer(hosts[0], hosts[1]));
    world.crash(hosts[1], Crash::Process);
    world.run_for(seconds(1)).unwrap();
    assert!(!world.is_peer(hosts[0], hosts[1]));
}

#[test]
fn a_node_with_its_database_comes_back_without_its_boot_node() {
    for (loses, comes_back) in [(false, true), (true, false)] {
        let mut world = World::new(6);
        let hosts = crowd(&mut world, 5, |_| Place::Public);
        world.run_for(seconds(120)).unwrap();
        world.crash(hosts[0], Crash::Power);
        // So that nobody who knows it brings it back.
        world.set_part(hosts[4], 1);
        world.crash(hosts[4], Crash::Power);
        world.run_for(seconds(3_600)).unwrap();
        if loses {
            world.lose_database(hosts[4]);
        }
        world.set_part(hosts[4], 0);
        world.start(hosts[4]);
        world.run_for(seconds(60)).unwrap();
        assert_eq!(world.node(hosts[4]).unwrap().peer_count() > 0, comes_back);
    }
}
