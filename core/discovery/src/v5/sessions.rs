//! Sessions: the keys that we share with nodes, each bound to a node id, an address and a port.
//!
//! A session is made by a handshake, in either role, and takes the place of the one before it.
//! The keys before are kept for what is under way: both sides may have begun a handshake at once,
//! and then either of the two is the last for one of them.
//!
//! Spec: [discv5-theory.md, "Sessions"][1].
//!
//! [1]: https://github.com/ethereum/devp2p/blob/master/discv5/discv5-theory.md#sessions

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::{ExpiringMap, Instant, Random};
use peerage_node::{NodeId, Record, Subnet, SubnetCounts, is_lan};

use super::{
    crypto::Cipher,
    packet::{self, Mask, Nonce, Unmasked},
};

/// How many sessions there are: four times as many as a table has nodes.
const MAX_SESSIONS: usize = 1024;

/// How many of them strangers from one public /24 or /64 may have begun. Whoever has one network
/// and many keys pushes out the sessions of that network, and no others.
const MAX_PER_SUBNET: usize = 64;

/// How often at most the time of the last use is moved.
const RENEWAL: Duration = Duration::from_secs(60);

/// For how long after a handshake the keys before it still open packets.
const OVERLAP: Duration = Duration::from_secs(10);

/// PINGs of one session are reported to be kept this far apart: what is kept says "in the last
/// day".
const REPORT_INTERVAL: Duration = Duration::from_secs(10 * 60);

/// Packets of which a session knows that they came.
const SEEN: usize = 16;

/// A node at an address and a port: what sessions, challenges and requests belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Remote {
    pub(super) id: NodeId,
    pub(super) addr: SocketAddr,
}

/// The keys that a handshake has led to, and what came by them.
#[derive(Debug)]
pub(super) struct Keys {
    /// For what we send.
    seal: Cipher,
    /// For what comes.
    open: Cipher,
    /// Packets sent.
    sent: u32,
    /// The nonces of the last packets that came, a part of each.
    seen: [u64; SEEN],
    received: usize,
}

impl Keys {
    /// What we seal and open with.
    pub(super) const fn new(seal: Cipher, open: Cipher) -> Self {
        Self { seal, open, sent: 0, seen: [0; SEEN], received: 0 }
    }

    /// The first packet, which is sealed before there is a session: with a nonce that no later one
    /// has.
    pub(super) const fn seal(&self) -> &Cipher {
        &self.seal
    }

    /// What the packet of a handshake says.
    pub(super) fn open_first(&mut self, packet: &Unmasked<'_>) -> Option<Vec<u8>> {
        match self.open(packet)? {
            Opened::Text(text) => Some(text),
            Opened::Replayed | Opened::Nothing => None,
        }
    }

    /// `None` for a packet that is not of these keys.
    fn open(&mut self, packet: &Unmasked<'_>) -> Option<Opened> {
        let nonce = packet.nonce();
        let text = self.open.open(&nonce, packet.head(), packet.message())?;
        // The rest is a counter where the specification's advice is taken.
        let part = u64::from_be_bytes(*nonce.last_chunk().expect("because a nonce is longer"));
        if self.seen[..self.received.min(SEEN)].contains(&part) {
            return Some(Opened::Replayed);
        }
        self.seen[self.received % SEEN] = part;
        self.received += 1;
        Some(Opened::Text(text))
    }
}

/// What has become of a packet that may be of a session.
#[derive(Debug)]
pub(super) enum Opened {
    /// It is of a session, and says this.
    Text(Vec<u8>),
    /// It is of a session, and came before.
    Replayed,
    /// It is of no session.
    Nothing,
}

#[derive(Debug)]
struct Session {
    keys: Keys,
    /// Those before the last handshake.
    before: Option<Box<Keys>>,
    /// When the last handshake was.
    made: Instant,
    /// When the session was used last, by [`RENEWAL`].
    used: Instant,
    mask: Mask,
    /// What the node said of itself, if it did.
    record: Option<Record>,
    /// When a PING of the node was last reported to be kept.
    reported: Option<Instant>,
    /// Whether a stranger began it, so that it counts for its subnet.
    is_counted: bool,
}

/// All sessions. The one that was used least recently goes first.
#[derive(Debug)]
pub(super) struct Sessions {
    lifetime: Duration,
    map: ExpiringMap<Remote, Box<Session>>,
    subnets: SubnetCounts,
}

