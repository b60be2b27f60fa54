use std::{collections::BTreeSet, net::IpAddr, time::Duration};

use peerage_node::{Subnet, is_lan};
use proptest::prelude::*;

use super::{
    model::{self, Step, assert_consistent},
    *,
};
use crate::testing::{at_distance, lan, nodes, public, record, secret, unsigned};

use super::model::{OWN, START};

fn table() -> Table {
    Table::new(OWN, TableConfig::default(), [3; 32])
}

/// The time at which it must have been every node's turn.
fn much_later() -> Instant {
    START + Duration::from_secs(3600)
}

/// Checks nodes until it is the turn of `id`, which is left under check; the others are `alive` or
/// not.
fn check(table: &mut Table, id: &NodeId, alive: bool) -> Node {
    for _ in 0..10_000 {
        let now = table.next_check().expect("because there is a node to check");
        let Some(node) = table.poll_check(now) else { continue };
        if node.id() == *id {
            return node;
        }
        if alive {
            table.on_alive(now, &node.id(), None);
        } else {
            table.on_dead(now, &node.id());
        }
    }
    panic!("it is never the turn of {id:?}");
}

/// Lets a node pass a check.
fn make_live(table: &mut Table, id: &NodeId) {
    check(table, id, true);
    table.on_alive(START, id, None);
    assert!(table.get(id).unwrap().is_live());
}

/// Sixteen nodes that fill the farthest bucket, and others that belong there.
fn full_bucket() -> (Table, Vec<Node>, impl Iterator<Item = Node>) {
    let mut table = table();
    let mut keys = (0u32..).zip(at_distance(&OWN, 256));
    let mut next = move || {
        let (n, key) = keys.next().expect("because there is no end of keys");
        Node::from_endpoint(key, lan(n), None)
    };
    let first: Vec<_> = (0..16).map(|_| next()).collect();
    for node in &first {
        assert_eq!(table.add_found(START, node.clone()), Added::New);
    }
    (table, first, std::iter::from_fn(move || Some(next())))
}

#[test]
fn nodes_that_cannot_be_asked_are_refused() {
    let mut table = table();
    let key = *secret(1).public();
    let mut of = |node| table.add_found(START, node);
    assert_eq!(of(Node::new(key)), Added::Refused(NoPlace::NoEndpoint));
    let no_udp = Node::from_endpoint(key, lan(1), Some(0));
    assert_eq!(of(no_udp), Added::Refused(NoPlace::NoEndpoint));
    let mut ours = Table::new(key.id(), TableConfig::default(), [3; 32]);
    assert_eq!(ours.add_found(START, nodes(2)[1].clone()), Added::Refused(NoPlace::Own));
    assert!(ours.is_empty() && ours.next_check().is_none());
}

#[test]
fn only_families_that_we_use_count() {
    let config = TableConfig { has_ipv4: false, ..TableConfig::default() };
    let mut table = Table::new(OWN, config, [3; 32]);
    let added = table.add_found(START, unsigned(secret(1).public(), "11.1.1.1:1"));
    assert_eq!(added, Added::Refused(NoPlace::NoEndpoint));
    let mut both = peerage_node::LocalRecord::new(secret(2), 0);
    both.set_ip4(Some([11, 1, 1, 1].into())).unwrap();
    both.set_ip6(Some("2a01::1".parse().unwrap())).unwrap();
    both.set_udp4(Some(30303)).unwrap();
    assert_eq!(table.add_found(START, both.record().clone().into()), Added::New);
    let entry = table.get(&secret(2).public().id()).unwrap();
    assert_eq!(entry.endpoint(), "[2a01::1]:30303".parse().unwrap());
    assert_eq!(entry.node().udp_endpoints(), [entry.endpoint()]);
}

#[test]
fn a_full_bucket_lets_others_wait_and_forgets_the_oldest_of_them() {
    let (mut table, first, others) = full_bucket();
    let others: Vec<_> = others.take(15).collect();
    for node in &others {
        assert_eq!(table.add_found(START, node.clone()), Added::Replacement);
        assert!(table.get(&node.id()).is_none());
    }
    assert_eq!((table.len(), table.waiting()), (16, 10));
    let bucket = table.buckets().last().unwrap().1;
    assert!(bucket.entries().iter().map(Entry::id).eq(first.iter().map(Node::id)));
    assert!(bucket.replacements().map(Entry::id).eq(others[5..].iter().map(Node::id)));
    assert_consistent(&table);
}

