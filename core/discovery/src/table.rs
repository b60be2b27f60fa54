//! The table: which nodes we know, how near they are, and how well each is known to answer.
//!
//! It decides who may stay, who is to be checked, and what counts as news of a node. Not here:
//! packets, proofs, or where the time of a check comes from; all versions of discovery use it,
//! each with a table of its own.
//!
//! Spec: [discv4, "Kademlia
//! table"](https://github.com/ethereum/devp2p/blob/master/discv4.md#kademlia-table).

mod bucket;
mod config;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod model;

use std::net::SocketAddr;

pub use bucket::Bucket;
use bucket::Shares;
pub use config::TableConfig;
use peerage_machine::{Instant, Random, Seed, list_bound, vec_memory};
use peerage_node::{Node, NodeId, Record, SubnetCounts, check_relay};

use crate::{
    Entry,
    entry::seq,
    revalidation::{Pace, Revalidation},
};

/// Buckets for the distances 240 (and nearer) to 256: there are hardly nodes so near that more
/// would fill.
const BUCKETS: usize = 17;
const NEAREST: u16 = 240;

/// The nodes we know, in buckets by their distance from us.
///
/// # Security
///
/// News of nodes never pushes out a node: a full bucket lets others wait until one of its nodes has
/// failed its checks. So a flood of made-up nodes gets the free places only, and those until their
/// first check.
#[derive(Debug)]
pub struct Table {
    own: NodeId,
    config: TableConfig,
    buckets: Vec<Bucket>,
    shares: Shares,
    revalidation: Revalidation,
    random: Random,
}

/// What became of news of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Added {
    /// It was known, and this was no news.
    Known,
    /// It is new, and in a bucket; it will be checked soon.
    New,
    /// It stays out, or as it was.
    Refused(NoPlace),
    /// Its bucket is full: it waits for a place.
    Replacement,
    /// It was known, and its record, ports or endpoint are what was told now.
    Updated,
}

/// Why the table does not take news of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPlace {
    /// Its bucket has as many addresses of this subnet as one may have.
    #[error("the bucket has its share of this subnet")]
    BucketSubnet,
    /// It has no UDP endpoint, or none of an address family that we use.
    #[error("the node has no UDP endpoint that we could use")]
    NoEndpoint,
    /// It is us.
    #[error("the node is this one")]
    Own,
    /// The table has as many addresses of this subnet as one may have.
    #[error("the table has its share of this subnet")]
    TableSubnet,
    /// Not in the table (any more): only its record came.
    #[error("the node is not in the table")]
    Unknown,
}

/// What the answer to a check says of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Alive {
    /// It is the first where the node is now.
    pub is_first: bool,
    /// The node, if its record should be fetched: it has a newer one than we.
    pub outdated: Option<Node>,
}

/// A node that left the table.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The node as it was known last.
    pub entry: Entry,
    /// The node that got its place.
    pub promoted: Option<NodeId>,
}

impl Table {
    /// An empty table of the node `own`.
    pub fn new(own: NodeId, config: TableConfig, random: Seed) -> Self {
        Self {
            own,
            buckets: (0..BUCKETS).map(|_| Bucket::new(&config)).collect(),
            shares: Shares(SubnetCounts::new(config.table_subnet_limit)),
            revalidation: Revalidation::new(&config),
            random: Random::from_seed(random),
            config,
        }
    }

    /// News of `node` from somebody else, or from an earlier run.
    ///
    /// Of a known node, only a record with a higher sequence number is news: everybody else may be
    /// wrong, or lie.
    pub fn add_found(&mut self, now: Instant, node: Node) -> Added {
        self.add(now, node, Source::Found)
    }

    /// News of `node` from itself, with its endpoint proved by what it sent: the caller has checked
    /// that it really holds that address.
    ///
    /// A signed record is never replaced by a node without one, nor by an older record: only the
    /// endpoint is taken, which then has to be checked.
    pub fn add_inbound(&mut self, now: Instant, node: Node) -> Added {
        self.add(now, node, Source::Inbound)
    }

    /// The next node to be checked now, at its preferred UDP endpoint; `None` until
    /// [`next_check`](Self::next_check). Each is to be followed by [`on_alive`](Self::on_alive) or
    /// [`on_dead`](Self::on_dead); until then it is not offered again.
    pub fn poll_check(&mut self, now: Instant) -> Option<Node> {
        let buckets = &self.buckets;
        let idle = |id: &NodeId| {
            buckets[index(&self.own, id)].get(id).is_some_and(|entry| !entry.is_checking())
        };
        let id = self.revalidation.poll(now, &mut self.random, idle)?;
        let entry = self.buckets[index(&self.own, &id)].get_mut(&id)?;
        entry.begin_check().then(|| entry.node.clone())
    }

