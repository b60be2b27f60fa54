//! Strangers with bad intentions.

use proptest::prelude::*;

use super::*;
use crate::v4::{
    DropReason,
    packet::{EnrResponse, Neighbors},
};

const A: u32 = 1;

fn one() -> Net {
    let mut net = Net::new();
    net.start(A, public(A), Vec::new());
    net
}

/// A forged address, different for each `n`, and not in a network of the tests.
fn forged(n: u32) -> SocketAddr {
    SocketAddr::from(((0x5000_0000 + n * 7).to_be_bytes(), 9999))
}

#[test]
fn an_unproved_address_gets_a_pong_and_a_ping_for_its_ping_and_else_nothing() {
    let mut net = one();
    let stranger = Tester::new(9, public(9));
    let answers = [
        Packet::Pong(Pong {
            to: Endpoint::default(),
            token: [1; 32],
            expiration: VALID,
            seq: None,
        }),
        find_node(),
        Packet::Neighbors(Neighbors { nodes: Vec::new(), expiration: VALID }),
        enr_request(),
        Packet::EnrResponse(EnrResponse { token: [1; 32], record: vec![0xc0] }),
    ]
    .map(|packet| stranger.exchange(&mut net, public(A), &packet));
    assert_eq!(answers, [const { Vec::new() }; 5]);
    let ping = stranger.ping(public(A));
    let size = ping.encode(&stranger.key).0.len();
    stranger.send(&mut net, public(A), &ping);
    net.run(READ_WAIT);
    let sizes: Vec<_> = net.mail.iter().map(|it| it.bytes.len()).collect();
    assert_eq!(sizes.len(), 2);
    // Somebody else's address was hit with little more than twice what it cost.
    assert!(sizes.iter().sum::<usize>() < size * 5 / 2, "{sizes:?} for {size}");
    // And it is not asked a second time while it may still answer.
    stranger.send(&mut net, public(A), &ping);
    let again = stranger.read(&mut net, 2 * LATENCY);
    assert!(matches!(again.last(), Some((Packet::Pong(_), _))), "{again:?}");
    assert_eq!(again.len(), 3);
}

#[test]
fn the_shortest_ping_is_answered_with_two_packets_and_less_than_three_times_its_bytes() {
    for addr in [public(9), "[2a01:4f8::9]:30303".parse().unwrap()] {
        let mut net = one();
        let stranger = Tester::new(9, addr);
        let none = Endpoint { ip: None, udp: 0, tcp: 0 };
        let ping = Packet::Ping(Ping { from: none, to: none, expiration: VALID, seq: None });
        let size = ping.encode(&stranger.key).0.len();
        stranger.send(&mut net, public(A), &ping);
        net.run(READ_WAIT);
        let sizes: Vec<_> = net.mail.iter().map(|it| it.bytes.len()).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().sum::<usize>() < size * 3, "{sizes:?} for {size}");
    }
}

#[test]
fn a_pong_counts_from_the_address_and_key_that_were_pinged_only() {
    for (n, addr, is_proof) in [
        (9, public(9), true),
        // Another port of the same address.
        (9, SocketAddr::new(public(9).ip(), 1), true),
        (9, public(8), false),
        (8, public(9), false),
    ] {
        let mut net = one();
        let tester = Tester::new(9, public(9));
        tester.send(&mut net, public(A), &tester.ping(public(A)));
        let answers = tester.read(&mut net, 2 * LATENCY);
        let (_, token) = answers.iter().find(|(it, _)| matches!(it, Packet::Ping(_))).unwrap();
        let liar = Tester::new(n, addr);
        liar.send(&mut net, public(A), &liar.pong(public(A), *token));
        net.run(LATENCY);
        // A second one of the same ping is not even looked at.
        let before = net.v4(public(A)).stats().dropped(DropReason::Unsolicited);
        liar.send(&mut net, public(A), &liar.pong(public(A), *token));
        net.run(LATENCY);
        assert_eq!(net.v4(public(A)).stats().dropped(DropReason::Unsolicited), before + 1);
        assert_eq!(net.v4(public(A)).proved(), usize::from(is_proof), "{n} {addr}");
    }
}