// Whether the bucket is full with one waiting, and whether the node answers: who stays.
#[test]
fn a_dead_node_is_replaced_and_a_live_one_is_not() {
    for (waits, answers) in [(false, false), (false, true), (true, false), (true, true)] {
        let (mut table, first, mut others) = full_bucket();
        let newcomer = others.next().unwrap();
        if waits {
            assert_eq!(table.add_found(START, newcomer.clone()), Added::Replacement);
        }
        let last = first[15].id();
        check(&mut table, &last, true);
        if answers {
            assert_eq!(table.on_alive(START, &last, None).unwrap().outdated, None);
            assert!(table.get(&last).unwrap().is_live());
        } else {
            let removed = table.on_dead(START, &last).unwrap();
            assert_eq!(removed.entry.id(), last);
            assert_eq!(removed.promoted, waits.then(|| newcomer.id()));
        }
        assert_eq!(table.get(&last).is_some(), answers);
        let promoted = table.get(&newcomer.id());
        assert_eq!(promoted.is_some(), waits && !answers);
        assert!(promoted.is_none_or(|entry| !entry.is_live()));
        assert_consistent(&table);
    }
}

#[test]
fn credit_is_a_third_after_each_failure_and_none_means_out() {
    let mut table = table();
    let node = nodes(1).remove(0);
    let id = node.id();
    assert_eq!(table.add_found(START, node), Added::New);
    for _ in 0..9 {
        make_live(&mut table, &id);
    }
    for left in [3, 1] {
        assert_eq!(
            table.revalidation.pace(&id),
            Some(if left == 3 { Pace::Slow } else { Pace::Fast })
        );
        check(&mut table, &id, true);
        assert!(table.on_dead(START, &id).is_none());
        assert_eq!(table.get(&id).unwrap().checks(), left);
        assert_eq!(table.revalidation.pace(&id), Some(Pace::Fast));
    }
    check(&mut table, &id, true);
    assert_eq!(table.on_dead(START, &id).unwrap().entry.id(), id);
    assert!(table.is_empty() && table.next_check().is_none());
}

#[test]
fn a_node_under_check_is_not_offered_twice() {
    let mut table = table();
    assert_eq!(table.add_found(START, nodes(1).remove(0)), Added::New);
    assert!(table.poll_check(START).is_none());
    assert!(table.poll_check(much_later()).is_some());
    for _ in 0..20 {
        let now = table.next_check().unwrap();
        assert!(table.poll_check(now).is_none());
    }
}

#[test]
fn a_removed_node_is_not_back_by_a_late_answer() {
    let mut table = table();
    let node = nodes(1).remove(0);
    assert_eq!(table.add_found(START, node.clone()), Added::New);
    check(&mut table, &node.id(), true);
    assert!(table.remove(START, &node.id()).is_some());
    assert!(table.on_alive(START, &node.id(), Some(9)).is_none());
    assert!(table.on_dead(START, &node.id()).is_none());
    let late = record(&secret(0), 9, Some("10.0.0.1:30303"));
    assert_eq!(table.on_record(START, late), Added::Refused(NoPlace::Unknown));
    assert!(table.is_empty());
    assert_consistent(&table);
}

#[test]
fn a_node_that_moved_has_to_be_checked_where_it_is_now() {
    let mut table = table();
    let key = secret(1);
    let id = key.public().id();
    assert_eq!(table.add_found(START, unsigned(key.public(), "10.0.0.1:1")), Added::New);
    make_live(&mut table, &id);
    assert_eq!(table.revalidation.pace(&id), Some(Pace::Slow));
    check(&mut table, &id, true);
    assert_eq!(table.add_inbound(START, unsigned(key.public(), "10.0.0.2:1")), Added::Updated);
    assert_eq!(table.revalidation.pace(&id), Some(Pace::Fast));
    // The answer to the check of the old place comes now.
    assert!(table.on_alive(START, &id, Some(7)).is_none());
    assert!(!table.get(&id).unwrap().is_live());
    assert_eq!(check(&mut table, &id, true).udp_endpoints(), ["10.0.0.2:1".parse().unwrap()]);
    assert!(table.on_alive(START, &id, None).unwrap().is_first);
    check(&mut table, &id, true);
    assert!(!table.on_alive(START, &id, None).unwrap().is_first);
    assert!(table.get(&id).unwrap().is_live());
    assert_consistent(&table);
}