    /// The node answered its check; `seq` is the sequence number of its record, if it said so.
    ///
    /// Means nothing for a node that is not being checked: one that was removed is not back by a
    /// late answer, and one that moved meanwhile has not been checked where it is now.
    pub fn on_alive(&mut self, now: Instant, id: &NodeId, seq: Option<u64>) -> Option<Alive> {
        let entry = self.buckets[index(&self.own, id)].get_mut(id)?;
        let is_first = !entry.is_live();
        if !entry.on_alive(now) {
            return None;
        }
        let has_news = seq.is_some_and(|seq| seq > entry.seq());
        let outdated = has_news.then(|| entry.node.clone());
        self.revalidation.put(now, &mut self.random, *id, Pace::Slow);
        Some(Alive { is_first, outdated })
    }

    /// The node did not answer its check. Without credit left it is removed; else it is soon
    /// checked again. Means nothing for a node that is not being checked.
    pub fn on_dead(&mut self, now: Instant, id: &NodeId) -> Option<Removed> {
        let entry = self.buckets[index(&self.own, id)].get_mut(id)?;
        if entry.on_dead()? == 0 {
            return self.remove(now, id);
        }
        self.revalidation.put(now, &mut self.random, *id, Pace::Fast);
        None
    }

    /// The current record of a node, as it gave it itself.
    ///
    /// If it states the endpoint at which we reach the node, or none that a node at that place
    /// could have, the endpoint stays; else the node is to be checked at its new one.
    pub fn on_record(&mut self, now: Instant, record: Record) -> Added {
        self.update(now, &Node::from_record(record), Source::Own)
            .unwrap_or(Added::Refused(NoPlace::Unknown))
    }

    /// A query to the node was answered, or not. A node that has left too many in a row without an
    /// answer is removed, if its bucket has enough others.
    pub fn on_query(&mut self, now: Instant, id: &NodeId, is_answered: bool) -> Option<Removed> {
        let bucket = &mut self.buckets[index(&self.own, id)];
        let others = bucket.entries.len();
        let failures = bucket.get_mut(id)?.on_query(now, is_answered);
        let is_hopeless = !is_answered
            && failures >= self.config.max_query_failures
            && others >= self.config.min_entries_to_drop;
        if is_hopeless { self.remove(now, id) } else { None }
    }

    /// Removes a node; one that waited gets its place.
    pub fn remove(&mut self, now: Instant, id: &NodeId) -> Option<Removed> {
        let bucket = &mut self.buckets[index(&self.own, id)];
        if let Some(entry) = bucket.take_replacement(id) {
            self.shares.remove(bucket, entry.endpoint().ip());
            return None;
        }
        let entry = bucket.take(id)?;
        self.shares.remove(bucket, entry.endpoint().ip());
        self.revalidation.remove(id);
        let promoted = bucket.draw_replacement(&mut self.random).map(|mut entry| {
            let id = entry.id();
            entry.added = now;
            bucket.entries.push(entry);
            self.revalidation.put(now, &mut self.random, id, Pace::Fast);
            id
        });
        Some(Removed { entry, promoted })
    }

    /// The node with this id, if it is in the table; not if it waits for a place.
    pub fn get(&self, id: &NodeId) -> Option<&Entry> {
        self.buckets[index(&self.own, id)].get(id)
    }

    /// The at most `count` nodes closest to `target`, the closest first; with `live_only`, only of
    /// those that are live.
    pub fn closest(&self, target: &NodeId, count: usize, live_only: bool) -> Vec<&Entry> {
        let mut entries: Vec<_> =
            self.entries().filter(|entry| entry.is_live() || !live_only).collect();
        let order = |a: &&Entry, b: &&Entry| target.cmp_distance(&a.id(), &b.id());
        if count < entries.len() {
            // Of the few hundred nodes, only those wanted are sorted.
            entries.select_nth_unstable_by(count, order);
            entries.truncate(count);
        }
        entries.sort_unstable_by(order);
        entries
    }

    /// The nodes at just this logarithmic distance from us.
    pub fn at_distance(&self, distance: u16) -> impl Iterator<Item = &Entry> {
        let bucket = usize::from(distance.saturating_sub(NEAREST));
        let entries = self.buckets.get(bucket).into_iter().flat_map(Bucket::entries);
        entries.filter(move |entry| self.own.log_distance(&entry.id()) == distance)
    }

    /// When [`poll_check`](Self::poll_check) has something next.
    pub fn next_check(&self) -> Option<Instant> {
        self.revalidation.next()
    }

    /// The UDP endpoint of `node` to be used: see [`TableConfig::endpoint`].
    pub(crate) fn endpoint_of(&self, node: &Node) -> Option<SocketAddr> {
        self.config.endpoint(node)
    }

    /// Our own id.
    pub const fn own(&self) -> NodeId {
        self.own
    }

    /// The buckets with the logarithmic distances they are for, nearest first; the first has all
    /// that are nearer, too.
    pub fn buckets(&self) -> impl Iterator<Item = (u16, &Bucket)> {
        (NEAREST..).zip(&self.buckets)
    }

