//! What both stores answer. What their rows do is tested where they are, in `peerage-discovery`.

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

fn some_seeds(store: &dyn NodeStore, now: u64, max_age: u64, count: usize) -> Vec<SeedNode> {
    store.seeds(at(now), at(max_age), count, &mut Random::from_seed([7; 32])).unwrap()
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
            StoreOp::Record(node.clone().into()),
            ping(1, ip(1), NOW - 3),
            pong(1, ip(1), NOW - 2),
            StoreOp::Failures { id: id(1), ip: ip(2), count: 4 },
            StoreOp::Seq(9),
        ];
        store.apply(at(NOW), &ops).unwrap();
        let known = store.known(&id(1)).unwrap().unwrap();
        assert_eq!(known.node, Some(node.clone()));
        let mut first = Contact::new(ip(1));
        (first.last_ping, first.last_pong) = (Some(at(NOW - 3)), Some(at(NOW - 2)));
        let mut second = Contact::new(ip(2));
        second.failures = 4;
        assert_eq!(known.contacts, [first, second]);
        assert_eq!(store.local_seq().unwrap(), Some(9));
        assert_eq!(some_seeds(store, NOW, DAY, 30), [SeedNode { node, last_pong: at(NOW - 2) }]);
        assert_eq!(store.len().unwrap(), 1);
        assert_eq!(store.known(&id(2)).unwrap(), None);
    });
}

#[test]
fn lists_keep_what_they_are_told_until_they_are_told_otherwise() {
    let mut bounds = Bounds::default();
    bounds.nodes = 1;
    on_each(bounds, |store| {
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
        4 => some_node().prop_map(|node| StoreOp::Record(node.into())),
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
        let mut bounds = Bounds::default();
        (bounds.nodes, bounds.answered, bounds.unanswered) = (5, at(2 * DAY), at(DAY));
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
            for list in List::ALL {
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
