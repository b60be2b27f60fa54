use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::Random;
use peerage_node::{LocalRecord, Node, NodeId, SecretKey};

use super::*;

const DAY: u64 = 24 * 60 * 60;
/// A day in 2023: when tests happen.
const NOW: u64 = 1_700_000_000;

fn at(unix: u64) -> Duration {
    Duration::from_secs(unix)
}

fn key(n: u32) -> SecretKey {
    let mut bytes = [1; 32];
    bytes[..4].copy_from_slice(&n.to_be_bytes());
    SecretKey::from_bytes(&bytes).unwrap()
}

fn id(n: u32) -> NodeId {
    key(n).public().id()
}

/// An address in a /24 of its own.
fn ip(n: u32) -> IpAddr {
    let [_, a, b, c] = n.to_be_bytes();
    [50 + a, b, c, 1].into()
}

/// A node known by an address only.
fn unsigned(n: u32, ip: IpAddr) -> Node {
    Node::from_endpoint(*key(n).public(), SocketAddr::new(ip, 30303), None)
}

/// A node known by its record.
fn signed(n: u32, seq: u64, ip: IpAddr) -> Node {
    let mut record = LocalRecord::new(key(n), seq - 1);
    match ip {
        IpAddr::V4(ip) => record.set_ip4(Some(ip)).unwrap(),
        IpAddr::V6(ip) => record.set_ip6(Some(ip)).unwrap(),
    }
    record.set_udp4(Some(30303)).unwrap();
    record.record().clone().into()
}

fn ping(n: u32, ip: IpAddr, unix: u64) -> StoreOp {
    StoreOp::Ping { id: id(n), ip, unix: at(unix) }
}

fn pong(n: u32, ip: IpAddr, unix: u64) -> StoreOp {
    StoreOp::Pong { id: id(n), ip, unix: at(unix) }
}

/// What a node that is found and answers leaves behind.
fn met(n: u32, unix: u64) -> [StoreOp; 2] {
    [StoreOp::Record(unsigned(n, ip(n)).into()), pong(n, ip(n), unix)]
}

fn some_seeds(store: &Shelf, now: u64, max_age: u64, count: usize) -> Vec<SeedNode> {
    store.seeds(at(now), at(max_age), count, &mut Random::from_seed([7; 32]))
}

fn seed_ids(store: &Shelf) -> Vec<NodeId> {
    let mut ids: Vec<_> =
        some_seeds(store, NOW, 5 * DAY, 1000).iter().map(|seed| seed.node.id()).collect();
    ids.sort();
    ids
}

fn sorted(ids: impl IntoIterator<Item = u32>) -> Vec<NodeId> {
    let mut ids: Vec<_> = ids.into_iter().map(id).collect();
    ids.sort();
    ids
}

#[test]
fn everything_that_is_told_of_a_node_is_known() {
    let store = &mut Shelf::new(Bounds::default());
    let node = signed(1, 3, ip(1));
    let ops = [
        StoreOp::Record(node.clone().into()),
        ping(1, ip(1), NOW - 3),
        pong(1, ip(1), NOW - 2),
        StoreOp::Failures { id: id(1), ip: ip(2), count: 4 },
        StoreOp::Seq(9),
    ];
    store.apply(at(NOW), &ops);
    let known = store.known(&id(1)).unwrap();
    assert_eq!(known.node, Some(node.clone()));
    assert_eq!(
        known.contacts,
        [
            Contact {
                ip: ip(1),
                last_ping: Some(at(NOW - 3)),
                last_pong: Some(at(NOW - 2)),
                failures: 0
            },
            Contact { ip: ip(2), last_ping: None, last_pong: None, failures: 4 },
        ]
    );
    assert_eq!(store.local_seq(), Some(9));
    assert_eq!(some_seeds(store, NOW, DAY, 30), [SeedNode { node, last_pong: at(NOW - 2) }]);
    assert_eq!(store.len(), 1);
    assert_eq!(store.known(&id(2)), None);
}