    /// All nodes in the table, nearest bucket first; without those that wait for a place.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.buckets.iter().flat_map(|bucket| &bucket.entries)
    }

    /// How many nodes are in the table.
    pub fn len(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.entries.len()).sum()
    }

    /// How many nodes wait for a place.
    pub fn waiting(&self) -> usize {
        self.buckets.iter().map(|bucket| bucket.replacements.len()).sum()
    }

    /// How many nodes are live.
    pub fn live(&self) -> usize {
        self.entries().filter(|entry| entry.is_live()).count()
    }

    /// Whether no node is in the table.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes held, estimated as if each node had the largest record.
    pub(crate) fn memory(&self) -> usize {
        vec_memory(&self.buckets)
            + self.buckets.iter().map(Bucket::memory).sum::<usize>()
            + self.shares.0.memory()
            + self.revalidation.memory()
    }

    /// The most bytes held.
    pub(crate) const fn memory_bound(config: &TableConfig) -> usize {
        let nodes = BUCKETS * (config.bucket_size + config.replacements + 2);
        BUCKETS * (size_of::<Bucket>() + Bucket::memory_bound(config))
            + SubnetCounts::memory_bound(nodes)
            + 2 * list_bound::<NodeId>(BUCKETS * (config.bucket_size + 1))
    }

    fn add(&mut self, now: Instant, node: Node, source: Source) -> Added {
        let id = node.id();
        if id == self.own {
            return Added::Refused(NoPlace::Own);
        }
        if let Some(added) = self.update(now, &node, source) {
            return added;
        }
        let Some(endpoint) = self.config.endpoint(&node) else {
            return Added::Refused(NoPlace::NoEndpoint);
        };
        let bucket = &mut self.buckets[index(&self.own, &id)];
        if let Err(no_place) = self.shares.add(bucket, endpoint.ip()) {
            return Added::Refused(no_place);
        }
        let mut entry = Entry::new(place(node, endpoint), endpoint, now);
        if source == Source::Inbound {
            entry.last_seen = Some(now);
        }
        if bucket.entries.len() < self.config.bucket_size {
            bucket.entries.push(entry);
            self.revalidation.put(now, &mut self.random, id, Pace::Fast);
            return Added::New;
        }
        bucket.replacements.push_back(entry);
        if bucket.replacements.len() > self.config.replacements
            && let Some(oldest) = bucket.replacements.pop_front()
        {
            self.shares.remove(bucket, oldest.endpoint().ip());
        }
        Added::Replacement
    }

    /// Applies news to a node that is known, or returns `None`.
    fn update(&mut self, now: Instant, news: &Node, source: Source) -> Option<Added> {
        let id = news.id();
        let bucket = &mut self.buckets[index(&self.own, &id)];
        let entry = bucket.find_mut(&id)?;
        if source != Source::Found {
            entry.last_seen = Some(now);
        }
        let is_newer = seq(news) > entry.seq();
        // Without a record on either side there is no order: a node's own word is the newest.
        let is_base = is_newer
            || source == Source::Inbound && entry.node.record().is_none() && *news != entry.node;
        let told = self.config.endpoint(news);
        let endpoint = match source {
            Source::Inbound => told.unwrap_or(entry.endpoint()),
            Source::Found | Source::Own if !is_newer => return Some(Added::Known),
            Source::Found | Source::Own => stated(entry, news, told),
        };
        let (old, node) =
            (entry.endpoint(), if is_base { news.clone() } else { entry.node.clone() });
        if old == endpoint && !is_base {
            return Some(Added::Known);
        }
        if let Err(no_place) = self.shares.swap(bucket, old.ip(), endpoint.ip()) {
            return Some(Added::Refused(no_place));
        }
        let entry = bucket.find_mut(&id).expect("because it was there above");
        entry.node = place(node, endpoint);
        if old != endpoint {
            entry.move_to(endpoint);
            if bucket.get(&id).is_some() {
                self.revalidation.put(now, &mut self.random, id, Pace::Fast);
            }
        }
        Some(Added::Updated)
    }
}

/// Who has told of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    /// Somebody else.
    Found,
    /// The node, from an endpoint that it has proved.
    Inbound,
    /// The node, when asked for its record.
    Own,
}

/// Where a node is, of which a newer record has come.
///
/// # Security
///
/// A record is the node's own word, but may still point us at the network we are in, or state what
/// only its neighbours can use. Then it goes on being asked where it was.
fn stated(entry: &Entry, news: &Node, told: Option<SocketAddr>) -> SocketAddr {
    let keeps = news.udp_endpoints().contains(&entry.endpoint())
        || entry.node.record().is_some_and(|old| {
            // It says what it said before, and was heard elsewhere since.
            Node::from_record(old.clone()).udp_endpoints() == news.udp_endpoints()
        });
    match told {
        Some(told) if !keeps && check_relay(entry.endpoint().ip(), told.ip()).is_ok() => told,
        _ => entry.endpoint(),
    }
}

/// `node` with `endpoint` as its preferred one.
fn place(node: Node, endpoint: SocketAddr) -> Node {
    if node.udp_endpoints().first() == Some(&endpoint) {
        node
    } else {
        node.with_udp_endpoint(endpoint)
    }
}

fn index(own: &NodeId, id: &NodeId) -> usize {
    usize::from(own.log_distance(id).saturating_sub(NEAREST))
}

#[cfg(test)]
mod tests;
