//! Requests of ours, until they are answered or given up.
//!
//! ```text
//!          later              a session, or nobody shakes hands
//!   start ------> Paced ------------------------------------------> Sent --> done, or failed
//!                   |                                                ^  |
//!                   | another one shakes hands                       |  | not in time:
//!                   v                                                |  | once more
//!                 Queued ---- that has ended ------------------------+--+
//! ```
//!
//! A request to a node without a session goes as a packet that nobody can open; the WHOAREYOU that
//! answers it has the request sent again, with the handshake.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::Duration,
};

use peerage_machine::{ExpiringMap, Instant, TimerTable, list_bound, tree_memory};
use peerage_node::Node;

use super::{
    packet::{MAX_MESSAGE_SIZE, Nonce, RequestId},
    sessions::Remote,
};
use crate::{
    QueryId, Rate,
    finder::{RecordFor, SearchId},
    limiter::Level,
};

/// How often a request is sent.
const TRIES: u8 = 2;

/// Packets from a node that is asked something, past the limits on what is worth looking at: all
/// parts of an answer, and a few packets that cross.
const SPARE: u8 = 8;

/// Nonces of requests that have ended, for how long they are remembered, and how many. Clients send
/// a WHOAREYOU again and again, with the nonce of the packet that was its first reason: one may be
/// the answer to a request before.
const MAX_PAST: usize = 1024;
const PAST: Duration = Duration::from_secs(10);

/// Addresses of which is known when they may be asked next. One that is forgotten may be asked at
/// once.
const MAX_PACED: usize = 1024;

/// A request, unique for the life of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CallId(u64);

/// What a request is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// PING: the table wants to know whether the node is still there.
    Check,
    /// FINDNODE at these distances.
    Find { search: SearchId, distances: Vec<u16> },
    /// PING: the driver wants to know.
    Ping(QueryId),
    /// FINDNODE for the node itself.
    Record(RecordFor),
    /// TALKREQ.
    Talk(QueryId),
}

impl Purpose {
    /// Whether the user wants it, here and now. Whom it bothers is the user's business.
    const fn is_users(&self) -> bool {
        matches!(self, Self::Ping(_) | Self::Record(RecordFor::Command(_)) | Self::Talk(_))
    }
}

/// How far a request is; above stands the diagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its turn has not come yet.
    Paced,
    /// It waits until another request has led to a session, or has not.
    Queued,
    /// It is under way.
    Sent {
        /// Whether a WHOAREYOU was answered in this try.
        is_shaken: bool,
    },
}

/// The parts of an answer that have come.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// How many have.
    pub(super) parts: u64,
    /// Records that were looked at.
    pub(super) records: usize,
    /// Those nodes of them that can be used.
    pub(super) nodes: Vec<Node>,
}

/// A request and how far it is.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) node: Node,
    pub(super) to: SocketAddr,
    pub(super) purpose: Purpose,
    pub(super) request: RequestId,
    /// The message.
    pub(super) text: Vec<u8>,
    pub(super) stage: Stage,
    /// How often it may still be sent.
    pub(super) tries: u8,
    /// Packets that were sent for it.
    pub(super) packets: usize,
    /// When it was sent last.
    pub(super) sent: Instant,
    /// Of an answer in parts, what has come; `None` if nothing has.
    pub(super) told: Option<Told>,
    spare: u8,
    /// Of its packets to which no WHOAREYOU has come: one for each try.
    nonces: Vec<Nonce>,
    /// Whether a shorter message has gone in its place, for the session that it is to go by.
    is_deferred: bool,
}

impl Call {
    pub(super) fn new(
        node: Node,
        to: SocketAddr,
        purpose: Purpose,
        request: RequestId,
        text: Vec<u8>,
    ) -> Self {
        Self {
            node,
            to,
            purpose,
            request,
            text,
            stage: Stage::Paced,
            tries: TRIES,
            packets: 0,
            sent: Instant::START,
            told: None,
            spare: 0,
            nonces: Vec::new(),
            is_deferred: false,
        }
    }

    pub(super) const fn remote(&self) -> Remote {
        Remote { id: self.node.id(), addr: self.to }
    }
}

/// All requests under way: three per search, one per check of the table, and those of the driver.
#[derive(Debug)]
pub(super) struct Calls {
    next: u64,
    calls: BTreeMap<CallId, Call>,
    by_request: BTreeMap<(Remote, RequestId), CallId>,
    /// Those that a WHOAREYOU may answer.
    by_nonce: BTreeMap<Nonce, CallId>,
    /// Whom packets of requests that have ended went to.
    past: ExpiringMap<Nonce, Remote>,
    /// Of each node without a session that is asked, the request that leads to one.
    shaking: BTreeMap<Remote, CallId>,
    /// Those that wait for it.
    queued: BTreeMap<Remote, VecDeque<CallId>>,
    due: TimerTable<CallId>,
    pace: Rate,
    paced: ExpiringMap<SocketAddr, Level>,
}

