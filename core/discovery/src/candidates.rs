//! The candidates machine: what the sources of nodes find, on its way to whoever dials.
//!
//! It mixes the sources fairly, lets a node through once, drops those of no use before they are
//! dialed, and can say of each that was not taken why. The taker (`peering`) says how many
//! candidates it wants, and each source is told how many of it would be kept.
//!
//! A source is a name. One that comes later (DNS, a protocol of the embedding program) is added
//! like the others.
//!
//! Not here: how nodes are found, whom to be connected to, and how a node is asked for its record.

mod buffer;
mod filter;
mod io;

use std::{
    collections::{BTreeMap, VecDeque},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use peerage_machine::{ExpiringMap, Instant, Machine, Now, deque_memory, list_bound, tree_memory};
use peerage_node::{Node, NodeId, Record, Source, check_relay, is_lan};

use self::buffer::{ASKS, BUFFER, Buffer, Full};
pub use self::{
    filter::{Filter, Unfit},
    io::{Cause, Input, NotTaken, Output},
};

/// Nodes handed over that are remembered. Those that come in a window are fewer than peering has
/// dials in that time; forgetting one early costs a question to the taker.
const MAX_HANDED: usize = 4_096;

/// Nodes that were not taken whose causes are remembered, in some 400 bytes each: what a busy walk
/// through a network of others finds in a quarter of an hour.
const MAX_CAUSES: usize = 4_096;

/// How long a cause is remembered: for as long as a user is likely to ask.
const CAUSE_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// How long what was found out by asking a node counts, so that it is not asked again each time
/// that it is found. A network upgrades, or a node is mended, more slowly than this.
const VERDICT_LIFETIME: Duration = Duration::from_secs(5 * 60);

/// What the sources find, on its way to the taker. See the [module](self).
///
/// `Why` is what the taker says when it skips a candidate.
///
/// # Turns
///
/// Of the sources that have a node ready, the one is next whose last turn is longest ago. So each
/// has the same share as long as it has nodes, and one that has none costs the others nothing and
/// saves up nothing but that it is next.
///
/// While nothing is wanted no source is to find any, but for one that had nothing when another had
/// its turn: it is to have one next time.
///
/// # Security
///
/// Nodes, records and how often they come are for strangers to choose. A source that brings too
/// many fills its own buffer, of which one subnet gets a part; a node that does not give its record
/// holds one of its source's own places until a deadline; and all that is remembered has a bound.
#[derive(Debug)]
pub struct Candidates<Why> {
    window: Duration,
    filter: Option<Filter>,
    /// When the filter was set: what was found out before was found out for another one.
    filter_since: Instant,
    /// One for each source that was added. As many as the driver adds.
    buffers: BTreeMap<Source, Buffer>,
    /// All nodes in the buffers.
    held: BTreeMap<NodeId, Held>,
    /// Nodes that were handed over a short time ago and not skipped, with who found them.
    handed: ExpiringMap<NodeId, Source>,
    causes: ExpiringMap<NodeId, NotTaken<Why>>,
    demand: Demand,
    /// How many turns there have been.
    turns: u64,
    outputs: VecDeque<Output<Why>>,
}

/// What the taker wants.
///
/// ```text
///   Wants(n) --a candidate is ready, and n > 0--> Handed --Want--> Wants(n)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Demand {
    /// It has been handed a candidate, and has not said since what it wants.
    Handed,
    /// So many candidates.
    Wants(usize),
}

/// A node in a buffer.
#[derive(Clone, Copy, Debug)]
struct Held {
    source: Source,
    since: Instant,
    /// The address that its place is counted for.
    ip: Option<IpAddr>,
}

/// What has come of a source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceCounts {
    /// Nodes that it has found since it was added.
    pub found: u64,
    /// Nodes of it that were handed over to the taker.
    pub handed: u64,
    /// Nodes of it that wait.
    pub waiting: usize,
}

/// A node that nothing speaks against.
enum Standing {
    /// Nor could: it can be handed over.
    Fit,
    /// The filter cannot say before its record is there.
    Unknown,
}

impl<Why: Copy> Candidates<Why> {
    /// The most nodes of each source that are asked for their records at a time.
    pub const ASKS: usize = ASKS;

