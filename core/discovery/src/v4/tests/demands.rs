//! What the tests of go-ethereum's `devp2p discv4 test` demand of a node, one test each, restated
//! for the machine. They run against a node that knows nobody, from two loopback addresses.

use peerage_node::Record;

use super::*;
use crate::v4::packet::{Neighbor, Neighbors, Sealed};

struct World {
    net: Net,
    node: SocketAddr,
    tester: Tester,
}

fn world() -> World {
    let mut net = Net::new();
    let node = "127.0.0.1:30303".parse().unwrap();
    net.start(1, node, Vec::new());
    World { net, node, tester: Tester::new(100, "127.0.0.1:40001".parse().unwrap()) }
}

impl World {
    fn exchange(&mut self, packet: &Packet) -> Vec<Packet> {
        self.tester.exchange(&mut self.net, self.node, packet)
    }

    fn bond(&mut self) {
        self.tester.bond(&mut self.net, self.node);
    }

    /// The tester's ping with other endpoints.
    fn ping(&self, from: Option<Endpoint>, to: Option<Endpoint>) -> Packet {
        let Packet::Ping(mut ping) = self.tester.ping(self.node) else { panic!("a ping") };
        ping.from = from.unwrap_or(ping.from);
        ping.to = to.unwrap_or(ping.to);
        Packet::Ping(ping)
    }

    /// Sends a ping and demands a pong and a ping, and nothing else.
    fn expect_pong_and_ping(&mut self, bytes: Vec<u8>) {
        let token = Sealed::check(&bytes).unwrap().hash();
        self.net.send(self.tester.addr, self.node, bytes);
        let answers = self.tester.read(&mut self.net, READ_WAIT);
        let [(Packet::Pong(pong), _), (Packet::Ping(ping), _)] = &answers[..] else {
            panic!("not a pong and a ping: {answers:?}");
        };
        assert_eq!(pong.token, token);
        assert_eq!(pong.to.udp_addr(), Some(self.tester.addr));
        assert!(pong.expiration >= self.net.now.unix.as_secs());
        assert_eq!(ping.to.udp_addr(), Some(self.tester.addr));
    }
}

/// 192.0.2.0:0, which nobody has.
fn nowhere() -> Endpoint {
    Endpoint { ip: Some("192.0.2.0".parse().unwrap()), udp: 0, tcp: 0 }
}

/// `packet` with two more elements at the end of its list.
fn with_extra_data(packet: &Packet, key: &SecretKey) -> Vec<u8> {
    let (bytes, _) = packet.encode(key);
    let mut payload = alloy_rlp::Header::decode_bytes(&mut &bytes[98..], true).unwrap().to_vec();
    // An empty list, as elements need not be numbers, and a string.
    payload.extend_from_slice(&[0xc0, 0x83, 1, 2, 3]);
    let mut signed = vec![0x01];
    alloy_rlp::Header { list: true, payload_length: payload.len() }.encode(&mut signed);
    signed.extend_from_slice(&payload);
    let mut sealed = key.sign(&keccak_asm::Keccak256::digest(&signed).into()).to_bytes().to_vec();
    sealed.extend_from_slice(&signed);
    [keccak_asm::Keccak256::digest(&sealed).as_slice(), &sealed].concat()
}

#[test]
fn ping_basic() {
    let mut world = world();
    let (bytes, _) = world.ping(None, None).encode(&world.tester.key);
    world.expect_pong_and_ping(bytes);
}

#[test]
fn ping_wrong_to() {
    let mut world = world();
    let (bytes, _) = world.ping(None, Some(nowhere())).encode(&world.tester.key);
    world.expect_pong_and_ping(bytes);
}

#[test]
fn ping_wrong_from() {
    let mut world = world();
    let (bytes, _) = world.ping(Some(nowhere()), None).encode(&world.tester.key);
    world.expect_pong_and_ping(bytes);
}

#[test]
fn ping_extra_data() {
    let mut world = world();
    let bytes = with_extra_data(&world.ping(None, None), &world.tester.key);
    world.expect_pong_and_ping(bytes);
}

#[test]
fn ping_extra_data_wrong_from() {
    let mut world = world();
    let bytes = with_extra_data(&world.ping(Some(nowhere()), None), &world.tester.key);
    world.expect_pong_and_ping(bytes);
}