impl Calls {
    pub(super) fn new(pace: Rate) -> Self {
        Self {
            next: 0,
            calls: BTreeMap::new(),
            by_request: BTreeMap::new(),
            by_nonce: BTreeMap::new(),
            past: ExpiringMap::new(MAX_PAST),
            shaking: BTreeMap::new(),
            queued: BTreeMap::new(),
            due: TimerTable::new(),
            pace,
            paced: ExpiringMap::new(MAX_PACED),
        }
    }

    pub(super) fn add(&mut self, call: Call) -> CallId {
        let id = CallId(self.next);
        self.next += 1;
        self.by_request.insert((call.remote(), call.request), id);
        self.calls.insert(id, call);
        id
    }

    pub(super) fn get(&self, id: CallId) -> Option<&Call> {
        self.calls.get(&id)
    }

    pub(super) fn get_mut(&mut self, id: CallId) -> Option<&mut Call> {
        self.calls.get_mut(&id)
    }

    /// Takes out a request that has ended, and with it those that wait for the session that it did
    /// not lead to.
    pub(super) fn remove(&mut self, now: Instant, id: CallId) -> Option<(Call, VecDeque<CallId>)> {
        self.due.cancel(&id);
        let call = self.calls.remove(&id)?;
        let remote = call.remote();
        self.by_request.remove(&(remote, call.request));
        for nonce in &call.nonces {
            self.by_nonce.remove(nonce);
            self.past.pop_expired(now);
            self.past.insert(*nonce, remote, now + PAST);
        }
        let waiting = if self.shaking.get(&remote) == Some(&id) {
            self.shaking.remove(&remote);
            self.queued.remove(&remote).unwrap_or_default()
        } else {
            if let Some(queue) = self.queued.get_mut(&remote) {
                queue.retain(|other| *other != id);
            }
            VecDeque::new()
        };
        Some((call, waiting))
    }

    /// When the request may be sent for its next try. To be sent then, and at once if that is now.
    pub(super) fn turn(&mut self, now: Instant, id: CallId) -> Option<Instant> {
        let call = self.calls.get(&id)?;
        if call.purpose.is_users() {
            return Some(now);
        }
        self.paced.tidy(now);
        let level = self.paced.get(&call.to, now).copied().unwrap_or_default();
        let (level, at) = self.pace.reserve(level, now);
        self.paced.insert(call.to, level, level.0);
        Some(at)
    }

    /// Lets a request wait until `at`.
    pub(super) fn set_paced(&mut self, id: CallId, at: Instant) {
        self.set_stage(id, Stage::Paced);
        self.due.set(id, at);
    }

    /// Whether a request may go to a node without a session: only if no other one shakes hands with
    /// it. If not, it waits for that.
    pub(super) fn shake(&mut self, id: CallId) -> bool {
        let Some(call) = self.calls.get(&id) else { return false };
        let remote = call.remote();
        let shaking = *self.shaking.entry(remote).or_insert(id);
        if shaking == id {
            return true;
        }
        self.wait(remote, id);
        false
    }

    /// Lets a request wait for a session with its node.
    pub(super) fn wait(&mut self, remote: Remote, id: CallId) {
        self.set_stage(id, Stage::Queued);
        self.due.cancel(&id);
        self.queued.entry(remote).or_default().push_back(id);
    }

    /// A request has been sent with this nonce, and waits for its answer until `until`.
    pub(super) fn set_sent(
        &mut self,
        now: Instant,
        id: CallId,
        nonce: Nonce,
        is_shaken: bool,
        until: Instant,
    ) {
        self.set_stage(id, Stage::Sent { is_shaken });
        if let Some(call) = self.calls.get_mut(&id) {
            if !is_shaken {
                self.by_nonce.insert(nonce, id);
                call.nonces.push(nonce);
            }
            call.packets += 1;
            call.sent = now;
            call.spare = SPARE;
        }
        self.due.set(id, until);
    }