/// What is known of a node, what is told of it, by whom; what becomes of it: sequence number,
/// endpoint, and whether it stays live.
#[test]
fn news_of_a_known_node() {
    let key = secret(1);
    let id = key.public().id();
    let at = |host: u8| format!("10.0.0.{host}:30303");
    // (Sequence number or 0 for no record, host).
    let node = |(seq, host): (u64, u8)| match seq {
        0 => unsigned(key.public(), &at(host)),
        seq => record(&key, seq, Some(&at(host))).into(),
    };
    let (found, inbound) = (false, true);
    for (known, is_inbound, told, result, seq, host, live) in [
        // Found: only a higher sequence number is news.
        ((0, 1), found, (0, 1), Added::Known, 0, 1, true),
        ((0, 1), found, (0, 2), Added::Known, 0, 1, true),
        ((0, 1), found, (1, 1), Added::Updated, 1, 1, true),
        ((0, 1), found, (1, 2), Added::Updated, 1, 2, false),
        ((5, 1), found, (5, 1), Added::Known, 5, 1, true),
        ((5, 1), found, (4, 2), Added::Known, 5, 1, true),
        ((5, 1), found, (0, 2), Added::Known, 5, 1, true),
        ((5, 1), found, (6, 1), Added::Updated, 6, 1, true),
        ((5, 1), found, (6, 2), Added::Updated, 6, 2, false),
        // From the node itself: where it is now is always news, an older word of it is not.
        ((0, 1), inbound, (0, 1), Added::Known, 0, 1, true),
        ((0, 1), inbound, (0, 2), Added::Updated, 0, 2, false),
        ((0, 1), inbound, (1, 1), Added::Updated, 1, 1, true),
        ((5, 1), inbound, (0, 1), Added::Known, 5, 1, true),
        ((5, 1), inbound, (0, 2), Added::Updated, 5, 2, false),
        ((5, 1), inbound, (4, 1), Added::Known, 5, 1, true),
        ((5, 1), inbound, (4, 2), Added::Updated, 5, 2, false),
        ((5, 1), inbound, (6, 2), Added::Updated, 6, 2, false),
    ] {
        let mut table = table();
        assert_eq!(table.add_found(START, node(known)), Added::New);
        make_live(&mut table, &id);
        let told_node = node(told);
        let added = if is_inbound {
            table.add_inbound(START, told_node)
        } else {
            table.add_found(START, told_node)
        };
        let entry = table.get(&id).unwrap();
        let row = format!("{known:?} {is_inbound} {told:?}");
        assert_eq!(added, result, "{row}");
        assert_eq!((entry.seq(), entry.is_live()), (seq, live), "{row}");
        assert_eq!(entry.endpoint(), at(host).parse().unwrap(), "{row}");
        assert_eq!(entry.node().record().is_some(), seq > 0, "{row}");
        assert_consistent(&table);
    }
}

#[test]
fn the_tcp_port_of_a_node_without_a_record_is_its_own_to_change() {
    let mut table = table();
    let key = *secret(1).public();
    let with_tcp = |port: u16| Node::from_endpoint(key, ([10, 0, 0, 1], port).into(), Some(9));
    assert_eq!(table.add_found(START, with_tcp(1)), Added::New);
    make_live(&mut table, &key.id());
    assert_eq!(table.add_found(START, with_tcp(2)), Added::Known);
    assert_eq!(table.add_inbound(START, with_tcp(2)), Added::Updated);
    let entry = table.get(&key.id()).unwrap();
    assert_eq!((entry.node().tcp_port(), entry.is_live()), (Some(2), true));
}

#[test]
fn a_node_that_waits_can_move_too() {
    let (mut table, _, mut others) = full_bucket();
    let node = others.next().unwrap();
    assert_eq!(table.add_inbound(START, node.clone()), Added::Replacement);
    assert_eq!(table.add_inbound(START, node.clone()), Added::Known);
    let moved = unsigned(node.public_key(), "11.1.1.1:1");
    assert_eq!(table.add_inbound(START, moved.clone()), Added::Updated);
    assert!(table.buckets().last().unwrap().1.replacements().any(|entry| *entry.node() == moved));
    assert_consistent(&table);
    assert!(table.remove(START, &node.id()).is_none());
    assert_eq!(table.waiting(), 0);
    assert_consistent(&table);
}