#[test]
fn a_forgotten_node_is_gone_and_can_come_back() {
    let store = &mut Shelf::new(Bounds::default());
    store.apply(at(NOW), &met(1, NOW));
    store.apply(at(NOW), &[StoreOp::Forget(id(1)), ping(2, ip(2), NOW)]);
    assert_eq!(store.known(&id(1)), None);
    assert_eq!(store.len(), 1);
    assert_eq!(seed_ids(store), []);

    // In one batch, too: operations count in their order.
    let ops = [&met(1, NOW)[..], &[StoreOp::Forget(id(1)), ping(1, ip(1), NOW)]].concat();
    store.apply(at(NOW), &ops);
    let known = store.known(&id(1)).unwrap();
    assert_eq!((known.node, known.contacts[0].last_pong), (None, None));
}

#[test]
fn our_sequence_number_never_falls() {
    let store = &mut Shelf::new(Bounds::default());
    assert_eq!(store.local_seq(), None);
    for (told, kept) in [(0, 0), (7, 7), (5, 7), (u64::MAX, u64::MAX)] {
        store.apply(at(NOW), &[StoreOp::Seq(told)]);
        assert_eq!(store.local_seq(), Some(kept));
    }
}

#[test]
fn a_record_yields_only_to_a_newer_one() {
    let store = &mut Shelf::new(Bounds::default());
    let mut tell = |node: Node| {
        store.apply(at(NOW), &[StoreOp::Record(node.into())]);
        store.known(&id(1)).unwrap().node.unwrap()
    };
    let second = signed(1, 2, ip(2));
    assert_eq!(tell(unsigned(1, ip(1))), unsigned(1, ip(1)));
    assert_eq!(tell(unsigned(1, ip(9))), unsigned(1, ip(9)));
    assert_eq!(tell(second.clone()), second);
    assert_eq!(tell(signed(1, 1, ip(3))), second);
    assert_eq!(tell(unsigned(1, ip(3))), second);
    let third = signed(1, 3, ip(3));
    assert_eq!(tell(third.clone()), third);
}

#[test]
fn only_a_node_that_answered_from_where_it_is_said_to_be_is_a_seed() {
    let store = &mut Shelf::new(Bounds::default());
    store.apply(at(NOW), &[StoreOp::Record(signed(1, 1, ip(1)).into())]);
    assert_eq!(seed_ids(store), []);
    store.apply(at(NOW), &[pong(1, ip(2), NOW), ping(1, ip(1), NOW)]);
    assert_eq!(seed_ids(store), []);
    // It says that it moved to where it answered from.
    store.apply(at(NOW), &[StoreOp::Record(signed(1, 2, ip(2)).into())]);
    assert_eq!(seed_ids(store), [id(1)]);
    // And moved on.
    store.apply(at(NOW), &[StoreOp::Record(signed(1, 3, ip(3)).into())]);
    assert_eq!(seed_ids(store), []);

    // An IPv4-mapped address is the IPv4 address.
    let IpAddr::V4(v4) = ip(3) else { unreachable!() };
    store.apply(at(NOW), &[pong(1, v4.to_ipv6_mapped().into(), NOW)]);
    assert_eq!(seed_ids(store), [id(1)]);

    let v6: IpAddr = "2001:db8::1".parse().unwrap();
    store.apply(at(NOW), &[StoreOp::Record(unsigned(2, v6).into()), pong(2, v6, NOW)]);
    assert_eq!(seed_ids(store), sorted([1, 2]));
}

/// As in simulations: nobody could verify its record again by the real scheme.
#[test]
fn a_node_with_a_stand_in_key_is_a_seed_in_memory() {
    let key = SecretKey::stand_in_from_bytes(&[3; 32]).unwrap();
    let mut record = LocalRecord::new(key, 6);
    record.set_ip4(Some([50, 0, 0, 1].into())).unwrap();
    record.set_udp4(Some(30303)).unwrap();
    let node = Node::from(record.record().clone());
    let store = &mut Shelf::new(Bounds::default());
    let pong = StoreOp::Pong { id: node.id(), ip: [50, 0, 0, 1].into(), unix: at(NOW) };
    store.apply(at(NOW), &[StoreOp::Record(node.clone().into()), pong]);
    assert_eq!(some_seeds(store, NOW, DAY, 30), [SeedNode { node, last_pong: at(NOW) }]);
}

