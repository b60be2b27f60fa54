//! Discovery v4 in a network of machines and of testers that send what they like.

mod demands;
mod hostile;
mod memory;
mod network;
mod newcomers;
mod stand_in;

use std::{collections::BTreeSet, net::SocketAddr, time::Duration};

use peerage_node::{Node, NodeId, Policy, SecretKey};

use super::packet::{Endpoint, EnrRequest, FindNode, Packet, Ping, Pong, Target, Token};
use crate::{
    Command, Config, Input, Output, QueryId, Version,
    testing::{
        net::{LATENCY, Net, Parcel, about, lost},
        public, secret,
    },
};

/// Somebody with a key, who sends what it likes from where it likes.
struct Tester {
    key: SecretKey,
    addr: SocketAddr,
}

impl Tester {
    fn new(n: u32, addr: SocketAddr) -> Self {
        Self { key: secret(n), addr }
    }

    /// Sends a packet; its hash.
    fn send(&self, net: &mut Net, to: SocketAddr, packet: &Packet) -> Token {
        let (bytes, token) = packet.encode(&self.key);
        net.send(self.addr, to, bytes);
        token
    }

    /// Lets `span` pass, and reads what has come.
    fn read(&self, net: &mut Net, span: Duration) -> Vec<(Packet, Token)> {
        net.run(span);
        let (mine, others) =
            std::mem::take(&mut net.mail).into_iter().partition(|it| it.to == self.addr);
        net.mail = others;
        let mine: Vec<Parcel> = mine;
        mine.iter()
            .map(|datagram| {
                let (packet, _, token) = Packet::decode(&datagram.bytes).unwrap();
                (packet, token)
            })
            .collect()
    }

    /// Sends a packet and reads what comes while go-ethereum's tests would wait.
    fn exchange(&self, net: &mut Net, to: SocketAddr, packet: &Packet) -> Vec<Packet> {
        self.send(net, to, packet);
        self.read(net, READ_WAIT).into_iter().map(|(packet, _)| packet).collect()
    }

    /// Proves itself: pings, and answers the ping that comes back, with no time lost.
    fn bond(&self, net: &mut Net, to: SocketAddr) {
        let token = self.send(net, to, &self.ping(to));
        let answers = self.read(net, 2 * LATENCY);
        assert!(answers.iter().any(|(it, _)| matches!(it, Packet::Pong(it) if it.token == token)));
        let asked = answers.iter().find(|(it, _)| matches!(it, Packet::Ping(_))).expect("a ping");
        self.send(net, to, &self.pong(to, asked.1));
        net.run(LATENCY);
    }

    fn ping(&self, to: SocketAddr) -> Packet {
        Packet::Ping(Ping {
            from: Endpoint::new(self.addr, self.addr.port()),
            to: Endpoint::new(to, 0),
            expiration: VALID,
            seq: None,
        })
    }

    fn pong(&self, to: SocketAddr, token: Token) -> Packet {
        Packet::Pong(Pong { to: Endpoint::new(to, 0), token, expiration: VALID, seq: None })
    }

    fn node(&self) -> Node {
        Node::from_endpoint(*self.key.public(), self.addr, None)
    }
}

/// How long go-ethereum's tests wait for a packet.
const READ_WAIT: Duration = Duration::from_millis(300);

/// When packets of testers expire: in a day.
const VALID: u64 = 1_800_086_400;

fn restricted_to(networks: &str) -> Policy {
    Policy::default().with_net_restrict(Some(networks.parse().unwrap()))
}

fn find_node() -> Packet {
    Packet::FindNode(FindNode { target: Target([5; 64]), expiration: VALID })
}

fn enr_request() -> Packet {
    Packet::EnrRequest(EnrRequest { expiration: VALID })
}

/// The node with the `n`th key at `addr`, as a boot node is told.
fn node(n: u32, addr: SocketAddr) -> Node {
    Node::from_endpoint(*secret(n).public(), addr, None)
}

fn id(n: u32) -> NodeId {
    secret(n).public().id()
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

const QUERY: QueryId = QueryId(7);
