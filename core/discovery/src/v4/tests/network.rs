//! Machines among themselves.

use peerage_node::{LocalRecord, Record};

use super::*;
use crate::{
    CLOSEST, LimiterConfig, LocalChange, LookupStep, LookupTarget, PongInfo, SeedNode, StoreOp,
    testing::net::START,
    v4::{
        DropReason,
        packet::{EnrResponse, Neighbor, Neighbors},
    },
};

const A: u32 = 1;
const B: u32 = 2;

/// A place where nobody is.
fn somewhere() -> LookupTarget {
    LookupTarget::Key(*secret(777).public())
}

/// Two machines, of which A knows B.
fn pair() -> (Net, SocketAddr, SocketAddr) {
    let mut net = Net::new();
    let (a, b) = (public(A), public(B));
    net.start(B, b, Vec::new());
    net.start(A, a, vec![node(B, b)]);
    (net, a, b)
}

/// Machines 0 to `count`, which know the first.
fn crowd(count: u32) -> Net {
    let mut net = Net::new();
    net.start(0, public(0), Vec::new());
    for n in 1..count {
        net.start(n, public(n), vec![node(0, public(0))]);
    }
    net
}

#[test]
fn two_nodes_prove_themselves_to_each_other_and_stay_live() {
    let (mut net, a, b) = pair();
    net.run(seconds(10));
    for (at, other) in [(a, B), (b, A)] {
        assert_eq!(net.v4(at).proved(), 1);
        let entry = net.v4(at).table().get(&id(other)).unwrap();
        assert!(entry.is_live());
        // The record was fetched, as pings told that there is one.
        assert_eq!(entry.node().record(), Some(net.record(public(other))));
    }
    net.run(seconds(600));
    assert!(net.v4(a).table().get(&id(B)).unwrap().checks() > 50);
}

#[test]
fn a_node_that_proved_itself_is_left_alone_for_a_second() {
    let (mut net, _, b) = pair();
    net.run(seconds(5));
    let tester = Tester::new(50, public(50));
    tester.bond(&mut net, b);
    assert_eq!(tester.read(&mut net, Duration::from_millis(950)), []);
    assert!(net.v4(b).table().get(&id(50)).is_none());
    net.run(Duration::from_millis(60));
    assert!(net.v4(b).table().get(&id(50)).is_some());
    // Then it is checked.
    assert!(!tester.read(&mut net, seconds(5)).is_empty());
}

#[test]
fn a_silent_node_leaves_the_table() {
    let (mut net, a, b) = pair();
    net.run(seconds(10));
    net.down.insert(b);
    net.run(seconds(600));
    let events = net.events(a);
    assert!(events.contains(&Output::NodeDropped { id: id(B), version: Version::V4 }));
    // The boot node is tried again and again.
    net.down.remove(&b);
    net.run(seconds(120));
    assert!(net.v4(a).table().get(&id(B)).is_some_and(crate::Entry::is_live));
}

#[test]
fn boot_nodes_that_start_late_are_found() {
    let mut net = Net::new();
    net.start(A, public(A), vec![node(B, public(B))]);
    net.run(seconds(900));
    assert!(net.v4(public(A)).table().live() == 0);
    net.start(B, public(B), Vec::new());
    net.run(seconds(90));
    assert!(net.v4(public(A)).table().live() == 1);
}

