//! What is kept of one node: how operations change it, what it is worth, and its bytes.
//!
//! Every database keeps these rows, so that none remembers what another one forgets.

mod bytes;

use std::{
    borrow::Cow,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use peerage_node::{Node, NodeId, Record};

use super::{Contact, Known};

/// How many addresses of one node are kept: home, abroad, and both families of each.
///
/// # Security
///
/// A captured PING can be replayed from any address: without a bound, one packet would fill the
/// disk.
const MAX_CONTACTS: usize = 4;

/// A node's row. All times are seconds of UNIX, and 0 is never.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Row {
    /// When something was last heard of the node, from itself or others.
    heard: u64,
    stated: Option<Stated>,
    /// At most [`MAX_CONTACTS`], no address twice.
    contacts: Vec<Spot>,
}

/// Where a node is said to be. Most rows are written often and read never, so it is made bytes of
/// only for a disk, and a node of bytes only for a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Stated {
    /// As it was told.
    Node { node: Arc<Node>, ips: Ips },
    /// As it is on a disk.
    Written(Box<Written>),
}

/// The UDP addresses of a node, at most one of each family: what its PONGs must come from to prove
/// it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Ips {
    v4: Option<Ipv4Addr>,
    v6: Option<Ipv6Addr>,
}

/// What is written of where a node is said to be.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Written {
    form: Form,
    ips: Ips,
    /// Where UDP is, if `form` does not say so: the node was heard elsewhere.
    moved: Option<SocketAddr>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// RLP of a record that was checked when it was received.
    Record { seq: u64, rlp: Box<[u8]> },
    /// An enode URL.
    Url(Box<str>),
}

/// How the node did at one address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Spot {
    ip: IpAddr,
    ping: u64,
    pong: u64,
    failures: u32,
}

/// What a node is worth keeping. Ordered: the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// What the node did.
    pub class: Class,
    /// When the node last did what its class asks for, in seconds of UNIX.
    pub time: u64,
    /// The node, which breaks ties.
    pub id: NodeId,
}

/// What a node did, in the order of merit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// Never sent a PONG; others may have told of it, or it may have sent a PING.
    Unanswered = 0,
    /// Sent a PONG, but not from where it is said to be.
    Answered = 1,
    /// Sent a PONG from where it is said to be.
    Seed = 2,
}

impl Row {
    /// The row of a node that was heard of at `now`.
    pub(super) fn new(now: u64) -> Self {
        Self { heard: now, ..Self::default() }
    }

    /// `node` was found at `now`, or its record fetched.
    ///
    /// # Security
    ///
    /// A record yields only to a record that is at least as new: what is not signed may be
    /// anybody's.
    pub(super) fn on_stated(&mut self, now: u64, node: &Arc<Node>) {
        self.heard = self.heard.max(now);
        let seq = node.record().map(Record::seq);
        let keep = self.stated.as_ref().is_some_and(|old| old.seq() > seq);
        if !keep {
            self.stated = Some(Stated::Node { node: node.clone(), ips: Ips::of(node) });
        }
    }

    /// A PING of the node came from `ip`.
    pub(super) fn on_ping(&mut self, ip: IpAddr, time: u64) {
        self.heard = self.heard.max(time);
        self.on_spot(ip, |spot| spot.ping = spot.ping.max(time));
    }

    /// A PONG that was asked for came from `ip`.
    pub(super) fn on_pong(&mut self, ip: IpAddr, time: u64) {
        self.heard = self.heard.max(time);
        self.on_spot(ip, |spot| spot.pong = spot.pong.max(time));
    }

    /// The node left `count` requests to `ip` without an answer.
    pub(super) fn on_failures(&mut self, ip: IpAddr, count: u32) {
        self.on_spot(ip, |spot| spot.failures = count);
    }

    /// Makes every time after `now` be `now`: a clock was wrong then, or is now.
    pub(super) fn clamp(&mut self, now: u64) {
        self.heard = self.heard.min(now);
        for spot in &mut self.contacts {
            spot.ping = spot.ping.min(now);
            spot.pong = spot.pong.min(now);
        }
    }

    /// What the node is worth keeping.
    pub fn rank(&self, id: NodeId) -> Rank {
        let pong = self.contacts.iter().map(|spot| spot.pong).max().unwrap_or(0);
        let (class, time) = match self.proof() {
            Some(spot) => (Class::Seed, spot.pong),
            None if pong > 0 => (Class::Answered, pong),
            None => (Class::Unanswered, self.heard),
        };
        Rank { class, time, id }
    }

    /// The address that the node is said to have and last answered from, and when.
    pub(super) fn proved(&self) -> Option<(IpAddr, u64)> {
        self.proof().map(|spot| (spot.ip, spot.pong))
    }

    /// Where the node says that it is, and its record if it has one.
    pub fn node(&self) -> Option<Node> {
        self.stated.as_ref().and_then(Stated::node)
    }

    /// Everything that is kept of the node.
    pub fn known(&self) -> Known {
        Known { node: self.node(), contacts: self.contacts.iter().map(Spot::contact).collect() }
    }

    fn proof(&self) -> Option<&Spot> {
        let ips = self.stated.as_ref()?.ips();
        self.contacts
            .iter()
            .filter(|spot| spot.pong > 0 && ips.contains(spot.ip))
            .max_by_key(|spot| spot.pong)
    }