#[test]
fn a_late_pong_is_no_proof() {
    let mut net = one();
    let tester = Tester::new(9, public(9));
    tester.send(&mut net, public(A), &tester.ping(public(A)));
    let answers = tester.read(&mut net, Duration::from_millis(600));
    let (_, token) = answers.iter().find(|(it, _)| matches!(it, Packet::Ping(_))).unwrap();
    tester.send(&mut net, public(A), &tester.pong(public(A), *token));
    net.run(LATENCY);
    assert_eq!(net.v4(public(A)).proved(), 0);
    assert_eq!(net.v4(public(A)).stats().dropped(DropReason::Unsolicited), 1);
}

#[test]
fn pings_of_strangers_say_nothing_of_our_address() {
    let mut net = Net::new();
    net.start_with(public(A), lost(secret(A)), Config::default());
    for n in 100..130 {
        // Real hosts, which answer our ping, too; but it was they who came.
        let liar = Tester::new(n, public(n));
        let Packet::Ping(mut ping) = liar.ping(public(A)) else { panic!("a ping") };
        ping.to = Endpoint::new("66.6.6.6:30303".parse().unwrap(), 0);
        liar.send(&mut net, public(A), &Packet::Ping(ping));
        let answers = liar.read(&mut net, 2 * LATENCY);
        let (_, token) = answers.iter().find(|(it, _)| matches!(it, Packet::Ping(_))).unwrap();
        let Packet::Pong(mut pong) = liar.pong(public(A), *token) else { panic!("a pong") };
        pong.to = Endpoint::new("66.6.6.6:30303".parse().unwrap(), 0);
        liar.send(&mut net, public(A), &Packet::Pong(pong));
        net.run(LATENCY);
    }
    assert_eq!(net.v4(public(A)).proved(), 30);
    assert_eq!(net.record(public(A)).ip4(), None);
}

#[test]
fn a_flood_from_forged_addresses_costs_little_and_pushes_out_nobody() {
    let mut net = one();
    for n in 10..20 {
        net.start(n, public(n), vec![node(A, public(A))]);
    }
    net.run(seconds(30));
    assert_eq!(net.v4(public(A)).table().live(), 10);
    let friend = Tester::new(90, public(90));
    friend.bond(&mut net, public(A));
    net.run(seconds(2));
    net.mail.clear();

    let before = *net.v4(public(A)).stats();
    for n in 0..5000 {
        let stranger = Tester::new(1000 + n % 50, forged(n));
        stranger.send(&mut net, public(A), &stranger.ping(public(A)));
    }
    net.run(LATENCY);
    // In the midst of it, those we know are served.
    let answers = friend.exchange(&mut net, public(A), &find_node());
    assert!(answers.iter().any(|it| matches!(it, Packet::Neighbors(_))));
    let after = *net.v4(public(A)).stats();
    assert!(after.dropped(DropReason::RateLimit) - before.dropped(DropReason::RateLimit) >= 2900);
    assert!(after.sent - before.sent < 2 * 2100);
    net.run(seconds(60));
    let v4 = net.v4(public(A));
    assert_eq!((v4.table().live(), v4.proved()), (10, 11));
    assert!(v4.finder.settling() == 0 && v4.pending() == 0);
}

#[test]
fn one_host_with_many_keys_gets_no_more_than_its_share() {
    let mut net = one();
    for n in 0..300 {
        let sybil = Tester::new(1000 + n, SocketAddr::new(public(7).ip(), 10_000));
        sybil.bond(&mut net, public(A));
        net.run(Duration::from_millis(100));
        net.mail.clear();
    }
    net.run(seconds(2));
    let v4 = net.v4(public(A));
    assert!(v4.proved() <= 128);
    assert!(v4.table().len() + v4.table().waiting() <= 10);
}

#[test]
fn strangers_cannot_reach_us_where_nodes_are_restricted() {
    let mut net = Net::new();
    let config = Config {
        policy: restricted_to("10.0.0.0/8"),
        bootnodes: vec![node(8, public(8))],
        ..Config::default()
    };
    net.start_with(public(A), about(secret(A), public(A)), config);
    let stranger = Tester::new(9, public(9));
    let ping = stranger.ping(public(A));
    assert_eq!(stranger.exchange(&mut net, public(A), &ping), []);
    assert_eq!(net.machine(public(A)).stats().not_allowed, 1);
    // Nor do we reach out.
    net.run(seconds(60));
    assert_eq!(net.v4(public(A)).stats().sent, 0);
    let friend = Tester::new(10, "10.1.1.1:30303".parse().unwrap());
    friend.bond(&mut net, public(A));
    assert_eq!(net.v4(public(A)).proved(), 1);
}

