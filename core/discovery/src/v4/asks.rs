//! Requests to nodes that know us, or are first made to: FINDNODE and ENRREQUEST.
//!
//! ```text
//!                        +-- known to us, and we to it --+
//!                        |                               v
//!   start --> Bonding --pong--> Greeting --ping, or a while--> Queued --> Sent --> done
//!                |                                          (one FINDNODE per node)  |
//!                +-- no pong in time --> failed                no answer in time --> failed
//! ```

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
};

use peerage_machine::{Instant, TimerTable, list_bound, tree_memory, vec_memory};
use peerage_node::Node;

use super::{
    bonds::Claimant,
    packet::{Target, Token},
};
use crate::{CLOSEST, finder};

/// A request, unique for the life of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct AskId(u64);

/// What a node is asked for.
pub(super) type Request = finder::Request<Target>;

/// How far a request is; above stands the diagram.
#[derive(Clone, Debug)]
pub(super) enum Stage {
    /// We have pinged it, and wait for the pong.
    Bonding,
    /// It is proved, and we wait for it to ping us, so that we are, too.
    Greeting,
    /// Another FINDNODE to it is under way: answers to two could not be told apart.
    Queued,
    /// The request is sent.
    Sent {
        /// Its hash.
        token: Token,
        /// When to give up.
        until: Instant,
        /// What has come, as NEIGHBORS may come in several packets: how many were told, and those
        /// of them that can be used. `None` if nothing has.
        told: Option<(usize, Vec<Node>)>,
    },
}

/// A request and how far it is.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) node: Node,
    pub(super) to: SocketAddr,
    pub(super) request: Request,
    pub(super) stage: Stage,
    /// Packets that were sent for it: the request, and a ping before it.
    pub(super) packets: usize,
}

impl Ask {
    pub(super) fn claimant(&self) -> Claimant {
        Claimant { ip: self.to.ip(), id: self.node.id() }
    }

    const fn is_find(&self) -> bool {
        matches!(self.request, Request::Find { .. })
    }

    const fn is_sent(&self) -> bool {
        matches!(self.stage, Stage::Sent { .. })
    }
}

/// All requests under way: three per search, one per check of the table, and those of the driver.
/// So few that they are looked through one by one.
#[derive(Debug)]
pub(super) struct Asks {
    next: u64,
    asks: BTreeMap<AskId, Ask>,
    due: TimerTable<AskId>,
}

impl Asks {
    pub(super) const fn new() -> Self {
        Self { next: 0, asks: BTreeMap::new(), due: TimerTable::new() }
    }

    pub(super) fn add(&mut self, ask: Ask) -> AskId {
        let id = AskId(self.next);
        self.next += 1;
        self.asks.insert(id, ask);
        id
    }

    pub(super) fn get_mut(&mut self, id: AskId) -> Option<&mut Ask> {
        self.asks.get_mut(&id)
    }

    pub(super) fn remove(&mut self, id: AskId) -> Option<Ask> {
        self.due.cancel(&id);
        self.asks.remove(&id)
    }

    pub(super) fn set_due(&mut self, id: AskId, at: Instant) {
        self.due.set(id, at);
    }

    /// A request whose time has come. It is still there.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<AskId> {
        self.due.pop_due(now)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.next()
    }

    /// Requests to `claimant` that wait for its ping.
    pub(super) fn greeting(&self, claimant: Claimant) -> Vec<AskId> {
        self.ids(|ask| matches!(ask.stage, Stage::Greeting) && ask.claimant() == claimant)
    }

    /// The FINDNODE to `claimant` that is under way.
    pub(super) fn sent_find(&self, claimant: Claimant) -> Option<AskId> {
        self.ids(|ask| ask.is_find() && ask.is_sent() && ask.claimant() == claimant)
            .first()
            .copied()
    }

    /// The FINDNODE to `claimant` that is next.
    pub(super) fn queued_find(&self, claimant: Claimant) -> Option<AskId> {
        self.ids(|ask| matches!(ask.stage, Stage::Queued) && ask.claimant() == claimant)
            .first()
            .copied()
    }

    /// The requests for a record that a response with `token` from `claimant` answers.
    pub(super) fn sent_record(&self, claimant: Claimant, token: Token) -> Vec<AskId> {
        self.ids(|ask| {
            let is_same = matches!(ask.stage, Stage::Sent { token: sent, .. } if sent == token);
            is_same && !ask.is_find() && ask.claimant() == claimant
        })
    }

    /// Whether a request to `ip` has this hash.
    pub(super) fn expects(&self, ip: IpAddr, token: Token) -> bool {
        let is_same =
            |ask: &Ask| matches!(ask.stage, Stage::Sent { token: sent, .. } if sent == token);
        self.asks.values().any(|ask| is_same(ask) && ask.to.ip() == ip)
    }

    pub(super) fn len(&self) -> usize {
        self.asks.len()
    }

    /// The bytes held. Looks through all requests, like everything here.
    pub(super) fn memory(&self) -> usize {
        let told = |ask: &Ask| match &ask.stage {
            Stage::Sent { told: Some((_, nodes)), .. } => {
                vec_memory(nodes) + nodes.len() * Node::MAX_HEAP
            }
            _ => 0,
        };
        Self::memory_of(self.asks.len()) + self.asks.values().map(told).sum::<usize>()
    }

    /// The most bytes that so many requests take, of which so many ask for nodes.
    pub(super) const fn memory_bound(finds: usize, records: usize) -> usize {
        // What is told is cut to what is sought once all of a packet was taken.
        const TOLD: usize = 2 * CLOSEST;
        let told = list_bound::<Node>(TOLD) + CLOSEST * Node::MAX_HEAP;
        Self::memory_of(finds + records) + finds * told
    }

    const fn memory_of(len: usize) -> usize {
        tree_memory::<AskId, Ask>(len) + TimerTable::<AskId>::memory_of(len) + len * Node::MAX_HEAP
    }

    fn ids(&self, filter: impl Fn(&Ask) -> bool) -> Vec<AskId> {
        self.asks.iter().filter(|(_, ask)| filter(ask)).map(|(id, _)| *id).collect()
    }
}