    /// Changes how the node did at `ip`. Of too many addresses, the one that answered least
    /// recently goes, which may be this one.
    fn on_spot(&mut self, ip: IpAddr, change: impl FnOnce(&mut Spot)) {
        let ip = ip.to_canonical();
        let at = self.contacts.iter().position(|spot| spot.ip == ip).unwrap_or_else(|| {
            // Most nodes have one address for ever.
            self.contacts.reserve_exact(1);
            self.contacts.push(Spot { ip, ping: 0, pong: 0, failures: 0 });
            self.contacts.len() - 1
        });
        change(&mut self.contacts[at]);
        if self.contacts.len() > MAX_CONTACTS {
            let least = (0..self.contacts.len())
                .min_by_key(|&at| (self.contacts[at].pong, self.contacts[at].ping))
                .expect("because there are more than none");
            self.contacts.remove(least);
        }
    }
}

impl Stated {
    fn ips(&self) -> Ips {
        match self {
            Self::Node { ips, .. } => *ips,
            Self::Written(written) => written.ips,
        }
    }

    /// `None` is less than any number.
    fn seq(&self) -> Option<u64> {
        match self {
            Self::Node { node, .. } => node.record().map(Record::seq),
            Self::Written(written) => match written.form {
                Form::Record { seq, .. } => Some(seq),
                Form::Url(_) => None,
            },
        }
    }

    fn written(&self) -> Cow<'_, Written> {
        match self {
            Self::Node { node, .. } => Cow::Owned(Written::of(node)),
            Self::Written(written) => Cow::Borrowed(written),
        }
    }

    /// The node as it comes back from a disk, so that every database gives the same one. A record
    /// that was told is not verified again, which may have another scheme of signatures.
    fn node(&self) -> Option<Node> {
        match self {
            Self::Node { node, .. } => {
                let (plain, moved) = plain(node);
                plain.map(|plain| at(plain, moved))
            }
            Self::Written(written) => written.node(),
        }
    }
}

/// The node as its record or URL has it, and where UDP is, if that does not say so.
fn plain(node: &Node) -> (Option<Node>, Option<SocketAddr>) {
    let plain = match node.record() {
        Some(record) => Some(Node::from_record(record.clone())),
        None => node.enode_url().parse().ok(),
    };
    let endpoints = node.udp_endpoints();
    let says_so = plain.as_ref().is_some_and(|plain| plain.udp_endpoints() == endpoints);
    let moved = match endpoints[..] {
        // Without a zone, which may be another one after a restart.
        [endpoint] if !says_so => Some(SocketAddr::new(endpoint.ip(), endpoint.port())),
        _ => None,
    };
    (plain, moved)
}

/// The node with UDP where it was heard.
fn at(plain: Node, moved: Option<SocketAddr>) -> Node {
    match moved {
        Some(endpoint) => plain.with_udp_endpoint(endpoint),
        None => plain,
    }
}

impl Ips {
    fn of(node: &Node) -> Self {
        node.udp_endpoints().iter().map(SocketAddr::ip).collect()
    }

    fn iter(self) -> impl Iterator<Item = IpAddr> {
        self.v4.map(IpAddr::V4).into_iter().chain(self.v6.map(IpAddr::V6))
    }

    fn contains(self, ip: IpAddr) -> bool {
        self.iter().any(|it| it == ip)
    }
}

impl FromIterator<IpAddr> for Ips {
    /// Of one family, the last counts.
    fn from_iter<I: IntoIterator<Item = IpAddr>>(all: I) -> Self {
        let mut ips = Self::default();
        for ip in all {
            match ip {
                IpAddr::V4(ip) => ips.v4 = Some(ip),
                IpAddr::V6(ip) => ips.v6 = Some(ip),
            }
        }
        ips
    }
}

impl Written {
    fn of(node: &Node) -> Self {
        let form = match node.record() {
            Some(record) => Form::Record { seq: record.seq(), rlp: record.as_rlp().into() },
            None => Form::Url(node.enode_url().into()),
        };
        Self { form, ips: Ips::of(node), moved: plain(node).1 }
    }

    /// `None` if it was not a node that was kept, which only a changed file can bring about.
    fn node(&self) -> Option<Node> {
        let plain = match &self.form {
            Form::Record { rlp, .. } => Record::decode(rlp).ok().map(Node::from_record),
            Form::Url(url) => url.parse().ok(),
        };
        plain.map(|plain| at(plain, self.moved))
    }
}

impl Spot {
    fn contact(&self) -> Contact {
        let time = |time| Some(Duration::from_secs(time)).filter(|time| !time.is_zero());
        Contact {
            ip: self.ip,
            last_ping: time(self.ping),
            last_pong: time(self.pong),
            failures: self.failures,
        }
    }
}

impl Rank {
    /// How many bytes a rank has.
    pub const SIZE: usize = 1 + 8 + 32;

    /// The least rank of a class at a time.
    pub(super) const fn first(class: Class, time: u64) -> Self {
        Self { class, time, id: NodeId([0; 32]) }
    }

    /// More than any rank of a class that a clock can bring about.
    pub(super) const fn last(class: Class) -> Self {
        Self { class, time: u64::MAX, id: NodeId([0xff; 32]) }
    }

    /// Bytes in the order of ranks.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[0] = self.class as u8;
        bytes[1..9].copy_from_slice(&self.time.to_be_bytes());
        bytes[9..].copy_from_slice(&self.id.0);
        bytes
    }

    /// `None` if these are not the bytes of a rank.
    pub fn from_bytes(bytes: &[u8; Self::SIZE]) -> Option<Self> {
        let class = match bytes[0] {
            0 => Class::Unanswered,
            1 => Class::Answered,
            2 => Class::Seed,
            _ => return None,
        };
        let time = u64::from_be_bytes(*bytes[1..].first_chunk()?);
        Some(Self { class, time, id: NodeId(*bytes[9..].first_chunk()?) })
    }
}

#[cfg(test)]
mod tests;