    /// The most nodes of each source that wait.
    pub const BUFFER: usize = BUFFER;

    /// Without sources and without a filter. A node that was handed over and not skipped comes
    /// again `window` later at the soonest: when the taker would dial it again, and not before.
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            filter: None,
            filter_since: Instant::START,
            buffers: BTreeMap::new(),
            held: BTreeMap::new(),
            handed: ExpiringMap::new(MAX_HANDED),
            causes: ExpiringMap::new(MAX_CAUSES),
            demand: Demand::Wants(0),
            turns: 0,
            outputs: VecDeque::new(),
        }
    }

    /// Why a node that was found was not taken, as it was the last time; `None` if it was taken, or
    /// never found, or if that is too long ago.
    ///
    /// A [duplicate](Cause::Duplicate) leaves nothing behind: what became of the first one counts.
    pub fn why(&self, now: Instant, id: &NodeId) -> Option<NotTaken<Why>> {
        match self.held.get(id) {
            Some(Held { source, since, .. }) => {
                Some(NotTaken { source: *source, cause: Cause::Waiting, at: *since })
            }
            None => self.causes.get(id, now).copied(),
        }
    }

    /// The sources, by name, and what has come of each.
    pub fn sources(&self) -> impl Iterator<Item = (Source, SourceCounts)> {
        self.buffers.iter().map(|(source, buffer)| {
            let (found, handed) = (buffer.found, buffer.handed);
            (*source, SourceCounts { found, handed, waiting: buffer.len() })
        })
    }

    /// The bytes held, estimated from counts and capacities as if each node had the largest record;
    /// without the size of the value itself, and without what the filter holds.
    ///
    /// Cheap enough to be asked for after each event, once the outputs are drained.
    pub fn memory(&self) -> usize {
        tree_memory::<Source, Buffer>(self.buffers.len())
            + self.buffers.values().map(Buffer::memory).sum::<usize>()
            + tree_memory::<NodeId, Held>(self.held.len())
            + self.handed.memory()
            + self.causes.memory()
            + deque_memory(&self.outputs)
    }

    /// The most that [`memory`](Self::memory) is with so many sources whatever they bring, once the
    /// outputs are drained.
    pub const fn memory_bound(sources: usize) -> usize {
        // One call says at most of all that wait that it is not taken, or is asked, and of each
        // source what is wanted. The room is kept.
        let outputs = sources * (BUFFER + ASKS + 1) + 2;
        tree_memory::<Source, Buffer>(sources)
            + sources * Buffer::memory_bound()
            + tree_memory::<NodeId, Held>(sources * BUFFER)
            + ExpiringMap::<NodeId, Source>::memory_bound(MAX_HANDED)
            + ExpiringMap::<NodeId, NotTaken<Why>>::memory_bound(MAX_CAUSES)
            + list_bound::<Output<Why>>(outputs)
    }

    fn on_found(&mut self, now: Instant, source: Source, node: Node) {
        let id = node.id();
        let Some(buffer) = self.buffers.get_mut(&source) else {
            return self.refuse(now, id, source, Cause::SourceGone);
        };
        buffer.found += 1;
        buffer.told = None;
        let held = self.held.get(&id).map(|held| held.source);
        if let Some(of) = held.or_else(|| self.handed.get(&id, now).copied()) {
            return self.say(id, source, Cause::Duplicate { of });
        }
        let standing = match self.judge(&node) {
            Ok(standing) => standing,
            Err(why) => return self.refuse(now, id, source, Cause::Unfit(why)),
        };
        if matches!(standing, Standing::Unknown)
            && let Some(cause) = self.verdict(now, &id)
        {
            // Not remembered anew, or it would never be asked again.
            return self.say(id, source, cause);
        }
        let ip = counted_ip(&node);
        match self.buffers.get_mut(&source).map(|buffer| buffer.reserve(ip)) {
            Some(Ok(())) => {
                self.held.insert(id, Held { source, since: now, ip });
                self.keep(source, node, standing);
            }
            Some(Err(Full::Subnet)) => self.refuse(now, id, source, Cause::SubnetFull),
            Some(Err(Full::Source)) | None => self.refuse(now, id, source, Cause::NoRoom),
        }
    }

    /// A node has answered, or could not be asked.
    fn on_record(&mut self, now: Instant, id: NodeId, record: Option<Record>) {
        let Some(Held { source, .. }) = self.held.get(&id).copied() else { return };
        let asked = self.buffers.get_mut(&source).and_then(|buffer| buffer.take_asked(&id));
        let Some(node) = asked else { return };
        let node = match record.filter(|record| record.id() == id) {
            Some(record) => with_record(&node, record),
            None => node,
        };
        match self.judge(&node) {
            Ok(Standing::Fit) => self.keep(source, node, Standing::Fit),
            Ok(Standing::Unknown) => self.let_go(now, id, Cause::NoRecord),
            Err(why) => self.let_go(now, id, Cause::Unfit(why)),
        }
    }

    fn on_filter(&mut self, now: Instant, filter: Option<Filter>) {
        self.filter = filter;
        self.filter_since = now;
        let unasked = |(source, buffer): (&Source, &mut Buffer)| (*source, buffer.take_unasked());
        let waiting: Vec<(Source, Vec<Node>)> = self.buffers.iter_mut().map(unasked).collect();
        for (source, nodes) in waiting {
            for node in nodes {
                match self.judge(&node) {
                    Ok(standing) => self.keep(source, node, standing),
                    Err(why) => self.let_go(now, node.id(), Cause::Unfit(why)),
                }
            }
        }
    }

    fn on_remove_source(&mut self, now: Instant, source: Source) {
        let Some(buffer) = self.buffers.remove(&source) else { return };
        for node in buffer.into_nodes() {
            self.let_go(now, node.id(), Cause::SourceGone);
        }
    }

    /// A skipped candidate may come again at once: the taker has done nothing with it, and what
    /// speaks against it may pass.
    fn on_skipped(&mut self, now: Instant, id: NodeId, source: Source, why: Why) {
        self.handed.remove(&id);
        self.refuse(now, id, source, Cause::Skipped(why));
    }

    /// Asks for records, hands over a candidate, and tells the sources what is wanted, as far as
    /// that is possible now.
    fn advance(&mut self, now: Instant) {
        // What is wanted is about to be said.
        let Demand::Wants(wanted) = self.demand else { return };
        for buffer in self.buffers.values_mut() {
            while let Some(node) = buffer.poll_ask(now, wanted) {
                self.outputs.push_back(Output::AskRecord { node });
            }
        }
        if wanted > 0
            && let Some((node, source)) = self.pop_next(now)
        {
            let id = node.id();
            self.release(&id);
            self.causes.remove(&id);
            self.handed.insert(id, source, now + self.window);
            self.outputs.push_back(Output::Candidate { node, source });
            self.demand = Demand::Handed;
            return;
        }
        for (source, buffer) in &mut self.buffers {
            let count = buffer.wants(wanted);
            if buffer.told.replace(count) != Some(count) {
                self.outputs.push_back(Output::Want { source: *source, count });
            }
        }
    }

    /// The next node to be handed over, and whose turn that is.
    fn pop_next(&mut self, now: Instant) -> Option<(Node, Source)> {
        let ready = self.buffers.iter().filter(|(_, buffer)| buffer.has_ready());
        let (next, _) = ready.min_by_key(|(_, buffer)| buffer.turn)?;
        let next = *next;
        for (_, other) in self.buffers.iter_mut().filter(|(source, _)| **source != next) {
            other.on_turn_of_another(now);
        }
        let buffer = self.buffers.get_mut(&next)?;
        self.turns += 1;
        buffer.turn = self.turns;
        buffer.handed += 1;
        Some((buffer.pop_ready()?, next))
    }

    /// Puts a node that is held where it belongs.
    fn keep(&mut self, source: Source, node: Node, standing: Standing) {
        if let Some(buffer) = self.buffers.get_mut(&source) {
            match standing {
                Standing::Fit => buffer.push_ready(node),
                Standing::Unknown => buffer.push_unknown(node),
            }
        }
    }

    /// A node that was held is not taken.
    fn let_go(&mut self, now: Instant, id: NodeId, cause: Cause<Why>) {
        if let Some(source) = self.release(&id) {
            self.refuse(now, id, source, cause);
        }
    }

    /// Holds a node no longer. Whose it was.
    fn release(&mut self, id: &NodeId) -> Option<Source> {
        let Held { source, ip, .. } = self.held.remove(id)?;
        if let Some(buffer) = self.buffers.get_mut(&source) {
            buffer.release(ip);
        }
        Some(source)
    }

    /// Says that a node is not taken, and remembers it.
    fn refuse(&mut self, now: Instant, id: NodeId, source: Source, cause: Cause<Why>) {
        self.causes.insert(id, NotTaken { source, cause, at: now }, now + CAUSE_LIFETIME);
        self.say(id, source, cause);
    }

    fn say(&mut self, id: NodeId, source: Source, cause: Cause<Why>) {
        self.outputs.push_back(Output::NotTaken { id, source, cause });
    }

    fn judge(&self, node: &Node) -> Result<Standing, Unfit> {
        match (&self.filter, node.record()) {
            (None, _) => Ok(Standing::Fit),
            (Some(_), None) => Ok(Standing::Unknown),
            (Some(filter), Some(record)) => filter.check(record).map(|()| Standing::Fit),
        }
    }

    /// What was found out a short time ago by asking the node.
    fn verdict(&self, now: Instant, id: &NodeId) -> Option<Cause<Why>> {
        let NotTaken { cause, at, .. } = *self.causes.get(id, now)?;
        let counts = at >= self.filter_since && now.saturating_since(at) < VERDICT_LIFETIME;
        (counts && matches!(cause, Cause::NoRecord | Cause::Unfit(_))).then_some(cause)
    }
}

