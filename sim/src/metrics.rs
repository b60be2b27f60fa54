//! What is measured of a world over time. Whole numbers only: the same on every machine.

use std::collections::BTreeSet;

use peerage_node::NodeId;
use peerage_peering::Slot;

use crate::{HostId, World};

/// A world at one moment. Means are in hundredths; shares are in parts per million.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Sample {
    /// Seconds of virtual time.
    pub seconds: u64,
    /// Honest nodes that run.
    pub nodes: u64,
    /// Nodes known to a node, in its table: the mean, in hundredths.
    pub known_mean: u64,
    /// The fewest that any node knows.
    pub known_min: u64,
    /// Of those, nodes that have proved to be there: the mean, in hundredths.
    pub live_mean: u64,
    /// Peers of a node that takes any: the mean, in hundredths.
    pub peers_mean: u64,
    /// The fewest peers of any node.
    pub peers_min: u64,
    /// The most peers of any node.
    pub peers_max: u64,
    /// Nodes without any peer that would take some.
    pub lonely: u64,
    /// Peers that were added since the start, at all nodes together.
    pub added: u64,
    /// Dials that came to nothing since the start.
    pub dials_failed: u64,
    /// Places in tables that the adversary holds.
    pub adversary_tables: u64,
    /// Peers that are the adversary.
    pub adversary_peers: u64,
    /// Datagrams sent since the start.
    pub datagrams: u64,
    /// Bytes written to streams since the start.
    pub stream_bytes: u64,
    /// Events since the start.
    pub events: u64,
}

impl Sample {
    /// Measures a world in which the nodes of `adversary` are nobody's friends.
    pub fn of(world: &World, adversary: &BTreeSet<NodeId>) -> Self {
        let net = world.net_stats();
        let mut sample = Self {
            seconds: world.now().as_nanos() / 1_000_000_000,
            known_min: u64::MAX,
            peers_min: u64::MAX,
            datagrams: net.datagrams,
            stream_bytes: net.stream_bytes,
            events: world.events(),
            ..Self::default()
        };
        let (mut known, mut live, mut peering, mut peers) = (0, 0, 0, 0);
        let (mut held, mut evil) = (0, 0);
        for host in world.hosts() {
            let Some(node) = world.node(host) else { continue };
            sample.nodes += 1;
            let count = node.peer_count() as u64;
            peers += count;
            if node.has_peers() {
                peering += 1;
                sample.peers_min = sample.peers_min.min(count);
                sample.peers_max = sample.peers_max.max(count);
                sample.lonely += u64::from(count == 0);
            }
            sample.added += node.seen().added;
            sample.dials_failed += node.seen().dials_failed;
            if let Some(v4) = node.v4() {
                let table = v4.table();
                known += table.len() as u64;
                live += table.live() as u64;
                sample.known_min = sample.known_min.min(table.len() as u64);
                if !adversary.is_empty() {
                    let ids = table.entries().map(|entry| entry.id());
                    held += ids.filter(|id| adversary.contains(id)).count() as u64;
                }
            }
            if !adversary.is_empty() {
                evil += node.peers().filter(|(id, _)| adversary.contains(id)).count() as u64;
            }
        }
        let nodes = sample.nodes.max(1);
        sample.known_mean = known * 100 / nodes;
        sample.live_mean = live * 100 / nodes;
        sample.peers_mean = peers * 100 / u64::max(peering, 1);
        sample.adversary_tables = held * 1_000_000 / known.max(1);
        sample.adversary_peers = evil * 1_000_000 / peers.max(1);
        for fewest in [&mut sample.known_min, &mut sample.peers_min] {
            // Of nobody.
            *fewest = if *fewest == u64::MAX { 0 } else { *fewest };
        }
        sample
    }
}

/// How many nodes have how many peers: at place n the number of nodes with n peers.
pub fn degrees(world: &World) -> Vec<u64> {
    let mut degrees = Vec::new();
    let nodes = world.hosts().filter_map(|host| world.node(host));
    for node in nodes.filter(|node| node.has_peers()) {
        let count = node.peer_count();
        if degrees.len() <= count {
            degrees.resize(count + 1, 0);
        }
        degrees[count] += 1;
    }
    degrees
}

/// The share of one host's table and of its peers that `adversary` holds, in parts per million.
pub fn held(world: &World, victim: HostId, adversary: &BTreeSet<NodeId>) -> (u64, u64) {
    let Some(node) = world.node(victim) else { return (0, 0) };
    let share = |part: usize, of: usize| part as u64 * 1_000_000 / (of as u64).max(1);
    let table = node.v4().map_or(0, |v4| {
        let entries = v4.table().entries().filter(|it| adversary.contains(&it.id())).count();
        share(entries, v4.table().len())
    });
    let peers = node.peers().filter(|(id, _)| adversary.contains(id)).count();
    (table, share(peers, node.peer_count()))
}

/// How many peers of a node hold a slot of this kind.
pub fn in_slot(world: &World, host: HostId, slot: Slot) -> usize {
    world.node(host).map_or(0, |node| node.peers().filter(|(_, of)| *of == slot).count())
}

/// How many groups of nodes there are between which there is no way from peer to peer.
pub fn components(world: &World) -> usize {
    let takes_part = |host: &HostId| world.node(*host).is_some_and(|node| node.has_peers());
    let mut unseen: BTreeSet<HostId> = world.hosts().filter(takes_part).collect();
    let mut count = 0;
    while let Some(first) = unseen.pop_first() {
        count += 1;
        let mut at = vec![first];
        while let Some(host) = at.pop() {
            let Some(node) = world.node(host) else { continue };
            let next = node.peers().filter_map(|(id, _)| world.host_of(&id));
            at.extend(next.filter(|other| unseen.remove(other)).collect::<Vec<_>>());
        }
    }
    count
}
