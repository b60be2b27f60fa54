//! An adversary whose neighbors are not there, or are not what it says.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use peerage_discovery::v4::packet::{Endpoint, MAX_NEIGHBORS, Neighbor, Neighbors, Packet};
use peerage_node::Node;

use super::{
    face::{Asked, another_key, expiration},
    mimic::{Body, Plot},
};
use crate::world::Io;

/// Tells of third parties, of nobody, and of places where no node can be.
#[derive(Debug)]
pub(super) struct Liar;

/// Neighbors in one answer: three times as many as there may be.
const TOLD: usize = 48;

/// Where no node can be, or none that concerns others.
const NOWHERE: [IpAddr; 10] = [
    IpAddr::V4(Ipv4Addr::UNSPECIFIED),
    IpAddr::V4(Ipv4Addr::LOCALHOST),
    IpAddr::V4(Ipv4Addr::BROADCAST),
    IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(192, 168, 0, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 1, 1)),
    IpAddr::V4(Ipv4Addr::new(224, 0, 0, 1)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 5)),
    IpAddr::V6(Ipv6Addr::LOCALHOST),
    IpAddr::V6(Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1)),
];

/// Ports of services that a flood of pings would be a nuisance to, and none.
const PORTS: [u16; 5] = [0, 19, 53, 123, 1_024];

impl Plot for Liar {
    fn on_tick(&mut self, body: &mut Body, io: &mut Io<'_>) {
        // So that many ask it.
        if let Some(to) = body.any_target(io).and_then(|it| it.udp_endpoints().first().copied()) {
            body.face_mut().ping(io, to);
        }
        body.court(io);
    }

    fn neighbors(&mut self, body: &mut Body, io: &mut Io<'_>, asked: &Asked) -> Vec<Neighbor> {
        let mut told = Vec::with_capacity(TOLD);
        // The asker itself, and with a key of somebody else.
        told.push(neighbor(asked.key.to_bytes(), asked.from));
        told.push(neighbor(body.face().key().public().to_bytes(), asked.from));
        while told.len() < TOLD {
            told.push(lie(body, io));
        }
        told
    }
}

/// A packet full of neighbors that nobody asked for.
pub(super) fn lies(body: &Body, io: &mut Io<'_>, asker: SocketAddr) -> Packet {
    let mut nodes = vec![neighbor(body.face().key().public().to_bytes(), asker)];
    while nodes.len() < MAX_NEIGHBORS {
        nodes.push(lie(body, io));
    }
    Packet::Neighbors(Neighbors { nodes, expiration: expiration(io) })
}

/// One neighbor that is not what it is said to be.
fn lie(body: &Body, io: &mut Io<'_>) -> Neighbor {
    let somebody = body.any_target(io);
    let place = somebody.as_ref().and_then(|it| it.udp_endpoints().first().copied());
    let place = place.unwrap_or_else(|| body.face().at());
    match io.random().below(6) {
        // A key that nobody has, at the place of an honest node.
        0 => neighbor(another_key(io, body.face().key()).public().to_bytes(), place),
        // The key of an honest node, at a place where nobody is.
        1 => neighbor(key_of(somebody, io), SocketAddr::new(nobody(io), 30_303)),
        // A node that does not exist.
        2 => {
            let at = SocketAddr::new(nobody(io), 30_303);
            neighbor(another_key(io, body.face().key()).public().to_bytes(), at)
        }
        // A place where no node can be.
        3 => {
            let at = usize::try_from(io.random().below(NOWHERE.len() as u64)).unwrap_or(0);
            neighbor(key_of(somebody, io), SocketAddr::new(NOWHERE[at], 30_303))
        }
        // A service of somebody.
        4 => {
            let at = usize::try_from(io.random().below(PORTS.len() as u64)).unwrap_or(0);
            let key = another_key(io, body.face().key()).public().to_bytes();
            neighbor(key, SocketAddr::new(place.ip(), PORTS[at]))
        }
        // What is no key.
        _ => neighbor(io.random().bytes(), place),
    }
}

fn neighbor(key: [u8; 64], at: SocketAddr) -> Neighbor {
    Neighbor { endpoint: Endpoint { ip: Some(at.ip()), udp: at.port(), tcp: at.port() }, key }
}

fn key_of(node: Option<Node>, io: &mut Io<'_>) -> [u8; 64] {
    node.map_or_else(|| io.random().bytes(), |node| node.public_key().to_bytes())
}

/// An address in a network that no world uses.
fn nobody(io: &mut Io<'_>) -> IpAddr {
    let [a, b, c] = io.random().bytes();
    IpAddr::V4(Ipv4Addr::new(15, a, b, c))
}
