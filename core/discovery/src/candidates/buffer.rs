//! The nodes of one source that wait.

use std::{collections::VecDeque, net::IpAddr, time::Duration};

use peerage_machine::{Instant, deque_memory, list_bound};
use peerage_node::{Node, NodeId, SubnetCounts};

/// Nodes of one source that wait at a time, whatever they wait for. Most are taken as soon as they
/// are found; this is what a source may be ahead of the taker, and what a flood of it may cost.
pub(super) const BUFFER: usize = 32;

/// Nodes of one subnet among them, local networks excepted: whoever holds it gets a quarter.
const MAX_SUBNET: usize = BUFFER / 4;

/// Nodes of one source that are asked for their records at a time. An answer takes about a second,
/// so that a network of which one node in ten is of use yields one each second or two.
pub(super) const ASKS: usize = 8;

/// How long a record is waited for. Discovery answers sooner, whatever the node does, or not at all
/// where it begins anew.
const ASK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a source goes on looking for one node after another source has been faster, though
/// nothing is wanted any more: as long as a walk takes to find one. Then all is quiet.
const CATCH_UP: Duration = Duration::from_secs(30);

/// The nodes of one source that wait: at most [`BUFFER`] together.
///
/// ```text
///   found --has a record, or there is no filter----------> ready --> handed over
///     |                                                      ^
///     +--has none--> unknown --it is needed--> asked --record-+
/// ```
#[derive(Debug)]
pub(super) struct Buffer {
    /// Nothing speaks against them.
    ready: VecDeque<Node>,
    /// Their records are to be asked for.
    unknown: VecDeque<Node>,
    /// Their records are asked for, until then. In the order of that; at most [`ASKS`].
    asked: VecDeque<(Node, Instant)>,
    /// The addresses of all of them.
    subnets: SubnetCounts,
    /// Until when it is to find one node, as it had none when another source had the turn.
    behind_until: Option<Instant>,
    /// When it had its last turn, in turns of all sources.
    pub(super) turn: u64,
    /// How many the source was told to be wanted; `None` if it is to be told in any case.
    pub(super) told: Option<usize>,
    /// How many nodes it has found.
    pub(super) found: u64,
    /// How many of them were handed over.
    pub(super) handed: u64,
}

/// What has no room for a node.
#[derive(Clone, Copy, Debug)]
pub(super) enum Full {
    Source,
    Subnet,
}

impl Buffer {
    pub(super) fn len(&self) -> usize {
        self.ready.len() + self.unknown.len() + self.asked.len()
    }

    /// Takes a place for a node at this address, if it is one that counts.
    pub(super) fn reserve(&mut self, ip: Option<IpAddr>) -> Result<(), Full> {
        if self.len() >= BUFFER {
            Err(Full::Source)
        } else if ip.is_none_or(|ip| self.subnets.add(ip)) {
            Ok(())
        } else {
            Err(Full::Subnet)
        }
    }

    /// Gives a place back.
    pub(super) fn release(&mut self, ip: Option<IpAddr>) {
        if let Some(ip) = ip {
            self.subnets.remove(ip);
        }
    }

    pub(super) fn has_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Another source has the turn. One that had nothing is to catch up, or whoever always has
    /// something would always be first, and the others would never be asked.
    pub(super) fn on_turn_of_another(&mut self, now: Instant) {
        if self.ready.is_empty() {
            self.behind_until = Some(now + CATCH_UP);
        }
    }

    /// Time has passed: a source that is behind need not catch up for ever.
    pub(super) fn on_time(&mut self, now: Instant) {
        self.behind_until.take_if(|until| *until <= now);
    }

    /// How many nodes are to be ready while the taker wants `wanted`: one, if it is to catch up.
    fn needs(&self, wanted: usize) -> usize {
        wanted.max(self.behind_until.is_some().into())
    }

    /// How many nodes the source is to find while the taker wants `wanted` and none is ready. No
    /// more than are needed, so that what waits is fresh; and none while some wait to be asked, as
    /// those come first.
    pub(super) fn wants(&self, wanted: usize) -> usize {
        if !self.unknown.is_empty() {
            return 0;
        }
        self.needs(wanted).min(BUFFER - self.len())
    }

    pub(super) fn push_ready(&mut self, node: Node) {
        self.ready.push_back(node);
        self.behind_until = None;
    }

    pub(super) fn push_unknown(&mut self, node: Node) {
        self.unknown.push_back(node);
    }

    pub(super) fn pop_ready(&mut self) -> Option<Node> {
        self.ready.pop_front()
    }

    /// The next node to be asked for its record, while the taker wants `wanted`.
    pub(super) fn poll_ask(&mut self, now: Instant, wanted: usize) -> Option<Node> {
        if self.asked.len() >= ASKS || self.ready.len() >= self.needs(wanted) {
            return None;
        }
        let node = self.unknown.pop_front()?;
        self.asked.push_back((node.clone(), now + ASK_TIMEOUT));
        Some(node)
    }

    /// Takes out a node that has answered.
    pub(super) fn take_asked(&mut self, id: &NodeId) -> Option<Node> {
        let at = self.asked.iter().position(|(node, _)| node.id() == *id)?;
        self.asked.remove(at).map(|(node, _)| node)
    }

    /// Takes out a node that has not answered in time.
    pub(super) fn pop_late(&mut self, now: Instant) -> Option<Node> {
        self.asked.pop_front_if(|(_, until)| *until <= now).map(|(node, _)| node)
    }

    /// When time matters next: to a node that has not answered, or to a source that is behind.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.asked.front().map(|(_, until)| *until).into_iter().chain(self.behind_until).min()
    }

    /// Takes out all nodes but those that are asked, in their order.
    pub(super) fn take_unasked(&mut self) -> Vec<Node> {
        self.ready.drain(..).chain(self.unknown.drain(..)).collect()
    }

    /// All nodes, at the end of the source.
    pub(super) fn into_nodes(self) -> impl Iterator<Item = Node> {
        let asked = self.asked.into_iter().map(|(node, _)| node);
        self.ready.into_iter().chain(self.unknown).chain(asked)
    }

    /// The bytes held beside itself, estimated as if each node had the largest record.
    pub(super) fn memory(&self) -> usize {
        deque_memory(&self.ready)
            + deque_memory(&self.unknown)
            + deque_memory(&self.asked)
            + self.len() * Node::MAX_HEAP
            + self.subnets.memory()
    }

    /// The most bytes held.
    pub(super) const fn memory_bound() -> usize {
        2 * list_bound::<Node>(BUFFER)
            + list_bound::<(Node, Instant)>(ASKS)
            + BUFFER * Node::MAX_HEAP
            + SubnetCounts::memory_bound(BUFFER)
    }
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            ready: VecDeque::new(),
            unknown: VecDeque::new(),
            asked: VecDeque::new(),
            subnets: SubnetCounts::new(MAX_SUBNET),
            behind_until: None,
            turn: 0,
            // What a source believes that has not been told anything.
            told: Some(0),
            found: 0,
            handed: 0,
        }
    }
}
