//! Machines among themselves.

use std::collections::BTreeSet;

use super::*;
use crate::{CLOSEST, Entry, LookupTarget, PongInfo, SeedNode};

const A: u32 = 1;
const B: u32 = 2;

/// Two machines, of which A knows B.
fn pair() -> (Net, SocketAddr, SocketAddr) {
    let mut net = Net::of(&[Version::V5]);
    let (a, b) = (public(A), public(B));
    net.start(B, b, Vec::new());
    net.start(A, a, vec![node(B, b)]);
    (net, a, b)
}

/// Machines 0 to `count`, which know the first.
fn crowd(count: u32) -> Net {
    let mut net = Net::of(&[Version::V5]);
    net.start(0, public(0), Vec::new());
    for n in 1..count {
        net.start(n, public(n), vec![node(0, public(0))]);
    }
    net
}

#[test]
fn two_nodes_meet_by_one_handshake_and_stay_live() {
    let (mut net, a, b) = pair();
    net.run(seconds(20));
    for (at, other) in [(a, B), (b, A)] {
        let entry = net.v5(at).table().get(&id(other)).unwrap();
        assert!(entry.is_live());
        assert_eq!(entry.node().record(), Some(net.record(public(other))));
        assert_eq!(net.v5(at).sessions(), 1);
    }
    // B has verified A's handshake; A made one.
    assert_eq!((net.v5(a).stats().handshakes, net.v5(b).stats().handshakes), (0, 1));
    net.run(seconds(600));
    assert!(net.v5(a).table().get(&id(B)).unwrap().checks() > 50);
    assert_eq!(net.v5(b).stats().handshakes, 1);
    assert_eq!((net.v5(a).stats().timeouts, net.v5(b).stats().timeouts), (0, 0));
}

#[test]
fn a_silent_node_leaves_the_table_and_comes_back() {
    let (mut net, a, b) = pair();
    net.run(seconds(10));
    net.down.insert(b);
    net.run(seconds(900));
    let events = net.events(a);
    assert!(events.contains(&Output::NodeDropped { id: id(B), version: Version::V5 }));
    net.down.remove(&b);
    net.run(seconds(120));
    assert!(net.v5(a).table().get(&id(B)).is_some_and(Entry::is_live));
}

#[test]
fn nodes_that_start_together_find_each_other_unasked() {
    let mut net = crowd(12);
    net.run(seconds(120));
    for n in 0..12 {
        assert_eq!(net.v5(public(n)).table().len(), 11, "{n}");
    }
    // And then it is quiet: checks and their answers.
    let before = net.count;
    net.run(seconds(600));
    let rate = (net.count - before) / 12 / 600;
    assert!(rate < 2, "{rate} packets per second and node");
}

#[test]
fn a_lookup_among_50_nodes_finds_the_closest_16() {
    let mut net = crowd(50);
    net.run(seconds(180));
    net.events.clear();
    let target = NodeId([0x5a; 32]);
    let command = Command::Lookup { version: None, id: QUERY, target: LookupTarget::Id(target) };
    net.command(public(7), command);
    net.run(seconds(30));
    let mut expected: Vec<_> = (0..50).filter(|n| *n != 7).map(id).collect();
    expected.sort_by(|a, b| target.cmp_distance(a, b));
    expected.truncate(CLOSEST);
    let events = net.events(public(7));
    let done = events.iter().find_map(|event| match event {
        Output::LookupDone { id: QUERY, result } => Some(result),
        _ => None,
    });
    let result = done.expect("the end of the lookup");
    assert_eq!(result.closest.iter().map(Node::id).collect::<Vec<_>>(), expected);
    assert!(result.queries <= result.packets);
}

#[test]
fn known_records_are_not_verified_again() {
    let mut net = crowd(12);
    net.run(seconds(300));
    let verified: Vec<_> = (0..12).map(|n| net.v5(public(n)).stats().verified).collect();
    // Each of eleven others once, however often it was told.
    assert!(verified.iter().all(|it| *it <= 11), "{verified:?}");
    net.run(seconds(3600));
    let after: Vec<_> = (0..12).map(|n| net.v5(public(n)).stats().verified).collect();
    assert_eq!(after, verified);
}

#[test]
fn walks_find_everybody_and_pause_when_nobody_wants_more() {
    let mut net = crowd(20);
    net.run(seconds(60));
    net.events.clear();
    net.want(public(3), 5);
    net.run(seconds(60));
    assert_eq!(net.candidates(public(3)).len(), 5);
    net.want(public(3), 1000);
    net.run(seconds(120));
    let found: BTreeSet<_> = net.candidates(public(3)).into_iter().collect();
    assert_eq!(found.len(), 19);
    net.want(public(3), 0);
    net.run(seconds(5));
    let sent = |net: &Net| net.v5(public(3)).stats().sent;
    let before = sent(&net);
    net.run(seconds(10));
    assert!(sent(&net) - before < 100, "{}", sent(&net) - before);
}

