//! Who is connected to whom, and what is still missing from a full mesh.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use peerage::{Event, NodeId};

use super::{DevnetError, demo::Exchanged};

/// The network as its servers report it.
#[derive(Debug)]
pub(super) struct Mesh {
    ids: Vec<NodeId>,
    /// The number of each server.
    numbers: BTreeMap<NodeId, usize>,
    /// The peers of each server.
    peers: Vec<BTreeSet<NodeId>>,
    /// What each server got from each other one.
    exchanged: BTreeMap<(usize, NodeId), Exchanged>,
    /// Why a server could not dial another, last time it tried.
    failures: BTreeMap<(usize, NodeId), String>,
    /// Pairs of servers, lower number first, of which one has heard of the other.
    found: BTreeSet<(usize, usize)>,
    /// When all pairs had.
    found_after: Option<Duration>,
    /// When every server first had every other one as a peer.
    full_after: Option<Duration>,
}

/// A pair that is not done, for an error message.
#[derive(Debug)]
pub(crate) struct Missing {
    text: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Mesh {
    /// Servers with these ids, not connected yet.
    pub(super) fn new(ids: Vec<NodeId>) -> Self {
        Self {
            numbers: ids.iter().enumerate().map(|(number, id)| (*id, number)).collect(),
            peers: vec![BTreeSet::new(); ids.len()],
            ids,
            exchanged: BTreeMap::new(),
            failures: BTreeMap::new(),
            found: BTreeSet::new(),
            found_after: None,
            full_after: None,
        }
    }

    /// Server `node` reports something, `elapsed` after the first of them started.
    pub(super) fn on_event(&mut self, node: usize, event: &Event, elapsed: Duration) {
        match event {
            Event::NodeAdded { node: other, .. } => self.on_found(node, &other.id()),
            Event::PeerAdded { peer } => {
                self.on_found(node, &peer.id);
                self.peers[node].insert(peer.id);
                self.failures.remove(&(node, peer.id));
            }
            Event::PeerDropped { id, fault, .. } => {
                self.peers[node].remove(id);
                self.failures.insert((node, *id), fault.to_string());
            }
            Event::DialFailed { id, why, .. } => {
                self.on_found(node, id);
                self.failures.insert((node, *id), why.to_string());
            }
            _ => {}
        }
        if self.found.len() == self.pairs() {
            self.found_after.get_or_insert(elapsed);
        }
        if self.is_full() {
            self.full_after.get_or_insert(elapsed);
        }
    }

    /// A server has got every message of a peer.
    pub(super) fn on_exchanged(&mut self, exchanged: Exchanged) {
        self.exchanged.insert((exchanged.node, exchanged.from), exchanged);
    }

    /// How many pairs of servers there are.
    pub(super) fn pairs(&self) -> usize {
        self.wanted() / 2
    }

    /// Of how many pairs one has heard of the other.
    pub(super) fn found(&self) -> usize {
        self.found.len()
    }

    /// When one of each pair had heard of the other.
    pub(super) const fn found_after(&self) -> Option<Duration> {
        self.found_after
    }

    /// How many ends of connections a full mesh has.
    pub(super) fn wanted(&self) -> usize {
        self.ids.len() * (self.ids.len() - 1)
    }

    /// How many ends of connections there are.
    pub(super) fn connected(&self) -> usize {
        self.peers.iter().map(BTreeSet::len).sum()
    }

    /// When the mesh was full for the first time.
    pub(super) const fn full_after(&self) -> Option<Duration> {
        self.full_after
    }

    /// Whether every server has every other one as a peer, and every message of it.
    pub(super) fn is_done(&self) -> bool {
        self.is_full() && self.exchanged.len() == self.wanted()
    }

    /// Messages and bytes of payload that arrived in whole exchanges.
    pub(super) fn totals(&self) -> (u64, u64) {
        self.exchanged.values().fold((0, 0), |(messages, bytes), exchanged| {
            (messages + exchanged.messages, bytes + exchanged.bytes)
        })
    }

    /// What to say when time is up.
    pub(super) fn deadline_error(&self, seconds: u64) -> DevnetError {
        DevnetError::Deadline {
            seconds,
            found: self.found(),
            pairs: self.pairs(),
            connected: self.connected(),
            wanted: self.wanted(),
            exchanged: self.exchanged.len(),
            missing: self.missing(),
        }
    }

    /// Server `node` knows of the node `id`, which may be the boot node.
    fn on_found(&mut self, node: usize, id: &NodeId) {
        if let Some(other) = self.numbers.get(id) {
            self.found.insert((node.min(*other), node.max(*other)));
        }
    }

    fn is_full(&self) -> bool {
        self.connected() == self.wanted()
    }

    fn missing(&self) -> Missing {
        for (node, peers) in self.peers.iter().enumerate() {
            for (other, id) in self.ids.iter().enumerate().filter(|(other, _)| *other != node) {
                if !peers.contains(id) {
                    let why = match self.failures.get(&(node, *id)) {
                        Some(why) => format!("the last thing it heard: {why}"),
                        None => "and heard nothing about it".into(),
                    };
                    return Missing { text: format!("node {node} lacks node {other} ({why})") };
                }
                if !self.exchanged.contains_key(&(node, *id)) {
                    return Missing {
                        text: format!("node {node} still waits for messages of node {other}"),
                    };
                }
            }
        }
        Missing { text: "the last of them came too late".into() }
    }
}