#[test]
fn an_answer_with_a_higher_number_asks_for_the_record() {
    let mut table = table();
    let key = secret(1);
    let id = key.public().id();
    let old = record(&key, 3, Some("10.0.0.1:30303"));
    assert_eq!(table.add_found(START, old.into()), Added::New);
    for (seq, is_news) in [(None, false), (Some(2), false), (Some(3), false), (Some(4), true)] {
        check(&mut table, &id, true);
        let alive = table.on_alive(START, &id, seq).unwrap();
        assert_eq!(alive.outdated.is_some(), is_news, "{seq:?}");
    }
    let new = record(&key, 4, Some("10.0.0.1:30303"));
    assert_eq!(table.on_record(START, new.clone()), Added::Updated);
    assert_eq!(table.on_record(START, new.clone()), Added::Known);
    let entry = table.get(&id).unwrap();
    assert_eq!((entry.node().record(), entry.is_live()), (Some(&new), true));
}

/// Where a node is asked; what its record says (IP and port); where it is asked then.
#[test]
fn a_fetched_record_may_move_a_node_but_not_into_our_network() {
    for (known, stated, then) in [
        ("11.1.1.1:1", Some("11.1.1.1:1"), "11.1.1.1:1"),
        ("11.1.1.1:1", Some("11.1.1.2:2"), "11.1.1.2:2"),
        // Behind a NAT, it does not know its address.
        ("11.1.1.1:1", None, "11.1.1.1:1"),
        ("11.1.1.1:1", Some("127.0.0.1:1"), "11.1.1.1:1"),
        ("11.1.1.1:1", Some("192.168.1.1:1"), "11.1.1.1:1"),
        ("11.1.1.1:1", Some("224.0.0.1:1"), "11.1.1.1:1"),
        ("192.168.1.1:1", Some("192.168.1.2:1"), "192.168.1.2:1"),
        ("127.0.0.1:1", Some("127.0.0.1:2"), "127.0.0.1:2"),
    ] {
        let mut table = table();
        let key = secret(1);
        let id = key.public().id();
        assert_eq!(table.add_found(START, unsigned(key.public(), known)), Added::New);
        make_live(&mut table, &id);
        let record = record(&key, 4, stated);
        assert_eq!(table.on_record(START, record.clone()), Added::Updated, "{known} {stated:?}");
        let entry = table.get(&id).unwrap();
        assert_eq!(entry.node().record(), Some(&record));
        assert_eq!(entry.endpoint(), then.parse().unwrap(), "{known} {stated:?}");
        assert_eq!(entry.is_live(), known == then, "{known} {stated:?}");
        assert_consistent(&table);
    }
}

#[test]
fn a_node_heard_elsewhere_than_it_says_is_asked_there_until_it_says_something_new() {
    let mut table = table();
    let key = secret(1);
    let id = key.public().id();
    let of = |seq, addr| record(&key, seq, Some(addr));
    assert_eq!(table.add_found(START, of(1, "11.1.1.1:1").into()), Added::New);
    assert_eq!(table.add_inbound(START, unsigned(key.public(), "12.1.1.1:9")), Added::Updated);
    // Another record, the same old address.
    assert_eq!(table.on_record(START, of(2, "11.1.1.1:1")), Added::Updated);
    assert_eq!(table.get(&id).unwrap().endpoint(), "12.1.1.1:9".parse().unwrap());
    assert_eq!(table.on_record(START, of(3, "13.1.1.1:1")), Added::Updated);
    assert_eq!(table.get(&id).unwrap().endpoint(), "13.1.1.1:1".parse().unwrap());
    assert_consistent(&table);
}

#[test]
fn one_subnet_has_2_places_in_a_bucket_and_10_in_the_table() {
    for (name, subnet) in [
        ("/24", (|n| format!("11.1.1.{}:1", n % 250)) as fn(u32) -> String),
        ("/64", |n| format!("[2a01:1:2:3::{n:x}]:1")),
    ] {
        let mut table = table();
        let mut refused = BTreeSet::new();
        for n in 0..600 {
            let node = unsigned(secret(n).public(), &subnet(n));
            if let Added::Refused(no_place) = table.add_found(START, node) {
                refused.insert(format!("{no_place:?}"));
            }
            assert_consistent(&table);
        }
        assert_eq!(table.len(), 10, "{name}");
        assert_eq!(refused, ["BucketSubnet", "TableSubnet"].map(String::from).into());
    }
    // Neighbouring /64s are not one, as they would be by their first 24 bits.
    let mut table = table();
    for n in 0..40 {
        let node = unsigned(secret(n).public(), &format!("[2a01:1:2:{n:x}::1]:1"));
        assert!(!matches!(table.add_found(START, node), Added::Refused(_)));
    }
}