#[test]
fn a_node_is_pinged_and_tells_its_number_and_where_it_sees_us() {
    let (mut net, a, b) = pair();
    net.command(a, Command::Ping { version: Some(Version::V5), id: QUERY, node: node(B, b) });
    net.run(seconds(1));
    let pong = net.events(a).into_iter().find_map(|it| match it {
        Output::Pong { id: QUERY, pong } => Some(pong),
        _ => None,
    });
    let PongInfo { from, seq, our_endpoint, round_trip } = pong.expect("a pong");
    assert_eq!((from, seq, our_endpoint), (b, Some(net.record(b).seq()), Some(a)));
    assert!(round_trip >= 2 * LATENCY, "{round_trip:?}");

    net.down.insert(b);
    net.command(a, Command::Ping { version: Some(Version::V5), id: QUERY, node: node(B, b) });
    net.run(seconds(3));
    assert!(net.events(a).contains(&Output::PingFailed { id: QUERY }));
}

#[test]
fn a_record_is_fetched_and_a_newer_one_is_noticed() {
    let (mut net, a, b) = pair();
    net.run(seconds(10));
    let command = Command::RequestRecord { version: None, id: QUERY, node: node(B, b) };
    net.command(a, command);
    net.run(seconds(1));
    let record = net.record(b).clone();
    assert!(net.events(a).contains(&Output::Record { id: QUERY, record: Some(record) }));
    let change = crate::LocalChange::Attribute { key: "x".into(), rlp: Some(vec![5]) };
    net.input(b, Input::Local(change));
    net.run(seconds(60));
    let entry = net.v5(a).table().get(&id(B)).unwrap();
    assert_eq!(entry.node().record(), Some(net.record(b)));
}

#[test]
fn others_tell_us_where_we_are() {
    let mut net = Net::of(&[Version::V5]);
    for n in 0..12 {
        net.start(n, public(n), vec![node(0, public(0))]);
    }
    net.start_with(
        public(50),
        lost(secret(50)),
        Config { bootnodes: vec![node(0, public(0))], ..Config::default() },
    );
    net.run(seconds(300));
    let record = net.record(public(50));
    assert_eq!(record.ip4().map(std::net::IpAddr::from), Some(public(50).ip()));
    assert_eq!(record.udp4(), Some(30303));
}

#[test]
fn seeds_are_asked_again() {
    let mut net = Net::of(&[Version::V5]);
    net.start(B, public(B), Vec::new());
    let seed = Node::from_record(net.record(public(B)).clone());
    net.seeds.insert(public(A), vec![SeedNode { node: seed, last_pong: net.now.unix }]);
    net.start(A, public(A), Vec::new());
    net.run(seconds(10));
    assert!(net.v5(public(A)).table().get(&id(B)).is_some_and(Entry::is_live));
}

#[test]
fn both_versions_share_a_socket_and_each_finds_its_own() {
    let mut net = Net::of(&[Version::V4, Version::V5]);
    net.start(0, public(0), Vec::new());
    for n in 1..6 {
        net.start(n, public(n), vec![node(0, public(0))]);
    }
    net.run(seconds(120));
    for n in 0..6 {
        let machine = net.machine(public(n));
        assert_eq!(
            (machine.v4().unwrap().table().live(), machine.v5().unwrap().table().live()),
            (5, 5)
        );
        assert_eq!(machine.stats().foreign, 0);
    }
}

/// Requests of a machine's own accord to one address, in the order of their times.
#[test]
fn one_address_is_asked_four_times_at_once_and_then_once_a_second() {
    let mut net = Net::of(&[Version::V5]);
    net.start(A, public(A), Vec::new());
    let mut tester = Tester::new(50, public(50));
    assert!(is_pong(&tester.introduce(&mut net, (A, public(A)), &ping(1)), 1));
    net.run(seconds(2));
    for n in 0..40 {
        let command =
            Command::Lookup { version: None, id: QueryId(n), target: LookupTarget::Random };
        net.command(public(A), command);
    }
    let mut times = Vec::new();
    for _ in 0..300 {
        for heard in tester.read(&mut net, Duration::from_millis(100)) {
            let Heard::Said(text) = heard else { panic!("{heard:?}") };
            times.push(net.now.mono);
            match Message::decode(&text).unwrap() {
                Message::Ping { id, .. } => {
                    let pong = Message::Pong { id, seq: 1, recipient: None };
                    tester.say(&mut net, (A, public(A)), &pong);
                }
                Message::FindNode { id, .. } => {
                    let nodes = Message::Nodes { id, total: 1, records: Vec::new() };
                    tester.say(&mut net, (A, public(A)), &nodes);
                }
                other => panic!("{other:?}"),
            }
        }
    }
    assert!(times.len() > 20, "{}", times.len());
    for from in &times {
        let until = *from + seconds(1);
        let within = times.iter().filter(|it| **it >= *from && **it < until).count();
        assert!(within <= 5, "{within} in a second");
    }
    let span = times.last().unwrap().saturating_since(times[0]).as_secs();
    assert!(times.len() as u64 <= span + 5, "{} in {span} s", times.len());
}
