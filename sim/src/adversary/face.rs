//! What an adversary shows in discovery: enough of the protocol to be believed, without any rule of
//! its own.
//!
//! Version 4 only: Peerage has no version 5 yet, and so nobody lies in NODES.
//!
//! Not here: which neighbors it tells of, which is the plot's.

use std::{collections::BTreeMap, net::SocketAddr};

use peerage_discovery::v4::packet::{
    Endpoint, EnrRequest, EnrResponse, FindNode, MAX_NEIGHBORS, Neighbor, Neighbors, Packet, Ping,
    Pong, Target, Token,
};
use peerage_node::{Crypto, LocalRecord, Node, NodeId, PublicKey, SecretKey};

use crate::world::Io;

/// Others that it remembers, at most.
const MAX_KNOWN: usize = 256;

/// For how long its packets are valid, in seconds.
const VALID: u64 = 20;

/// Somebody wants neighbors.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Where the question came from.
    pub(super) from: SocketAddr,
    /// Who signed it.
    pub(super) key: PublicKey,
    /// What the neighbors should be close to.
    pub(super) target: Target,
}

/// A node of discovery v4 that answers everybody.
#[derive(Debug)]
pub(super) struct Face {
    key: SecretKey,
    /// Where it takes datagrams and streams.
    at: SocketAddr,
    record: LocalRecord,
    /// Who has pinged it.
    known: BTreeMap<NodeId, Node>,
    /// Whether it answers at all.
    pub(super) answers: bool,
}

impl Face {
    pub(super) fn new(key: &SecretKey, at: SocketAddr) -> Self {
        let mut record = LocalRecord::new(key.clone(), 1);
        let fits = "because an address and two ports fit into an empty record";
        if let SocketAddr::V4(at) = at {
            record.set_ip4(Some(*at.ip())).expect(fits);
            record.set_udp4(Some(at.port())).expect(fits);
            record.set_tcp4(Some(at.port())).expect(fits);
        }
        Self { key: key.clone(), at, record, known: BTreeMap::new(), answers: true }
    }

    /// Where it takes datagrams and streams.
    pub(super) const fn at(&self) -> SocketAddr {
        self.at
    }

    /// Its key.
    pub(super) const fn key(&self) -> &SecretKey {
        &self.key
    }

    /// Who has pinged it, by id.
    pub(super) fn known(&self) -> impl Iterator<Item = &Node> {
        self.known.values()
    }

    /// Answers a datagram; a question for neighbors is the caller's.
    pub(super) fn on_datagram(
        &mut self,
        io: &mut Io<'_>,
        from: SocketAddr,
        bytes: &[u8],
    ) -> Option<Asked> {
        if !self.answers {
            return None;
        }
        let (packet, key, hash) = read(&self.key, bytes)?;
        let expiration = expiration(io);
        match packet {
            Packet::Ping(ping) => {
                let to = Endpoint::new(from, ping.from.tcp);
                let seq = Some(self.record.record().seq());
                self.say(io, from, &Packet::Pong(Pong { to, token: hash, expiration, seq }));
                self.meet(io, key, from, ping.from.tcp);
            }
            Packet::FindNode(FindNode { target, .. }) => return Some(Asked { from, key, target }),
            Packet::EnrRequest(_) => {
                let record = self.record.record().encode();
                self.say(io, from, &Packet::EnrResponse(EnrResponse { token: hash, record }));
            }
            Packet::EnrResponse(_) | Packet::Neighbors(_) | Packet::Pong(_) => {}
        }
        None
    }

    /// Asks somebody to prove to be there, and so to ask it the same.
    pub(super) fn ping(&mut self, io: &mut Io<'_>, to: SocketAddr) {
        let packet = self.ping_packet(io, to);
        self.say(io, to, &packet);
    }

    /// A ping to `to`.
    pub(super) fn ping_packet(&mut self, io: &Io<'_>, to: SocketAddr) -> Packet {
        Packet::Ping(Ping {
            from: Endpoint::new(self.at, self.at.port()),
            to: Endpoint::new(to, 0),
            expiration: expiration(io),
            seq: Some(self.record.record().seq()),
        })
    }

    /// Tells somebody of as many neighbors as there are, in as many packets as that takes.
    pub(super) fn tell(&self, io: &mut Io<'_>, to: SocketAddr, nodes: &[Neighbor]) {
        let expiration = expiration(io);
        for nodes in nodes.chunks(MAX_NEIGHBORS) {
            self.say(io, to, &Packet::Neighbors(Neighbors { nodes: nodes.to_vec(), expiration }));
        }
    }

    /// Those of `nodes` that are closest to `target`: what an honest node would tell.
    pub(super) fn closest<'a>(
        nodes: impl Iterator<Item = &'a Node>,
        target: &Target,
    ) -> Vec<Neighbor> {
        let target = target.id();
        let mut nodes: Vec<&Node> = nodes.collect();
        nodes.sort_by(|a, b| target.cmp_distance(&a.id(), &b.id()));
        let told = nodes
            .into_iter()
            .filter_map(|node| Some(Neighbor::new(node, *node.udp_endpoints().first()?)));
        told.take(16).collect()
    }

    fn say(&self, io: &mut Io<'_>, to: SocketAddr, packet: &Packet) {
        io.send(to, packet.encode(&self.key).0).ok();
    }

    /// Remembers who pinged it, and pings back once, so that both have proved where they are.
    fn meet(&mut self, io: &mut Io<'_>, key: PublicKey, from: SocketAddr, tcp: u16) {
        let id = key.id();
        let is_new = !self.known.contains_key(&id);
        if is_new && self.known.len() >= MAX_KNOWN {
            return;
        }
        let node = Node::from_endpoint(key, SocketAddr::new(from.ip(), tcp), Some(from.port()));
        self.known.insert(id, node);
        if is_new {
            self.ping(io, from);
        }
    }
}

/// Reads a datagram, as the shipping codec does for whoever has this key.
fn read(key: &SecretKey, bytes: &[u8]) -> Option<(Packet, PublicKey, Token)> {
    Packet::decode_with(key.crypto(), bytes).ok()
}

/// A fresh key of the same scheme as `like`.
pub(super) fn another_key(io: &mut Io<'_>, like: &SecretKey) -> SecretKey {
    match like.crypto() {
        Crypto::Real => SecretKey::generate(io.random()),
        Crypto::StandIn => SecretKey::stand_in(io.random()),
    }
}

/// A question for neighbors close to something random.
pub(super) fn find_node(io: &mut Io<'_>) -> Packet {
    let target = Target(io.random().bytes());
    Packet::FindNode(FindNode { target, expiration: expiration(io) })
}

/// A question for a record.
pub(super) fn enr_request(io: &Io<'_>) -> Packet {
    Packet::EnrRequest(EnrRequest { expiration: expiration(io) })
}

/// Until when packets made now are valid, as UNIX time.
pub(super) fn expiration(io: &Io<'_>) -> u64 {
    io.now().unix.as_secs() + VALID
}