    fn set_stage(&mut self, id: CallId, stage: Stage) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.stage = stage;
        }
    }

    /// The request that the packet with this nonce, sent to `from`, was for, if it may be sent
    /// again with a handshake: once in each try, and not while another one shakes hands with the
    /// same node. For a packet of a request that has ended, another one to that node.
    pub(super) fn challenged(
        &mut self,
        now: Instant,
        nonce: &Nonce,
        from: SocketAddr,
    ) -> Option<CallId> {
        let waits = |id: &CallId| {
            let call = self.calls.get(id)?;
            matches!(call.stage, Stage::Sent { is_shaken: false }).then(|| call.remote())
        };
        let id = match self.by_nonce.get(nonce) {
            Some(id) => *id,
            None => {
                let remote = self.past.get(nonce, now)?;
                ids_to(&self.by_request, remote).find(|id| waits(id).is_some())?
            }
        };
        let remote = waits(&id).filter(|remote| remote.addr == from)?;
        let other = self.shaking.get(&remote).filter(|other| **other != id);
        let other = other.and_then(|other| self.calls.get(other));
        if other.is_some_and(|it| matches!(it.stage, Stage::Sent { is_shaken: true })) {
            return None;
        }
        self.by_nonce.remove(nonce);
        self.past.remove(nonce);
        self.shaking.insert(remote, id);
        Some(id)
    }

    /// A shorter message has gone in the place of a request: it is still to be sent, once there is
    /// the session that this leads to.
    pub(super) fn defer(&mut self, id: CallId) {
        if let Some(call) = self.calls.get_mut(&id) {
            call.tries += 1;
            call.is_deferred = true;
        }
    }

    /// A packet of a session with the node has come. Those that waited for that.
    pub(super) fn on_session(&mut self, remote: &Remote) -> VecDeque<CallId> {
        if self.shaking.is_empty() {
            return VecDeque::new();
        }
        let shaker = self.shaking.remove(remote);
        let mut waiting = self.queued.remove(remote).unwrap_or_default();
        if let Some(id) = shaker
            && let Some(call) = self.calls.get_mut(&id)
            && std::mem::take(&mut call.is_deferred)
        {
            waiting.push_front(id);
        }
        waiting
    }

    /// The request that a response from `remote` answers.
    pub(super) fn answered(&self, remote: &Remote, request: RequestId) -> Option<CallId> {
        self.by_request.get(&(*remote, request)).copied()
    }

    /// Whether a packet from a node is one of the few that its answer may take, and counts it.
    pub(super) fn spend(&mut self, remote: &Remote) -> bool {
        for id in ids_to(&self.by_request, remote) {
            if let Some(call) = self.calls.get_mut(&id)
                && call.spare > 0
            {
                call.spare -= 1;
                return true;
            }
        }
        false
    }

    /// Whether a node is asked for its record.
    pub(super) fn is_asked_record(&self, remote: &Remote) -> bool {
        ids_to(&self.by_request, remote)
            .filter_map(|id| self.calls.get(&id))
            .any(|call| matches!(call.purpose, Purpose::Record(_)))
    }

    /// Waits on for an answer of which a part has come.
    pub(super) fn set_due(&mut self, id: CallId, at: Instant) {
        self.due.set(id, at);
    }

    /// A request whose time has come. It is still there.
    pub(super) fn pop_due(&mut self, now: Instant) -> Option<CallId> {
        self.due.pop_due(now)
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.next()
    }

    pub(super) fn len(&self) -> usize {
        self.calls.len()
    }

    /// The bytes held, estimated as if each request had the longest message and answer.
    pub(super) fn memory(&self) -> usize {
        Self::calls_memory(self.calls.len()) + self.paced.memory() + self.past.memory()
    }

    /// The most bytes held with so many requests.
    pub(super) const fn memory_bound(calls: usize) -> usize {
        Self::calls_memory(calls)
            + ExpiringMap::<SocketAddr, Level>::memory_bound(MAX_PACED)
            + ExpiringMap::<Nonce, Remote>::memory_bound(MAX_PAST)
    }

    const fn calls_memory(calls: usize) -> usize {
        const NODES: usize = super::MAX_RECORDS;
        tree_memory::<CallId, Call>(calls)
            + tree_memory::<(Remote, RequestId), CallId>(calls)
            + tree_memory::<Nonce, CallId>(calls * TRIES as usize)
            + calls * list_bound::<Nonce>(TRIES as usize)
            + tree_memory::<Remote, CallId>(calls)
            + tree_memory::<Remote, VecDeque<CallId>>(calls)
            + calls * list_bound::<CallId>(4)
            + TimerTable::<CallId>::memory_of(calls)
            + calls * (MAX_MESSAGE_SIZE + list_bound::<Node>(NODES) + NODES * Node::MAX_HEAP)
    }
}

/// The requests to a node.
fn ids_to(
    by_request: &BTreeMap<(Remote, RequestId), CallId>,
    remote: &Remote,
) -> impl Iterator<Item = CallId> {
    let remote = *remote;
    let of = by_request.range((remote, RequestId::default())..);
    of.take_while(move |((it, _), _)| *it == remote).map(|(_, id)| *id)
}