#[test]
fn those_that_wait_count_for_their_subnet() {
    let (mut table, _, others) = full_bucket();
    let keys: Vec<_> = others.take(4).map(|node| *node.public_key()).collect();
    let of = |n: usize| unsigned(&keys[n], &format!("11.1.1.{n}:1"));
    assert_eq!(table.add_found(START, of(0)), Added::Replacement);
    assert_eq!(table.add_found(START, of(1)), Added::Replacement);
    assert_eq!(table.add_found(START, of(2)), Added::Refused(NoPlace::BucketSubnet));
    // Once it is gone, another may come.
    assert!(table.remove(START, &keys[0].id()).is_none());
    assert_eq!(table.add_found(START, of(2)), Added::Replacement);
    assert_consistent(&table);
}

#[test]
fn a_move_into_a_full_subnet_is_refused_and_changes_nothing() {
    let mut table = table();
    let keys: Vec<_> = at_distance(&OWN, 256).take(3).collect();
    for (n, key) in keys.iter().enumerate() {
        let subnet = if n < 2 { 1 } else { 2 };
        let node = unsigned(key, &format!("11.1.{subnet}.{n}:1"));
        assert_eq!(table.add_found(START, node), Added::New);
    }
    make_live(&mut table, &keys[2].id());
    let moved = unsigned(&keys[2], "11.1.1.99:1");
    assert_eq!(table.add_inbound(START, moved), Added::Refused(NoPlace::BucketSubnet));
    let entry = table.get(&keys[2].id()).unwrap();
    assert_eq!((entry.endpoint(), entry.is_live()), ("11.1.2.2:1".parse().unwrap(), true));
    // Within its subnet it may move, although that is full.
    let moved = unsigned(&keys[0], "11.1.1.77:1");
    assert_eq!(table.add_inbound(START, moved), Added::Updated);
    assert_consistent(&table);
}

#[test]
fn local_networks_are_not_counted() {
    for net in ["10.0.0", "127.0.0", "100.64.0", "192.168.7"] {
        let mut table = table();
        for n in 0..100 {
            let node = unsigned(secret(n).public(), &format!("{net}.{n}:1"));
            assert!(!matches!(table.add_found(START, node), Added::Refused(_)), "{net}");
        }
        assert!(table.len() > 30);
        assert_consistent(&table);
    }
}

#[test]
fn queries_left_unanswered_cost_the_place_only_in_a_bucket_with_others() {
    for (nodes, is_dropped) in [(3, false), (4, true)] {
        let mut table = table();
        let keys: Vec<_> = at_distance(&OWN, 256).take(nodes).collect();
        for (n, key) in (0..).zip(&keys) {
            assert_eq!(table.add_found(START, Node::from_endpoint(*key, lan(n), None)), Added::New);
        }
        let id = keys[0].id();
        // An answer in between makes good for what was before.
        for is_answered in [false, false, false, false, true, false, false, false, false] {
            assert!(table.on_query(START, &id, is_answered).is_none());
        }
        assert_eq!(table.get(&id).unwrap().failures(), 4);
        assert_eq!(table.on_query(START, &id, false).is_some(), is_dropped);
        assert_eq!(table.get(&id).is_none(), is_dropped);
        assert_consistent(&table);
    }
}