#[test]
fn ping_past_expiration() {
    let mut world = world();
    for expiration in [negative(&world.net), 0, world.net.now.unix.as_secs() - 1] {
        let Packet::Ping(ping) = world.ping(None, None) else { panic!("a ping") };
        assert_eq!(world.exchange(&Packet::Ping(Ping { expiration, ..ping })), []);
    }
}

#[test]
fn ping_wrong_packet_type() {
    let mut world = world();
    let mut signed = vec![66];
    signed.extend_from_slice(&[0xc2, 1, 2]);
    let digest = keccak_asm::Keccak256::digest(&signed).into();
    let mut sealed = world.tester.key.sign(&digest).to_bytes().to_vec();
    sealed.extend_from_slice(&signed);
    let bytes = [keccak_asm::Keccak256::digest(&sealed).as_slice(), &sealed].concat();
    world.net.send(world.tester.addr, world.node, bytes);
    assert_eq!(world.tester.read(&mut world.net, READ_WAIT), []);
}

#[test]
fn ping_bond_then_ping_with_wrong_from() {
    let mut world = world();
    world.bond();
    let answers = world.exchange(&world.ping(Some(nowhere()), None));
    // Nothing comes before the pong, and nothing after it for now.
    assert!(matches!(&answers[..], [Packet::Pong(_)]), "{answers:?}");
}

#[test]
fn enr_request_is_answered_next() {
    let mut world = world();
    world.bond();
    let request = enr_request();
    let answers = world.exchange(&request);
    let [Packet::EnrResponse(response)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(response.token, request.encode(&world.tester.key).1);
    let record = Record::decode(&response.record).unwrap();
    assert_eq!(record.id(), id(1));
    assert_eq!(&record, world.net.record(world.node));
}

#[test]
fn find_node_without_endpoint_proof() {
    let mut world = world();
    assert_eq!(world.exchange(&find_node()), []);
}

#[test]
fn find_node_basic() {
    let mut world = world();
    world.bond();
    let answers = world.exchange(&find_node());
    assert!(matches!(&answers[..], [Packet::Neighbors(_)]), "{answers:?}");
}

#[test]
fn find_node_after_unsolicited_neighbors() {
    let mut world = world();
    world.bond();
    let told = node(9, "127.0.0.1:30999".parse().unwrap());
    let nodes = vec![Neighbor::new(&told, "127.0.0.1:30999".parse().unwrap())];
    let unasked = Packet::Neighbors(Neighbors { nodes, expiration: VALID });
    world.tester.send(&mut world.net, world.node, &unasked);
    let answers = world.exchange(&find_node());
    let [Packet::Neighbors(neighbors)] = &answers[..] else { panic!("{answers:?}") };
    assert!(neighbors.nodes.iter().all(|it| it.to_node().unwrap().id() != id(9)));
}

#[test]
fn find_node_past_expiration() {
    let mut world = world();
    world.bond();
    let expiration = negative(&world.net);
    let packet = Packet::FindNode(FindNode { target: Target([5; 64]), expiration });
    assert_eq!(world.exchange(&packet), []);
}

#[test]
fn amplification_invalid_pong_hash() {
    let mut world = world();
    let (net, tester) = (&mut world.net, &world.tester);
    tester.send(net, world.node, &tester.ping(world.node));
    assert_eq!(tester.read(net, 2 * LATENCY).len(), 2);
    tester.send(net, world.node, &tester.pong(world.node, [9; 32]));
    net.run(LATENCY);
    assert_eq!(world.exchange(&find_node()), []);
}

#[test]
fn amplification_wrong_ip() {
    let mut world = world();
    world.bond();
    let elsewhere = Tester::new(100, "127.0.0.2:40001".parse().unwrap());
    let packet = find_node();
    assert_eq!(elsewhere.exchange(&mut world.net, world.node, &packet), []);
    // Nor later, nor for any other question.
    let packet = enr_request();
    assert_eq!(elsewhere.exchange(&mut world.net, world.node, &packet), []);
    assert_eq!(elsewhere.read(&mut world.net, seconds(30)), []);
}

/// -(now + 20), as the tests send it.
fn negative(net: &Net) -> u64 {
    0_u64.wrapping_sub(net.now.unix.as_secs() + 20)
}
