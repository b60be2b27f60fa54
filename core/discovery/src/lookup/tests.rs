use std::net::SocketAddr;

use proptest::prelude::*;

use super::*;
use crate::testing::{lan, nodes, public, secret};

const OWN: NodeId = NodeId([0x55; 32]);
const TARGET: NodeId = NodeId([0xaa; 32]);

fn sorted(mut nodes: Vec<Node>) -> Vec<Node> {
    nodes.sort_by(|a, b| TARGET.cmp_distance(&a.id(), &b.id()));
    nodes
}

/// Of `net`, the 16 closest to the target: what an honest node that knows everybody answers.
fn nearest(net: &[Node], count: usize) -> Vec<Node> {
    let mut nodes = sorted(net.to_vec());
    nodes.truncate(count);
    nodes
}

fn all_queries(lookup: &mut Lookup) -> Vec<Node> {
    std::iter::from_fn(|| lookup.poll_query()).collect()
}

/// `count` nodes with public addresses given by `addr`.
fn nodes_at(count: u32, addr: impl Fn(u32) -> SocketAddr) -> Vec<Node> {
    (0..count).map(|n| Node::from_endpoint(*secret(n).public(), addr(n), None)).collect()
}

#[test]
fn without_seeds_it_is_done_at_once() {
    let mut lookup = Lookup::new(OWN, TARGET, vec![]);
    assert!(lookup.is_done() && lookup.poll_query().is_none() && lookup.closest().is_empty());
}

#[test]
fn three_are_asked_at_a_time_the_closest_first() {
    let net = sorted(nodes(20));
    let mut lookup = Lookup::new(OWN, TARGET, nodes(20));
    let asked = all_queries(&mut lookup);
    assert_eq!(asked, net[..3]);
    lookup.on_failure(&asked[1].id());
    assert_eq!(all_queries(&mut lookup), net[3..4]);
    assert!(lookup.on_nodes(&asked[0].id(), vec![]).is_empty());
    assert_eq!(all_queries(&mut lookup), net[4..5]);
    assert!(!lookup.is_done());
}

#[test]
fn closer_nodes_are_asked_before_those_known_earlier() {
    let net = sorted(nodes(40));
    let mut lookup = Lookup::new(OWN, TARGET, net[30..].to_vec());
    let asked = all_queries(&mut lookup);
    assert_eq!(lookup.on_nodes(&asked[0].id(), net[..2].to_vec()), net[..2]);
    assert_eq!(all_queries(&mut lookup), net[..1]);
}

#[test]
fn it_ends_when_the_16_closest_have_answered() {
    let net = nodes(100);
    // One seed, which may be one of the 16; and many, of which none is, and three are asked first.
    for (seeds, most) in [(net[..1].to_vec(), 17), (sorted(net.clone())[40..80].to_vec(), 19)] {
        let mut lookup = Lookup::new(OWN, TARGET, seeds);
        while let Some(node) = lookup.poll_query() {
            lookup.on_nodes(&node.id(), nearest(&net, 16));
        }
        assert!(lookup.is_done());
        assert_eq!(lookup.closest(), nearest(&net, 16));
        assert!(lookup.queried() <= most && lookup.queried() >= 16);
    }
}

#[test]
fn nodes_that_do_not_answer_are_replaced_by_the_next() {
    let net = nodes(100);
    let by_distance = sorted(net.clone());
    let (dead, alive) = by_distance.split_at(10);
    let mut lookup = Lookup::new(OWN, TARGET, alive[80..].to_vec());
    while let Some(node) = lookup.poll_query() {
        if dead.contains(&node) {
            lookup.on_failure(&node.id());
        } else if alive[..6].contains(&node) {
            lookup.on_nodes(&node.id(), alive[..16].to_vec());
        } else {
            // As in a table, dead nodes are told of like others.
            lookup.on_nodes(&node.id(), nearest(&net, 16));
        }
    }
    assert!(lookup.is_done());
    assert_eq!(lookup.closest(), &alive[..16]);
}

#[test]
fn neither_we_nor_anybody_twice_is_asked() {
    let net = nodes(5);
    let own = net[0].id();
    let mut lookup = Lookup::new(own, TARGET, [net.clone(), net.clone()].concat());
    let mut asked = vec![];
    while let Some(node) = lookup.poll_query() {
        lookup.on_nodes(&node.id(), net.clone());
        asked.push(node);
    }
    assert_eq!(sorted(asked), sorted(net[1..].to_vec()));
    assert!(lookup.is_done());
}