impl Sessions {
    pub(super) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            map: ExpiringMap::new(MAX_SESSIONS),
            subnets: SubnetCounts::new(MAX_PER_SUBNET),
        }
    }

    /// The session that a handshake of ours has made.
    pub(super) fn insert_ours(&mut self, now: Instant, remote: Remote, keys: Keys) {
        self.insert(now, remote, keys, None, false);
    }

    /// The session that the handshake of a stranger has made, with what it said of itself.
    pub(super) fn insert_theirs(
        &mut self,
        now: Instant,
        remote: Remote,
        keys: Keys,
        record: Record,
    ) {
        self.insert(now, remote, keys, Some(record), !is_lan(remote.addr.ip()));
    }

    fn insert(
        &mut self,
        now: Instant,
        remote: Remote,
        keys: Keys,
        record: Option<Record>,
        is_strangers: bool,
    ) {
        while let Some((old, session)) = self.map.pop_expired(now) {
            self.forget(&old, &session);
        }
        if let Some(session) = self.map.get_mut(&remote, now) {
            let before = std::mem::replace(&mut session.keys, keys);
            session.before = Some(Box::new(before));
            session.record = record.or(session.record.take());
            session.made = now;
            return;
        }
        let is_counted = is_strangers && self.count(remote.addr.ip());
        let session = Session {
            keys,
            before: None,
            made: now,
            used: now,
            mask: Mask::of(&remote.id),
            record,
            reported: None,
            is_counted,
        };
        let evicted = self.map.insert(remote, Box::new(session), now + self.lifetime);
        if let Some((old, session)) = evicted {
            self.forget(&old, &session);
        }
    }

    /// Opens the message of a packet.
    pub(super) fn open(&mut self, now: Instant, remote: &Remote, packet: &Unmasked<'_>) -> Opened {
        let Some(session) = self.map.get_mut(remote, now) else { return Opened::Nothing };
        let opened = match session.keys.open(packet) {
            Some(opened) => {
                if now.saturating_since(session.made) >= OVERLAP {
                    session.before = None;
                }
                opened
            }
            None => session
                .before
                .as_mut()
                .and_then(|keys| keys.open(packet))
                .unwrap_or(Opened::Nothing),
        };
        let Opened::Text(_) = opened else { return opened };
        if now.saturating_since(session.used) >= RENEWAL {
            session.used = now;
            self.map.renew(remote, now, now + self.lifetime, |_| ());
        }
        opened
    }

    /// A packet that says `text`, and its nonce; `None` without a session.
    pub(super) fn seal(
        &mut self,
        now: Instant,
        remote: &Remote,
        own: &NodeId,
        random: &mut Random,
        text: &[u8],
    ) -> Option<(Vec<u8>, Nonce)> {
        let session = self.map.get_mut(remote, now)?;
        let keys = &mut session.keys;
        let nonce = nonce(keys.sent, random);
        keys.sent = keys.sent.wrapping_add(1);
        let iv = random.bytes();
        let cipher = &keys.seal;
        Some((packet::message(&session.mask, &iv, &nonce, own, cipher, text), nonce))
    }

    /// What the node said of itself when it began the session.
    pub(super) fn record(&self, now: Instant, remote: &Remote) -> Option<&Record> {
        self.map.get(remote, now)?.record.as_ref()
    }

    /// Notes a PING of the node. Whether that is news worth keeping.
    pub(super) fn is_news(&mut self, now: Instant, remote: &Remote) -> bool {
        let Some(session) = self.map.get_mut(remote, now) else { return false };
        let is_old = |at: Instant| now.saturating_since(at) >= REPORT_INTERVAL;
        let is_news = session.reported.is_none_or(is_old);
        if is_news {
            session.reported = Some(now);
        }
        is_news
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.map.len()
    }

    /// The bytes held, estimated as if each had keys before.
    pub(super) fn memory(&self) -> usize {
        self.map.memory() + self.map.len() * SESSION_SIZE + self.subnets.memory()
    }

    /// The most bytes held.
    pub(super) const fn memory_bound() -> usize {
        ExpiringMap::<Remote, Box<Session>>::memory_bound(MAX_SESSIONS)
            + MAX_SESSIONS * SESSION_SIZE
            + SubnetCounts::memory_bound(MAX_SESSIONS)
    }

    /// Counts one more session for the subnet of `ip`, in the place of the one that was used least
    /// recently if there are too many.
    fn count(&mut self, ip: IpAddr) -> bool {
        if self.subnets.add(ip) {
            return true;
        }
        let subnet = Subnet::of(ip);
        let theirs = self
            .map
            .iter()
            .filter(|(remote, session)| session.is_counted && subnet.contains(remote.addr.ip()));
        let least = theirs.min_by_key(|(_, session)| (session.used, session.made));
        if let Some(least) = least.map(|(remote, _)| *remote) {
            self.map.remove(&least);
            self.subnets.remove(ip);
        }
        self.subnets.add(ip)
    }

    fn forget(&mut self, remote: &Remote, session: &Session) {
        if session.is_counted {
            self.subnets.remove(remote.addr.ip());
        }
    }
}

/// The most bytes of a session: with keys before, and a record that nobody shares.
const SESSION_SIZE: usize = size_of::<Session>() + size_of::<Keys>() + peerage_node::Node::MAX_HEAP;

/// The nonce of the packet number `sent` of a session: never twice with one key.
pub(super) fn nonce(sent: u32, random: &mut Random) -> Nonce {
    let mut nonce = random.bytes::<12>();
    nonce[..4].copy_from_slice(&sent.to_be_bytes());
    nonce
}