#[test]
fn a_policy_that_changes_drops_whom_it_forbids_and_goes_on_with_the_others() {
    const B: u32 = 2;
    const C: u32 = 3;
    let (b, c) = (public(B), "10.1.1.1:30303".parse().unwrap());
    let mut net = Net::new();
    net.start(A, public(A), vec![node(B, b), node(C, c)]);
    net.start(B, b, Vec::new());
    net.start(C, c, Vec::new());
    net.run(seconds(10));
    let known = |net: &Net| {
        let mut ids: Vec<_> = net.v4(public(A)).table().entries().map(|it| it.id()).collect();
        ids.sort();
        ids
    };
    let mut both = [id(B), id(C)];
    both.sort();
    assert_eq!(known(&net), both);
    net.input(public(A), Input::SetPolicy(restricted_to("10.0.0.0/8")));
    assert_eq!(known(&net), [id(C)]);
    assert!(
        net.events.contains(&(public(A), Output::NodeDropped { id: id(B), version: Version::V4 }))
    );
    // The other one still pings us, and neither that nor what others tell of it brings it back.
    net.run(seconds(60));
    assert_eq!(known(&net), [id(C)]);
    assert!(net.machine(public(A)).stats().not_allowed > 0);
    let stranger = Tester::new(9, public(9));
    let ping = stranger.ping(public(A));
    assert_eq!(stranger.exchange(&mut net, public(A), &ping), []);
    net.input(public(A), Input::SetPolicy(Policy::default()));
    assert_ne!(stranger.exchange(&mut net, public(A), &ping), []);
}

#[test]
fn a_request_that_waits_is_not_sent_to_whom_a_new_policy_forbids() {
    let mut net = one();
    let tester = Tester::new(9, public(9));
    net.command(
        public(A),
        Command::RequestRecord { version: None, id: QueryId(1), node: tester.node() },
    );
    // It is pinged first, and answers; to be asked once it has had time to ping us.
    let sent = tester.read(&mut net, 2 * LATENCY);
    let [(Packet::Ping(_), token)] = sent[..] else { panic!("{sent:?}") };
    tester.send(&mut net, public(A), &tester.pong(public(A), token));
    net.run(2 * LATENCY);
    net.input(public(A), Input::SetPolicy(restricted_to("10.0.0.0/8")));
    assert_eq!(tester.read(&mut net, seconds(5)), []);
    assert!(net.events(public(A)).contains(&Output::Record { id: QueryId(1), record: None }));
}

#[test]
fn our_own_packets_and_senders_that_are_many_are_ignored() {
    let mut net = one();
    let us = Tester::new(A, public(50));
    let ping = us.ping(public(A));
    assert_eq!(us.exchange(&mut net, public(A), &ping), []);
    assert_eq!(net.v4(public(A)).stats().dropped(DropReason::Own), 1);
    for from in ["224.0.0.1:30303", "255.255.255.255:30303", "0.0.0.0:30303", "8.8.8.8:0"] {
        let stranger = Tester::new(9, from.parse().unwrap());
        let ping = stranger.ping(public(A));
        assert_eq!(stranger.exchange(&mut net, public(A), &ping), []);
    }
    assert_eq!(net.machine(public(A)).stats().not_allowed, 4);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_datagrams_never_panic(datagrams in proptest::collection::vec(
        (0_u8..8, proptest::collection::vec(any::<u8>(), 0..200)), 0..20
    )) {
        let mut net = one();
        let tester = Tester::new(9, public(9));
        tester.bond(&mut net, public(A));
        for (kind, content) in datagrams {
            // Signed and sealed, so that the content matters.
            let mut signed = vec![kind];
            signed.extend_from_slice(&content);
            let digest = keccak_asm::Keccak256::digest(&signed).into();
            let mut sealed = tester.key.sign(&digest).to_bytes().to_vec();
            sealed.extend_from_slice(&signed);
            let hash = keccak_asm::Keccak256::digest(&sealed);
            net.send(tester.addr, public(A), [hash.as_slice(), &sealed].concat());
            net.send(tester.addr, public(A), content);
        }
        net.run(seconds(5));
    }
}