#[test]
fn answers_that_nobody_waits_for_mean_nothing() {
    let net = sorted(nodes(10));
    let mut lookup = Lookup::new(OWN, TARGET, net[..2].to_vec());
    let asked = all_queries(&mut lookup);
    // Not asked; and failed before the answer came.
    assert!(lookup.on_nodes(&net[5].id(), net.clone()).is_empty());
    lookup.on_failure(&net[5].id());
    lookup.on_failure(&asked[0].id());
    assert!(lookup.on_nodes(&asked[0].id(), net.clone()).is_empty());
    assert_eq!(lookup.closest(), &asked[1..]);
}

#[test]
fn nodes_without_an_address_are_not_candidates() {
    let nowhere = Node::new(*secret(1).public());
    let mut lookup = Lookup::new(OWN, TARGET, vec![nowhere]);
    assert!(lookup.is_done() && lookup.poll_query().is_none());
}

#[test]
fn an_answer_full_of_one_subnet_gets_a_part_of_the_candidates() {
    let one = |n: u32| SocketAddr::from(([66, 6, 6, u8::try_from(n % 250).unwrap()], 30303));
    let honest = nodes_at(60, public).split_off(50);
    let hostile = nodes_at(50, one);
    let mut lookup = Lookup::new(OWN, TARGET, honest.clone());
    while let Some(node) = lookup.poll_query() {
        let answer = if honest.contains(&node) { 0..16 } else { 16..32 };
        lookup.on_nodes(&node.id(), hostile[answer].to_vec());
    }
    let hostile = lookup.candidates().iter().filter(|node| hostile.contains(node)).count();
    assert_eq!(hostile, MAX_SUBNET);
    assert_eq!(lookup.candidates().len(), hostile + honest.len());
    // A local network is all of one subnet.
    let lookup = Lookup::new(OWN, TARGET, nodes_at(40, lan));
    assert_eq!(lookup.candidates().len(), 40);
}

#[test]
fn a_network_of_ever_closer_nodes_is_left_after_a_bounded_number_of_queries() {
    // Farthest first: each answer brings closer ones.
    let mut net = sorted(nodes(3000)).into_iter().rev();
    let mut lookup = Lookup::new(OWN, TARGET, net.by_ref().take(3).collect());
    while let Some(node) = lookup.poll_query() {
        // More than an answer may have.
        let answer: Vec<_> = net.by_ref().take(25).collect();
        assert!(lookup.on_nodes(&node.id(), answer).len() <= MAX_ANSWER);
        assert!(lookup.candidates().len() <= MAX_CANDIDATES);
    }
    assert!(lookup.is_done());
    assert_eq!(lookup.queried(), MAX_QUERIES);
    assert!(lookup.seen() <= 3 + MAX_QUERIES * MAX_ANSWER);
}

/// What may happen to a lookup.
#[derive(Clone, Debug)]
enum Step {
    Ask,
    Answer { who: usize, told: Vec<usize> },
    Fail { who: usize },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        Just(Step::Ask),
        (0usize..4, prop::collection::vec(0usize..120, 0..20))
            .prop_map(|(who, told)| Step::Answer { who, told }),
        (0usize..4).prop_map(|who| Step::Fail { who }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever comes in whatever order: at most three are asked, nobody twice, candidates are
    /// sorted, distinct and bounded, and everything ends.
    #[test]
    fn any_course_keeps_its_bounds_and_ends(steps in prop::collection::vec(step(), 0..200)) {
        let net = nodes(120);
        let mut lookup = Lookup::new(OWN, TARGET, net[..5].to_vec());
        let mut waiting: Vec<NodeId> = vec![];
        let mut asked = BTreeSet::new();
        for step in steps {
            match step {
                Step::Ask => {
                    if let Some(node) = lookup.poll_query() {
                        prop_assert!(asked.insert(node.id()));
                        waiting.push(node.id());
                    }
                }
                Step::Answer { who, told } if who < waiting.len() => {
                    let told = told.into_iter().map(|n| net[n].clone()).collect();
                    lookup.on_nodes(&waiting.remove(who), told);
                }
                Step::Fail { who } if who < waiting.len() => lookup.on_failure(&waiting.remove(who)),
                Step::Answer { .. } | Step::Fail { .. } => {}
            }
            prop_assert!(waiting.len() <= ALPHA);
            prop_assert!(lookup.candidates().len() <= MAX_CANDIDATES);
            prop_assert!(lookup.candidates().is_sorted_by(
                |a, b| TARGET.cmp_distance(&a.id(), &b.id()).is_lt()
            ));
            prop_assert!(waiting.is_empty() || !lookup.is_done());
        }
        for id in waiting {
            lookup.on_failure(&id);
        }
        while let Some(node) = lookup.poll_query() {
            prop_assert!(asked.insert(node.id()));
            lookup.on_nodes(&node.id(), vec![]);
        }
        prop_assert!(lookup.is_done());
        let all_answered = lookup.closest().iter().all(|node| asked.contains(&node.id()));
        prop_assert!(all_answered);
    }
}