#[test]
fn a_flood_of_made_up_nodes_does_not_push_out_one_that_lives() {
    let mut table = table();
    let honest: Vec<_> = (0..60)
        .map(|n| Node::from_endpoint(*secret(n).public(), public(n), None))
        .filter(|node| table.add_found(START, node.clone()) == Added::New)
        .collect();
    assert!(honest.len() > 30);
    for node in &honest {
        make_live(&mut table, &node.id());
    }
    // Every id is fresh and every address alone in its subnet: the attacker pays nothing for
    // either.
    for n in 0..5000 {
        let node = Node::from_endpoint(*secret(1000 + n).public(), public(1000 + n), None);
        if n % 2 == 0 {
            let _ = table.add_inbound(START, node);
        } else {
            let _ = table.add_found(START, node);
        }
    }
    assert_consistent(&table);
    assert!(table.len() <= BUCKETS * 16 && table.waiting() <= BUCKETS * 10);
    for node in &honest {
        assert!(table.get(&node.id()).is_some_and(Entry::is_live));
        // And it is them whom others are told of.
        assert!(table.closest(&node.id(), 1, true)[0].id() == node.id());
    }
    // Nor does the flood outlast its checks.
    let is_honest = |id: &NodeId| honest.iter().any(|node| node.id() == *id);
    for _ in 0..20_000 {
        let now = table.next_check().unwrap();
        let Some(node) = table.poll_check(now) else { continue };
        if is_honest(&node.id()) {
            table.on_alive(now, &node.id(), None);
        } else {
            table.on_dead(now, &node.id());
        }
    }
    assert_eq!((table.len(), table.live()), (honest.len(), honest.len()));
    assert_consistent(&table);
}

#[test]
fn only_nodes_checked_are_told_of_if_so_asked() {
    let mut table = table();
    let nodes = nodes(20);
    for node in &nodes {
        let _ = table.add_found(START, node.clone());
    }
    assert!(table.closest(&OWN, 16, true).is_empty());
    check(&mut table, &nodes[4].id(), true);
    table.on_alive(START, &nodes[4].id(), None);
    let live = table.closest(&OWN, 100, true);
    assert_eq!(live.len(), table.live());
    assert!(live.len() < table.len());
    assert!(live.iter().any(|entry| entry.id() == nodes[4].id()));
    assert_eq!(table.closest(&OWN, 16, false).len(), 16);
}

#[test]
fn the_same_seed_and_news_give_the_same_checks() {
    let trace = || {
        let mut table = table();
        for node in nodes(100) {
            let _ = table.add_found(START, node);
        }
        (0..300)
            .map(|n| {
                let now = table.next_check().unwrap();
                let node = table.poll_check(now);
                if let Some(node) = &node {
                    if n % 3 == 0 {
                        table.on_dead(now, &node.id());
                    } else {
                        table.on_alive(now, &node.id(), None);
                    }
                }
                (now, node.map(|node| node.id()))
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(trace(), trace());
}

fn step() -> impl Strategy<Value = Step> {
    // Few nodes and fewer subnets, so that they meet.
    let (node, addr, seq) = (0u32..60, 0u32..40, 1u64..4);
    prop_oneof![
        1 => (node.clone(), seq.clone()).prop_map(|(n, seq)| Step::Alive(n, seq)),
        2 => Just(Step::Check),
        2 => node.clone().prop_map(Step::Dead),
        8 => (node.clone(), addr.clone()).prop_map(|(n, a)| Step::Found(n, a)),
        8 => (node.clone(), addr.clone()).prop_map(|(n, a)| Step::Inbound(n, a)),
        2 => (node.clone(), any::<bool>()).prop_map(|(n, ok)| Step::Query(n, ok)),
        2 => (node.clone(), seq, addr).prop_map(|(n, seq, a)| Step::Record(n, seq, a)),
        1 => node.prop_map(Step::Remove),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_course_keeps_the_table_consistent(steps in prop::collection::vec(step(), 0..300)) {
        model::run(steps);
    }

    #[test]
    fn closest_is_what_sorting_everything_gives(
        target: [u8; 32],
        count in 0usize..40,
        ids in prop::collection::btree_set(0u32..200, 0..80),
    ) {
        let mut table = table();
        for n in ids {
            let _ = table.add_found(START, Node::from_endpoint(*secret(n).public(), lan(n), None));
        }
        let target = NodeId(target);
        let mut expected: Vec<_> = table.entries().map(Entry::id).collect();
        expected.sort_by(|a, b| target.cmp_distance(a, b));
        expected.truncate(count);
        let found: Vec<_> = table.closest(&target, count, false).iter().map(|e| e.id()).collect();
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn addresses_of_the_tests_are_what_they_should_be() {
    let ip: IpAddr = public(1000).ip();
    assert!(!is_lan(ip) && is_lan(lan(1000).ip()));
    assert_ne!(Subnet::of(ip), Subnet::of(public(1001).ip()));
}