impl<Why: Copy> Machine for Candidates<Why> {
    type Input<'a> = Input<Why>;
    type Output = Output<Why>;

    fn handle_input(&mut self, now: Now, input: Input<Why>) {
        let now = now.mono;
        while self.handed.pop_expired(now).is_some() {}
        while self.causes.pop_expired(now).is_some() {}
        match input {
            Input::AddSource(source) => {
                self.buffers.entry(source).or_default();
            }
            Input::Found { node, source } => self.on_found(now, source, node),
            Input::Record { id, record } => self.on_record(now, id, record),
            Input::RemoveSource(source) => self.on_remove_source(now, source),
            Input::SetFilter(filter) => self.on_filter(now, filter),
            Input::Skipped { id, source, why } => self.on_skipped(now, id, source, why),
            Input::Want { count } => self.demand = Demand::Wants(count),
        }
        self.advance(now);
    }

    fn handle_timeout(&mut self, now: Now) {
        let late = |buffer: &mut Buffer| buffer.pop_late(now.mono);
        while let Some(node) = self.buffers.values_mut().find_map(late) {
            self.let_go(now.mono, node.id(), Cause::NoRecord);
        }
        self.buffers.values_mut().for_each(|buffer| buffer.on_time(now.mono));
        self.advance(now.mono);
    }