#[test]
fn a_node_that_was_heard_elsewhere_than_it_signed_is_a_seed_there() {
    let store = &mut Shelf::new(Bounds::default());
    let heard = SocketAddr::new(ip(7), 30399);
    let url: Node = format!("enode://{}", key(2).public()).parse().unwrap();
    let nodes = [signed(1, 1, ip(1)), url, unsigned(3, ip(3))];
    for node in nodes.map(|node| node.with_udp_endpoint(heard)) {
        let id = node.id();
        let pong = StoreOp::Pong { id, ip: ip(7), unix: at(NOW) };
        store.apply(at(NOW), &[StoreOp::Record(node.clone().into()), pong]);
        let seeds = some_seeds(store, NOW, DAY, 9);
        let seed = &seeds.iter().find(|seed| seed.node.id() == id).unwrap().node;
        assert_eq!(seed.record(), node.record());
        assert_eq!(seed.tcp_endpoints(), node.tcp_endpoints());
        assert_eq!(seed.udp_endpoints(), [heard]);
        store.apply(at(NOW), &[StoreOp::Forget(id)]);
    }
}

#[test]
fn seeds_are_as_young_and_as_many_as_asked_for() {
    let store = &mut Shelf::new(Bounds::default());
    for n in 0..10 {
        store.apply(at(NOW), &met(n, NOW - u64::from(n) * DAY));
    }
    assert_eq!(seed_ids(store), sorted(0..=5));
    assert_eq!(some_seeds(store, NOW, 5 * DAY, 3).len(), 3);
    assert_eq!(some_seeds(store, NOW, 5 * DAY, 0), []);
    assert_eq!(some_seeds(store, NOW, u64::MAX, 100).len(), 10);
    // A clock that was set back: what is of the future is young.
    assert_eq!(some_seeds(store, NOW - 2 * DAY, 0, 100).len(), 3);
}

#[test]
fn which_seeds_is_chance() {
    let store = &mut Shelf::new(Bounds::default());
    let ops: Vec<_> = (0..100).flat_map(|n| met(n, NOW - u64::from(n))).collect();
    store.apply(at(NOW), &ops);
    let mut first = Vec::new();
    for seed in 0..20 {
        let mut random = Random::from_seed([seed; 32]);
        let seeds = store.seeds(at(NOW), at(DAY), 5, &mut random);
        first.extend(seeds.iter().map(|seed| seed.node.id()));
    }
    first.sort();
    first.dedup();
    // 100 draws out of 100; the same five each time would be 5.
    assert!(first.len() > 40, "{}", first.len());
}

#[test]
fn one_subnet_is_two_seeds_at_most_unless_it_is_ours() {
    // prefix of addresses, seeds of ten of them
    let table = [("203.0.112.", 2), ("10.0.0.", 10), ("2001:db8::", 2), ("127.0.0.", 10)];
    for (prefix, expected) in table {
        let store = &mut Shelf::new(Bounds::default());
        for n in 1..=10 {
            let ip = format!("{prefix}{n}").parse().unwrap();
            store.apply(at(NOW), &[StoreOp::Record(unsigned(n, ip).into()), pong(n, ip, NOW)]);
        }
        store.apply(at(NOW), &met(77, NOW));
        assert_eq!(seed_ids(store).len(), expected + 1, "{prefix}");
    }
}

