use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use peerage_machine::Random;
use peerage_node::{LocalRecord, Node, NodeId, SecretKey};
use proptest::prelude::*;

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
    [StoreOp::Record(unsigned(n, ip(n))), pong(n, ip(n), unix)]
}

fn some_seeds(store: &dyn NodeStore, now: u64, max_age: u64, count: usize) -> Vec<SeedNode> {
    store.seeds(at(now), at(max_age), count, &mut Random::from_seed([7; 32])).unwrap()
}

fn seed_ids(store: &dyn NodeStore) -> Vec<NodeId> {
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

/// Runs a test on both stores.
fn on_each(bounds: Bounds, test: impl Fn(&mut dyn NodeStore)) {
    test(&mut MemoryStore::new(bounds));
    let dir = tempfile::tempdir().unwrap();
    let (mut store, warning) = RedbStore::open_with(dir.path(), bounds).unwrap();
    assert!(warning.is_none());
    test(&mut store);
}

#[test]
fn everything_that_is_told_of_a_node_is_known() {
    on_each(Bounds::default(), |store| {
        let node = signed(1, 3, ip(1));
        let ops = [
            StoreOp::Record(node.clone()),
            ping(1, ip(1), NOW - 3),
            pong(1, ip(1), NOW - 2),
            StoreOp::Failures { id: id(1), ip: ip(2), count: 4 },
            StoreOp::Seq(9),
        ];
        store.apply(at(NOW), &ops).unwrap();
        let known = store.known(&id(1)).unwrap().unwrap();
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
        assert_eq!(store.local_seq().unwrap(), Some(9));
        assert_eq!(some_seeds(store, NOW, DAY, 30), [SeedNode { node, last_pong: at(NOW - 2) }]);
        assert_eq!(store.len().unwrap(), 1);
        assert_eq!(store.known(&id(2)).unwrap(), None);
    });
}

#[test]
fn a_forgotten_node_is_gone_and_can_come_back() {
    on_each(Bounds::default(), |store| {
        store.apply(at(NOW), &met(1, NOW)).unwrap();
        store.apply(at(NOW), &[StoreOp::Forget(id(1)), ping(2, ip(2), NOW)]).unwrap();
        assert_eq!(store.known(&id(1)).unwrap(), None);
        assert_eq!(store.len().unwrap(), 1);
        assert_eq!(seed_ids(store), []);

        // In one batch, too: operations count in their order.
        let ops = [&met(1, NOW)[..], &[StoreOp::Forget(id(1)), ping(1, ip(1), NOW)]].concat();
        store.apply(at(NOW), &ops).unwrap();
        let known = store.known(&id(1)).unwrap().unwrap();
        assert_eq!((known.node, known.contacts[0].last_pong), (None, None));
    });
}

#[test]
fn our_sequence_number_never_falls() {
    on_each(Bounds::default(), |store| {
        assert_eq!(store.local_seq().unwrap(), None);
        for (told, kept) in [(0, 0), (7, 7), (5, 7), (u64::MAX, u64::MAX)] {
            store.apply(at(NOW), &[StoreOp::Seq(told)]).unwrap();
            assert_eq!(store.local_seq().unwrap(), Some(kept));
        }
    });
}

#[test]
fn a_record_yields_only_to_a_newer_one() {
    on_each(Bounds::default(), |store| {
        let mut tell = |node: Node| {
            store.apply(at(NOW), &[StoreOp::Record(node)]).unwrap();
            store.known(&id(1)).unwrap().unwrap().node.unwrap()
        };
        let second = signed(1, 2, ip(2));
        assert_eq!(tell(unsigned(1, ip(1))), unsigned(1, ip(1)));
        assert_eq!(tell(unsigned(1, ip(9))), unsigned(1, ip(9)));
        assert_eq!(tell(second.clone()), second);
        assert_eq!(tell(signed(1, 1, ip(3))), second);
        assert_eq!(tell(unsigned(1, ip(3))), second);
        let third = signed(1, 3, ip(3));
        assert_eq!(tell(third.clone()), third);
    });
}

#[test]
fn only_a_node_that_answered_from_where_it_is_said_to_be_is_a_seed() {
    on_each(Bounds::default(), |store| {
        store.apply(at(NOW), &[StoreOp::Record(signed(1, 1, ip(1)))]).unwrap();
        assert_eq!(seed_ids(store), []);
        store.apply(at(NOW), &[pong(1, ip(2), NOW), ping(1, ip(1), NOW)]).unwrap();
        assert_eq!(seed_ids(store), []);
        // It says that it moved to where it answered from.
        store.apply(at(NOW), &[StoreOp::Record(signed(1, 2, ip(2)))]).unwrap();
        assert_eq!(seed_ids(store), [id(1)]);
        // And moved on.
        store.apply(at(NOW), &[StoreOp::Record(signed(1, 3, ip(3)))]).unwrap();
        assert_eq!(seed_ids(store), []);

        // An IPv4-mapped address is the IPv4 address.
        let IpAddr::V4(v4) = ip(3) else { unreachable!() };
        store.apply(at(NOW), &[pong(1, v4.to_ipv6_mapped().into(), NOW)]).unwrap();
        assert_eq!(seed_ids(store), [id(1)]);

        let v6: IpAddr = "2001:db8::1".parse().unwrap();
        store.apply(at(NOW), &[StoreOp::Record(unsigned(2, v6)), pong(2, v6, NOW)]).unwrap();
        assert_eq!(seed_ids(store), sorted([1, 2]));
    });
}

#[test]
fn a_node_that_was_heard_elsewhere_than_it_signed_is_a_seed_there() {
    on_each(Bounds::default(), |store| {
        let heard = SocketAddr::new(ip(7), 30399);
        let url: Node = format!("enode://{}", key(2).public()).parse().unwrap();
        let nodes = [signed(1, 1, ip(1)), url, unsigned(3, ip(3))];
        for node in nodes.map(|node| node.with_udp_endpoint(heard)) {
            let id = node.id();
            let pong = StoreOp::Pong { id, ip: ip(7), unix: at(NOW) };
            store.apply(at(NOW), &[StoreOp::Record(node.clone()), pong]).unwrap();
            let seeds = some_seeds(store, NOW, DAY, 9);
            let seed = &seeds.iter().find(|seed| seed.node.id() == id).unwrap().node;
            assert_eq!(seed.record(), node.record());
            assert_eq!(seed.tcp_endpoints(), node.tcp_endpoints());
            assert_eq!(seed.udp_endpoints(), [heard]);
            store.apply(at(NOW), &[StoreOp::Forget(id)]).unwrap();
        }
    });
}

#[test]
fn seeds_are_as_young_and_as_many_as_asked_for() {
    on_each(Bounds::default(), |store| {
        for n in 0..10 {
            store.apply(at(NOW), &met(n, NOW - u64::from(n) * DAY)).unwrap();
        }
        assert_eq!(seed_ids(store), sorted(0..=5));
        assert_eq!(some_seeds(store, NOW, 5 * DAY, 3).len(), 3);
        assert_eq!(some_seeds(store, NOW, 5 * DAY, 0), []);
        assert_eq!(some_seeds(store, NOW, u64::MAX, 100).len(), 10);
        // A clock that was set back: what is of the future is young.
        assert_eq!(some_seeds(store, NOW - 2 * DAY, 0, 100).len(), 3);
    });
}

#[test]
fn which_seeds_is_chance() {
    on_each(Bounds::default(), |store| {
        let ops: Vec<_> = (0..100).flat_map(|n| met(n, NOW - u64::from(n))).collect();
        store.apply(at(NOW), &ops).unwrap();
        let mut first = Vec::new();
        for seed in 0..20 {
            let mut random = Random::from_seed([seed; 32]);
            let seeds = store.seeds(at(NOW), at(DAY), 5, &mut random).unwrap();
            first.extend(seeds.iter().map(|seed| seed.node.id()));
        }
        first.sort();
        first.dedup();
        // 100 draws out of 100; the same five each time would be 5.
        assert!(first.len() > 40, "{}", first.len());
    });
}

#[test]
fn one_subnet_is_two_seeds_at_most_unless_it_is_ours() {
    // prefix of addresses, seeds of ten of them
    let table = [("203.0.112.", 2), ("10.0.0.", 10), ("2001:db8::", 2), ("127.0.0.", 10)];
    for (prefix, expected) in table {
        on_each(Bounds::default(), |store| {
            for n in 1..=10 {
                let ip = format!("{prefix}{n}").parse().unwrap();
                store
                    .apply(at(NOW), &[StoreOp::Record(unsigned(n, ip)), pong(n, ip, NOW)])
                    .unwrap();
            }
            store.apply(at(NOW), &met(77, NOW)).unwrap();
            assert_eq!(seed_ids(store).len(), expected + 1, "{prefix}");
        });
    }
}

#[test]
fn strangers_push_out_one_another_and_not_who_answered() {
    on_each(Bounds { nodes: 20, ..Bounds::default() }, |store| {
        // Of long ago, but with an answer.
        for n in 0..5 {
            store.apply(at(NOW - 4 * DAY), &met(n, NOW - 4 * DAY)).unwrap();
            store.apply(at(NOW - 4 * DAY), &[pong(10 + n, ip(n), NOW - 4 * DAY)]).unwrap();
        }
        for n in 100..300 {
            let now = NOW - 300 + u64::from(n);
            let ops = [ping(n, ip(n), now), StoreOp::Record(unsigned(n, ip(n)))];
            store.apply(at(now), &ops).unwrap();
            assert!(store.len().unwrap() <= 20);
        }
        assert_eq!(seed_ids(store), sorted(0..5));
        assert_eq!(store.len().unwrap(), 20);
        // The latest ten strangers are left, and of those that answered all.
        for n in (0..5).chain(10..15).chain(290..300) {
            assert!(store.known(&id(n)).unwrap().is_some(), "{n}");
        }

        // Those that answer push out the strangers, and then who answered from elsewhere.
        let ops: Vec<_> = (400..415).flat_map(|n| met(n, NOW)).collect();
        store.apply(at(NOW), &ops).unwrap();
        assert_eq!(seed_ids(store), sorted((0..5).chain(400..415)));
        // And then the oldest.
        store.apply(at(NOW), &met(500, NOW)).unwrap();
        assert_eq!((store.len().unwrap(), seed_ids(store).len()), (20, 20));
        assert!(store.known(&id(500)).unwrap().is_some());
    });
}

#[test]
fn who_never_answered_is_dropped_after_a_day_and_who_did_after_thirty() {
    on_each(Bounds::default(), |store| {
        store.apply(at(NOW), &met(1, NOW)).unwrap();
        store.apply(at(NOW), &[pong(2, ip(2), NOW)]).unwrap();
        // Each way to be known without an answer.
        store.apply(at(NOW), &[ping(3, ip(3), NOW)]).unwrap();
        store.apply(at(NOW), &[StoreOp::Record(unsigned(4, ip(4)))]).unwrap();
        let failures = StoreOp::Failures { id: id(5), ip: ip(5), count: 1 };
        store.apply(at(NOW), &[failures]).unwrap();

        assert_eq!(store.prune(at(NOW + DAY)).unwrap(), 0);
        // It still sends PINGs.
        store.apply(at(NOW + DAY), &[ping(3, ip(3), NOW + DAY)]).unwrap();
        assert_eq!(store.prune(at(NOW + DAY + 1)).unwrap(), 2);
        assert_eq!(store.prune(at(NOW + 2 * DAY + 1)).unwrap(), 1);
        assert_eq!(store.len().unwrap(), 2);
        assert_eq!(store.prune(at(NOW + 30 * DAY)).unwrap(), 0);
        assert_eq!(store.prune(at(NOW + 30 * DAY + 1)).unwrap(), 2);
        assert_eq!(store.len().unwrap(), 0);
    });
}

#[test]
fn times_in_the_future_become_the_present() {
    on_each(Bounds::default(), |store| {
        let pong_of = |store: &dyn NodeStore, n| {
            store.known(&id(n)).unwrap().unwrap().contacts[0].last_pong.unwrap()
        };
        // Before they are kept.
        store.apply(at(NOW), &met(1, NOW + DAY)).unwrap();
        assert_eq!(pong_of(store, 1), at(NOW));
        // Kept while the clock was a year ahead.
        let ahead = NOW + 365 * DAY;
        store.apply(at(ahead), &met(2, ahead)).unwrap();
        store.apply(at(ahead), &[ping(3, ip(3), ahead)]).unwrap();
        assert_eq!(store.prune(at(NOW)).unwrap(), 0);
        assert_eq!(pong_of(store, 2), at(NOW));
        assert_eq!(store.prune(at(NOW + 2 * DAY)).unwrap(), 1);
        assert_eq!(store.prune(at(NOW + 31 * DAY)).unwrap(), 2);
    });
}

#[test]
fn a_replayed_ping_does_not_push_out_an_address_that_answered() {
    on_each(Bounds::default(), |store| {
        store.apply(at(NOW), &met(1, NOW - DAY)).unwrap();
        for n in 100..200 {
            store.apply(at(NOW), &[ping(1, ip(n), NOW)]).unwrap();
        }
        let known = store.known(&id(1)).unwrap().unwrap();
        assert_eq!(known.contacts.len(), 4);
        assert_eq!(seed_ids(store), [id(1)]);
    });
}

#[test]
fn lists_keep_what_they_are_told_until_they_are_told_otherwise() {
    on_each(Bounds { nodes: 1, ..Bounds::default() }, |store| {
        let named: Node =
            format!("enode://{}@boot.example.org:30303?discport=30304", key(1).public())
                .parse()
                .unwrap();
        let bare = Node::new(*key(2).public());
        let record = signed(3, 5, ip(3));
        for node in [&named, &bare, &record] {
            assert!(store.add_listed(List::Static, node).unwrap());
            assert!(!store.add_listed(List::Static, node).unwrap());
        }
        assert!(store.add_listed(List::Trusted, &unsigned(3, ip(4))).unwrap());
        let mut nodes = vec![named, bare, record];
        nodes.sort_by_key(Node::id);
        assert_eq!(store.listed(List::Static).unwrap(), nodes);
        assert_eq!(store.listed(List::Trusted).unwrap(), [unsigned(3, ip(4))]);

        // The user's last word counts, also if it is not signed.
        assert!(!store.add_listed(List::Static, &unsigned(3, ip(9))).unwrap());
        assert!(store.listed(List::Static).unwrap().contains(&unsigned(3, ip(9))));

        // Neither age nor number of nodes concern them, nor that discovery forgets.
        store.apply(at(NOW), &[StoreOp::Forget(id(1)), ping(8, ip(8), NOW)]).unwrap();
        store.prune(at(NOW + 999 * DAY)).unwrap();
        assert_eq!(store.listed(List::Static).unwrap().len(), 3);

        assert!(store.remove_listed(List::Static, &id(1)).unwrap());
        assert!(!store.remove_listed(List::Static, &id(1)).unwrap());
        assert!(!store.remove_listed(List::Trusted, &id(1)).unwrap());
        assert_eq!(store.listed(List::Static).unwrap().len(), 2);
    });
}

#[test]
fn a_full_list_says_so_and_can_still_be_changed() {
    let mut store = MemoryStore::default();
    for n in 0..4096 {
        assert!(store.add_listed(List::Trusted, &Node::new(*key(n).public())).unwrap());
    }
    let one_more = Node::new(*key(5000).public());
    assert!(matches!(store.add_listed(List::Trusted, &one_more), Err(StoreError::ListFull)));
    assert!(!store.add_listed(List::Trusted, &unsigned(7, ip(7))).unwrap());
    assert!(store.add_listed(List::Static, &one_more).unwrap());
}

/// One thing done to a store.
#[derive(Clone, Debug)]
enum Step {
    Add(List, Box<Node>),
    Apply(u64, Vec<StoreOp>),
    Prune(u64),
    Remove(List, NodeId),
    /// Closes the file and opens it again.
    Reopen,
}

/// So few that they meet one another.
fn some_node() -> impl Strategy<Value = Node> {
    prop_oneof![
        (0..8_u32, 0..4_u32).prop_map(|(n, place)| unsigned(n, ip(place))),
        (0..8_u32, 1..4_u64, 0..4_u32).prop_map(|(n, seq, place)| signed(n, seq, ip(place))),
        (0..8_u32).prop_map(|n| Node::new(*key(n).public())),
        (0..8_u32, 0..4_u32, 0..4_u32).prop_map(|(n, place, heard)| {
            signed(n, 2, ip(place)).with_udp_endpoint(SocketAddr::new(ip(heard), 30303))
        }),
    ]
}

fn some_op() -> impl Strategy<Value = StoreOp> {
    let contact = || (0..8_u32, 0..7_u32, NOW - 3 * DAY..NOW + DAY);
    prop_oneof![
        4 => some_node().prop_map(StoreOp::Record),
        2 => contact().prop_map(|(n, place, unix)| ping(n, ip(place), unix)),
        4 => contact().prop_map(|(n, place, unix)| pong(n, ip(place), unix)),
        1 => contact().prop_map(|(n, place, unix)| StoreOp::Failures {
            id: id(n),
            ip: ip(place),
            count: u32::try_from(unix % 7).unwrap(),
        }),
        1 => (0..8_u32).prop_map(|n| StoreOp::Forget(id(n))),
        1 => any::<u64>().prop_map(StoreOp::Seq),
    ]
}

fn some_step() -> impl Strategy<Value = Step> {
    let list = || prop_oneof![Just(List::Static), Just(List::Trusted)];
    prop_oneof![
        8 => (NOW - DAY..NOW + DAY, prop::collection::vec(some_op(), 0..24))
            .prop_map(|(now, ops)| Step::Apply(now, ops)),
        2 => (NOW - DAY..NOW + 4 * DAY).prop_map(Step::Prune),
        1 => (list(), some_node()).prop_map(|(list, node)| Step::Add(list, node.into())),
        1 => (list(), 0..8_u32).prop_map(|(list, n)| Step::Remove(list, id(n))),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    // Each step waits for the disk twice.
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_give_the_same_answers(steps in prop::collection::vec(some_step(), 1..12)) {
        let bounds = Bounds { nodes: 5, answered: at(2 * DAY), unanswered: at(DAY) };
        let dir = tempfile::tempdir().unwrap();
        let mut memory = MemoryStore::new(bounds);
        let mut disk = RedbStore::open_with(dir.path(), bounds).unwrap().0;
        for step in steps {
            let same = match step.clone() {
                Step::Add(list, node) => {
                    memory.add_listed(list, &node).unwrap() == disk.add_listed(list, &node).unwrap()
                }
                Step::Apply(now, ops) => {
                    memory.apply(at(now), &ops).unwrap();
                    disk.apply(at(now), &ops).unwrap();
                    memory.len().unwrap() <= bounds.nodes
                }
                Step::Prune(now) => memory.prune(at(now)).unwrap() == disk.prune(at(now)).unwrap(),
                Step::Remove(list, id) => {
                    memory.remove_listed(list, &id).unwrap() == disk.remove_listed(list, &id).unwrap()
                }
                Step::Reopen => {
                    drop(disk);
                    let warning;
                    (disk, warning) = RedbStore::open_with(dir.path(), bounds).unwrap();
                    warning.is_none()
                }
            };
            prop_assert!(same, "{:?}", step);
            prop_assert_eq!(memory.len().unwrap(), disk.len().unwrap());
            prop_assert_eq!(memory.local_seq().unwrap(), disk.local_seq().unwrap());
            for n in 0..8 {
                prop_assert_eq!(memory.known(&id(n)).unwrap(), disk.known(&id(n)).unwrap());
            }
            for list in [List::Static, List::Trusted] {
                prop_assert_eq!(memory.listed(list).unwrap(), disk.listed(list).unwrap());
            }
            for count in [1, 30] {
                prop_assert_eq!(
                    some_seeds(&memory, NOW, DAY, count),
                    some_seeds(&disk, NOW, DAY, count)
                );
            }
        }
    }
}