    fn poll_output(&mut self) -> Option<Output<Why>> {
        self.outputs.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.buffers.values().filter_map(Buffer::next_due).min()
    }
}

/// The address that a node's place is counted for: that of a local network is nobody's elsewhere.
fn counted_ip(node: &Node) -> Option<IpAddr> {
    let (tcp, udp) = (node.tcp_endpoints(), node.udp_endpoints());
    tcp.first().or(udp.first()).map(SocketAddr::ip).filter(|ip| !is_lan(*ip))
}

/// The node with the record that it has just given. What the record says of where it is counts, if
/// it says so and may; else it stays where it was.
///
/// # Security
///
/// A node elsewhere does not make us connect to our own network by what it states: see
/// [`check_relay`].
fn with_record(node: &Node, record: Record) -> Node {
    let known = node.tcp_endpoints().first().copied();
    let heard_at = node.udp_endpoints().first().copied().or(known);
    let stated = Node::from_record(record);
    let endpoints = stated.tcp_endpoints();
    let may_be_told = |endpoint: &SocketAddr| {
        heard_at.is_none_or(|from| check_relay(from.ip(), endpoint.ip()).is_ok())
    };
    if !endpoints.is_empty() && endpoints.iter().all(may_be_told) {
        return stated;
    }
    // Port 0 is none: then there is nowhere to connect to.
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    stated.with_tcp_endpoint(known.unwrap_or(nowhere))
}

#[cfg(test)]
mod tests;