#[test]
fn nodes_that_start_together_find_each_other_unasked() {
    let mut net = crowd(12);
    net.run(seconds(60));
    for n in 0..12 {
        assert_eq!(net.v4(public(n)).table().len(), 11, "{n}");
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
    net.run(seconds(30));
    let target = Target::from(secret(777).public());
    net.events.clear();
    net.command(public(7), Command::Lookup { version: None, id: QUERY, target: somewhere() });
    net.run(seconds(15));
    let mut expected: Vec<_> = (0..50).filter(|n| *n != 7).map(id).collect();
    expected.sort_by(|a, b| target.id().cmp_distance(a, b));
    expected.truncate(CLOSEST);

    let events = net.events(public(7));
    let done = events.iter().find_map(|event| match event {
        Output::LookupDone { id: QUERY, result } => {
            let closest = result.closest.iter().map(Node::id).collect::<Vec<_>>();
            Some((closest, result.queries, result.packets))
        }
        _ => None,
    });
    let (closest, queries, packets) = done.unwrap();
    assert_eq!(closest, expected);
    assert!((16..50).contains(&queries), "{queries}");
    assert!((queries..=2 * queries).contains(&packets), "{packets}");
    let steps = events.iter().filter(|it| matches!(it, Output::LookupStep { id: QUERY, .. }));
    assert_eq!(steps.count(), queries);
}

#[test]
fn lookups_end_also_with_nobody_to_ask_and_however_many() {
    let mut net = Net::new();
    net.start(A, public(A), Vec::new());
    for n in 0..1000 {
        net.command(
            public(A),
            Command::Lookup { version: None, id: QueryId(n), target: somewhere() },
        );
    }
    let events = net.events(public(A));
    let is_done =
        |it: &&Output| matches!(it, Output::LookupDone { result, .. } if result.closest.is_empty());
    assert_eq!(events.iter().filter(is_done).count(), 1000);

    let (mut net, a, _) = pair();
    for n in 0..100 {
        net.command(a, Command::Lookup { version: None, id: QueryId(n), target: somewhere() });
    }
    net.run(seconds(60));
    let events = net.events(a);
    let done = events.iter().filter(|it| matches!(it, Output::LookupDone { .. })).count();
    assert_eq!((done, net.v4(a).pending()), (100, 0));
}

#[test]
fn walks_find_everybody_and_pause_when_nobody_wants_more() {
    let mut net = crowd(20);
    net.run(seconds(30));
    net.events.clear();
    net.want(public(3), 5);
    net.run(seconds(60));
    assert_eq!(net.candidates(public(3)).len(), 5);
    net.want(public(3), 1000);
    net.run(seconds(30));
    let found: BTreeSet<_> = net.candidates(public(3)).into_iter().collect();
    assert_eq!(found.len(), 19);
    // One a second at most, however little there is to find.
    net.want(public(3), 0);
    net.run(seconds(1));
    let sent = |net: &Net| net.v4(public(3)).stats().sent;
    let before = sent(&net);
    net.run(seconds(10));
    // Only checks, and answers to those of others.
    assert!(sent(&net) - before < 100, "{}", sent(&net) - before);
}

#[test]
fn an_answer_in_two_packets_is_put_together() {
    let mut net = crowd(30);
    net.run(seconds(60));
    let tester = Tester::new(90, public(90));
    tester.bond(&mut net, public(0));
    let answers = tester.exchange(&mut net, public(0), &find_node());
    let counts: Vec<_> = answers
        .iter()
        .map(|it| if let Packet::Neighbors(it) = it { it.nodes.len() } else { 0 })
        .collect();
    assert_eq!(counts, [12, 4]);
    // And so it is here: all 16 are one answer.
    net.start(91, public(91), vec![node(0, public(0))]);
    net.command(public(91), Command::Lookup { version: None, id: QUERY, target: somewhere() });
    net.run(seconds(20));
    let found = net.events(public(91)).into_iter().find_map(|it| match it {
        Output::LookupStep { step, .. } => step.found,
        _ => None,
    });
    assert_eq!(found, Some(16));
}

#[test]
fn a_newer_record_is_fetched() {
    let (mut net, a, b) = pair();
    net.run(seconds(10));
    let before = net.v4(a).table().get(&id(B)).unwrap().seq();
    let change = LocalChange::Attribute { key: "x".into(), rlp: Some(vec![0x05]) };
    net.input(b, Input::Local(change));
    assert!(net.events(b).iter().any(|it| matches!(it, Output::LocalRecord(_))));
    net.run(seconds(30));
    let entry = net.v4(a).table().get(&id(B)).unwrap();
    assert_eq!(entry.seq(), before + 1);
    assert_eq!(entry.node().record().unwrap().get("x"), Some(&[0x05][..]));
}

#[test]
fn records_pings_and_timeouts_are_reported() {
    let (mut net, a, b) = pair();
    net.run(seconds(10));
    net.events.clear();
    net.command(a, Command::Ping { version: None, id: QUERY, node: node(B, b) });
    net.command(a, Command::RequestRecord { version: None, id: QUERY, node: node(B, b) });
    net.run(seconds(1));
    let record = net.record(b).clone();
    let events = net.events(a);
    let seq = Some(record.seq());
    let round_trip = 2 * LATENCY;
    let pong = PongInfo { from: b, round_trip, seq, our_endpoint: Some(a) };
    assert!(events.contains(&Output::Pong { id: QUERY, pong }), "{events:?}");
    assert!(events.contains(&Output::Record { id: QUERY, record: Some(record) }));

    // Nobody is there; and nobody can be.
    for silent in [node(9, public(9)), Node::new(*secret(9).public())] {
        net.command(a, Command::Ping { version: None, id: QUERY, node: silent.clone() });
        net.command(a, Command::RequestRecord { version: None, id: QUERY, node: silent });
        net.run(seconds(1));
        let events = net.events(a);
        assert!(events.contains(&Output::PingFailed { id: QUERY }));
        assert!(events.contains(&Output::Record { id: QUERY, record: None }));
    }
}

#[test]
fn a_node_is_resolved_by_asking_it_and_else_by_lookup() {
    let mut net = crowd(20);
    net.run(seconds(30));
    let resolved = |net: &mut Net, node: Node| {
        net.command(public(3), Command::Resolve { version: None, id: QUERY, node });
        net.run(seconds(20));
        net.events(public(3)).into_iter().find_map(|it| match it {
            Output::Resolved { id: QUERY, node } => Some(node),
            _ => None,
        })
    };
    let record = |net: &Net, n| Node::from_record(net.record(public(n)).clone());
    // Where it is said to be; without an address; with one that is wrong.
    for known in [node(9, public(9)), Node::new(*secret(9).public()), node(9, public(200))] {
        assert_eq!(resolved(&mut net, known), Some(Some(record(&net, 9))));
    }
    assert_eq!(resolved(&mut net, Node::new(*secret(500).public())), Some(None));
}

#[test]
fn others_tell_us_our_address_and_we_announce_it() {
    let mut net = crowd(8);
    let bootnodes = vec![node(0, public(0))];
    let config = Config { bootnodes, ..Config::default() };
    net.start_with(public(50), lost(secret(50)), config);
    assert_eq!(net.record(public(50)).ip4(), None);
    net.run(seconds(60));
    let record = net.record(public(50));
    assert_eq!(record.ip4().map(Into::into), Some(public(50).ip()));
    assert_eq!(record.udp4(), Some(public(50).port()));
    assert_eq!(record.seq(), 2);
    let told = net.events(public(50));
    assert!(told.contains(&Output::LocalRecord(record_of(&net, 50))));
    assert!(told.contains(&Output::Store(StoreOp::Seq(2))));
    net.run(seconds(60));
    let known = net.v4(public(0)).table().get(&id(50)).unwrap();
    assert_eq!(known.node().record(), Some(&record_of(&net, 50)));
}

#[test]
fn an_address_that_is_stated_is_not_voted_on() {
    let mut net = crowd(8);
    let bootnodes = vec![node(0, public(0))];
    net.start(50, public(50), bootnodes);
    net.input(public(50), Input::Local(LocalChange::Ip4(Some([99, 1, 1, 1].into()))));
    net.run(seconds(60));
    assert_eq!(record_of(&net, 50).ip4(), Some([99, 1, 1, 1].into()));
    net.input(public(50), Input::Local(LocalChange::Ip4(None)));
    net.run(seconds(60));
    assert_eq!(record_of(&net, 50).ip4().map(Into::into), Some(public(50).ip()));
}

fn record_of(net: &Net, n: u32) -> Record {
    net.record(public(n)).clone()
}

#[test]
fn no_loopback_address_is_told_to_the_world() {
    let mut net = Net::new();
    let tester = Tester::new(9, public(9));
    let about = about(secret(A), "127.0.0.1:30303".parse().unwrap());
    net.start_with(public(A), about, Config::default());
    net.command(public(A), Command::Ping { version: None, id: QUERY, node: tester.node() });
    let sent = tester.read(&mut net, seconds(1));
    let [(Packet::Ping(ping), _)] = &sent[..] else { panic!("{sent:?}") };
    let unspecified = Some("0.0.0.0".parse().unwrap());
    assert_eq!(ping.from, Endpoint { ip: unspecified, udp: 30303, tcp: 30303 });
}

#[test]
fn seeds_are_enough_to_start_from() {
    let mut net = crowd(8);
    net.run(seconds(60));
    // What was to be kept of the run.
    let stored = net.events(public(5)).into_iter().filter_map(|it| match it {
        Output::Store(StoreOp::Record(node)) => Some(node),
        _ => None,
    });
    let seeds: Vec<_> =
        stored.map(|node| SeedNode { node: Node::clone(&node), last_pong: START.unix }).collect();
    assert!(!seeds.is_empty());
    net.seeds.insert(public(5), seeds);
    net.start_after(public(5), about(secret(5), public(5)), Config::default(), 9);
    // Proofs of the earlier run count.
    assert_eq!(net.v4(public(5)).proved(), 7);
    net.run(seconds(30));
    assert_eq!(net.v4(public(5)).table().live(), 7);
}

#[test]
fn a_clock_that_is_wrong_for_a_while_stops_nothing_for_longer() {
    let mut net = crowd(5);
    net.run(seconds(30));
    for skew in [-3600, 3600] {
        net.skews.insert(public(3), skew);
        net.run(seconds(300));
        net.skews.clear();
        net.run(seconds(180));
        assert_eq!(net.v4(public(3)).table().live(), 4);
        // Whose clock is behind is not heard; whose clock is ahead does not listen.
        let expired = |n| net.v4(public(n)).stats().dropped(DropReason::Expired);
        assert_eq!(expired(3) > 0, skew > 0);
        assert!((0..3).all(|n| expired(n) > 0));
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = || {
        let mut net = crowd(10);
        net.want(public(3), 100);
        net.run(seconds(30));
        (net.count, format!("{:?}", net.events))
    };
    assert_eq!(run(), run());
}

/// The tester is asked by A, and answers with what it likes.
fn asked() -> (Net, Tester) {
    let mut net = Net::new();
    let config = Config {
        limiter: LimiterConfig { is_loopback_exempt: false, ..LimiterConfig::default() },
        ..Config::default()
    };
    net.start_with(public(A), about(secret(A), public(A)), config);
    let tester = Tester::new(9, public(9));
    tester.bond(&mut net, public(A));
    net.run(Duration::from_millis(100));
    (net, tester)
}

#[test]
fn a_node_that_has_forgotten_us_is_pinged_before_the_next_request() {
    let (mut net, a, b) = pair();
    net.run(seconds(10));
    net.start_after(b, about(secret(B), b), Config::default(), 5);
    let record = |net: &mut Net| {
        net.command(a, Command::RequestRecord { version: None, id: QUERY, node: node(B, b) });
        net.run(Duration::from_millis(520));
        net.events(a).into_iter().find_map(|it| match it {
            Output::Record { record, .. } => Some(record.map(|record| record.seq())),
            _ => None,
        })
    };
    assert_eq!(record(&mut net), Some(None));
    assert_eq!(record(&mut net), Some(Some(6)));
}

#[test]
fn a_node_that_has_moved_is_kept_at_its_new_place() {
    let mut net = Net::new();
    net.start(A, public(A), Vec::new());
    let mut tester = Tester::new(9, public(9));
    for place in [public(9), public(10)] {
        tester.addr = place;
        tester.bond(&mut net, public(A));
        // It answers its checks.
        for _ in 0..300 {
            for (packet, token) in tester.read(&mut net, Duration::from_millis(100)) {
                if matches!(packet, Packet::Ping(_)) {
                    tester.send(&mut net, public(A), &tester.pong(public(A), token));
                }
            }
        }
        let kept: Vec<_> = net
            .events(public(A))
            .into_iter()
            .filter_map(|it| match it {
                Output::Store(StoreOp::Record(node)) => Some(node.udp_endpoints()),
                _ => None,
            })
            .collect();
        assert_eq!(kept, [[place]]);
    }
}

#[test]
fn one_node_is_asked_for_nodes_once_at_a_time() {
    let (mut net, tester) = asked();
    net.command(public(A), Command::AddNode(tester.node()));
    for n in 1..=3 {
        let target = LookupTarget::Key(*secret(n).public());
        net.command(public(A), Command::Lookup { version: None, id: QueryId(n.into()), target });
    }
    // Answers could not be told apart.
    for n in 1..=3_u32 {
        let sent = tester.read(&mut net, 3 * LATENCY);
        let [(Packet::FindNode(find), _)] = &sent[..] else { panic!("{sent:?}") };
        assert_eq!(find.target, Target::from(secret(n).public()));
        let told = (20..20 + 16).map(|m| Neighbor::new(&node(100 * n + m, public(m)), public(m)));
        for nodes in told.collect::<Vec<_>>().chunks(12) {
            let packet = Neighbors { nodes: nodes.to_vec(), expiration: VALID };
            tester.send(&mut net, public(A), &Packet::Neighbors(packet));
        }
    }
    net.run(seconds(10));
    let events = net.events(public(A));
    for n in 1..=3 {
        let step = LookupStep { asked: tester.node(), found: Some(16) };
        assert!(events.contains(&Output::LookupStep { id: QueryId(n), step }), "{n}");
    }
}

#[test]
fn a_record_is_taken_from_its_node_only_and_for_the_right_request() {
    for (n, is_right_token, is_taken) in [(9, true, true), (8, true, false), (9, false, false)] {
        let (mut net, tester) = asked();
        net.command(
            public(A),
            Command::RequestRecord { version: None, id: QUERY, node: tester.node() },
        );
        let sent = tester.read(&mut net, 2 * LATENCY);
        let [(Packet::EnrRequest(_), token)] = sent[..] else { panic!("{sent:?}") };
        let record = LocalRecord::new(secret(n), 0).record().encode();
        let token = if is_right_token { token } else { [1; 32] };
        tester.send(&mut net, public(A), &Packet::EnrResponse(EnrResponse { token, record }));
        net.run(seconds(1));
        let taken = net.events(public(A)).into_iter().find_map(|it| match it {
            Output::Record { record, .. } => Some(record.is_some()),
            _ => None,
        });
        assert_eq!(taken, Some(is_taken), "{n} {is_right_token}");
    }
}

#[test]
fn of_neighbors_only_those_that_may_be_asked_are_taken_and_16_at_most() {
    let neighbor = |n: u32, addr: &str| {
        let addr = addr.parse().unwrap();
        Neighbor::new(&node(n, addr), addr)
    };
    let good: Vec<_> = (20..40).map(|n| neighbor(n, &public(n).to_string())).collect();
    let bad = vec![
        // Us.
        neighbor(A, "84.1.1.1:30303"),
        // Our machine and our network, from elsewhere; no network of nodes.
        neighbor(60, "127.0.0.1:30303"),
        neighbor(61, "192.168.1.1:30303"),
        neighbor(62, "100.64.0.1:30303"),
        neighbor(63, "224.0.0.1:30303"),
        neighbor(64, "0.0.0.0:30303"),
        // Ports of others.
        neighbor(65, "84.1.1.1:53"),
        neighbor(66, "84.1.1.1:1024"),
        Neighbor { key: [0xff; 64], ..neighbor(67, "84.1.1.1:30303") },
    ];
    for (packets, found) in [
        (vec![bad.clone()], 0),
        (vec![bad[..4].to_vec(), good[..5].to_vec()], 5),
        (vec![good[..12].to_vec(), good[12..].to_vec()], 16),
        (vec![vec![]], 0),
    ] {
        let (mut net, tester) = asked();
        net.command(public(A), Command::AddNode(tester.node()));
        net.command(public(A), Command::Lookup { version: None, id: QUERY, target: somewhere() });
        let sent = tester.read(&mut net, 2 * LATENCY);
        assert!(sent.iter().any(|(it, _)| matches!(it, Packet::FindNode(_))), "{sent:?}");
        for nodes in packets {
            let packet = Packet::Neighbors(Neighbors { nodes, expiration: VALID });
            tester.send(&mut net, public(A), &packet);
        }
        net.run(Duration::from_millis(200));
        let step = net.events(public(A)).into_iter().find_map(|it| match it {
            Output::LookupStep { step, .. } => Some(step.found),
            _ => None,
        });
        assert_eq!(step, Some(Some(found)));
    }
}