#[test]
fn strangers_push_out_one_another_and_not_who_answered() {
    let store = &mut Shelf::new(Bounds { nodes: 20, ..Bounds::default() });
    // Of long ago, but with an answer.
    for n in 0..5 {
        store.apply(at(NOW - 4 * DAY), &met(n, NOW - 4 * DAY));
        store.apply(at(NOW - 4 * DAY), &[pong(10 + n, ip(n), NOW - 4 * DAY)]);
    }
    for n in 100..300 {
        let now = NOW - 300 + u64::from(n);
        let ops = [ping(n, ip(n), now), StoreOp::Record(unsigned(n, ip(n)).into())];
        store.apply(at(now), &ops);
        assert!(store.len() <= 20);
    }
    assert_eq!(seed_ids(store), sorted(0..5));
    assert_eq!(store.len(), 20);
    // The latest ten strangers are left, and of those that answered all.
    for n in (0..5).chain(10..15).chain(290..300) {
        assert!(store.known(&id(n)).is_some(), "{n}");
    }

    // Those that answer push out the strangers, and then who answered from elsewhere.
    let ops: Vec<_> = (400..415).flat_map(|n| met(n, NOW)).collect();
    store.apply(at(NOW), &ops);
    assert_eq!(seed_ids(store), sorted((0..5).chain(400..415)));
    // And then the oldest.
    store.apply(at(NOW), &met(500, NOW));
    assert_eq!((store.len(), seed_ids(store).len()), (20, 20));
    assert!(store.known(&id(500)).is_some());
}

#[test]
fn who_never_answered_is_dropped_after_a_day_and_who_did_after_thirty() {
    let store = &mut Shelf::new(Bounds::default());
    store.apply(at(NOW), &met(1, NOW));
    store.apply(at(NOW), &[pong(2, ip(2), NOW)]);
    // Each way to be known without an answer.
    store.apply(at(NOW), &[ping(3, ip(3), NOW)]);
    store.apply(at(NOW), &[StoreOp::Record(unsigned(4, ip(4)).into())]);
    let failures = StoreOp::Failures { id: id(5), ip: ip(5), count: 1 };
    store.apply(at(NOW), &[failures]);

    assert_eq!(store.prune(at(NOW + DAY)), 0);
    // It still sends PINGs.
    store.apply(at(NOW + DAY), &[ping(3, ip(3), NOW + DAY)]);
    assert_eq!(store.prune(at(NOW + DAY + 1)), 2);
    assert_eq!(store.prune(at(NOW + 2 * DAY + 1)), 1);
    assert_eq!(store.len(), 2);
    assert_eq!(store.prune(at(NOW + 30 * DAY)), 0);
    assert_eq!(store.prune(at(NOW + 30 * DAY + 1)), 2);
    assert_eq!(store.len(), 0);
}

#[test]
fn times_in_the_future_become_the_present() {
    let store = &mut Shelf::new(Bounds::default());
    let pong_of = |store: &Shelf, n| store.known(&id(n)).unwrap().contacts[0].last_pong.unwrap();
    // Before they are kept.
    store.apply(at(NOW), &met(1, NOW + DAY));
    assert_eq!(pong_of(store, 1), at(NOW));
    // Kept while the clock was a year ahead.
    let ahead = NOW + 365 * DAY;
    store.apply(at(ahead), &met(2, ahead));
    store.apply(at(ahead), &[ping(3, ip(3), ahead)]);
    assert_eq!(store.prune(at(NOW)), 0);
    assert_eq!(pong_of(store, 2), at(NOW));
    assert_eq!(store.prune(at(NOW + 2 * DAY)), 1);
    assert_eq!(store.prune(at(NOW + 31 * DAY)), 2);
}

#[test]
fn a_replayed_ping_does_not_push_out_an_address_that_answered() {
    let store = &mut Shelf::new(Bounds::default());
    store.apply(at(NOW), &met(1, NOW - DAY));
    for n in 100..200 {
        store.apply(at(NOW), &[ping(1, ip(n), NOW)]);
    }
    let known = store.known(&id(1)).unwrap();
    assert_eq!(known.contacts.len(), 4);
    assert_eq!(seed_ids(store), [id(1)]);
}
