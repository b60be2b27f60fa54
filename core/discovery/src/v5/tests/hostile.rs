//! Strangers with bad intentions.

use proptest::prelude::*;

use super::*;
use crate::{LookupTarget, v5::DropReason};

const A: u32 = 1;

fn one() -> (Net, (u32, SocketAddr)) {
    let mut net = Net::of(&[Version::V5]);
    net.start(A, public(A), Vec::new());
    (net, (A, public(A)))
}

/// A forged address, different for each `n`, and not in a network of the tests.
fn forged(n: u32) -> SocketAddr {
    SocketAddr::from(((0x5000_0000 + n * 7).to_be_bytes(), 9999))
}

#[test]
fn a_stranger_gets_a_challenge_no_larger_than_what_it_sent_and_nothing_else() {
    let (mut net, a) = one();
    let mut stranger = Tester::new(9, public(9));
    // The shortest packet that there is of a message.
    let bytes = packet::message(
        &Mask::of(&id(A)),
        &[1; 16],
        &[2; 12],
        &stranger.id(),
        &Cipher::new(&[3; 16]),
        &[0],
    );
    let size = bytes.len();
    net.send(stranger.addr, a.1, bytes);
    net.run(READ_WAIT);
    let sizes: Vec<_> = net.mail.iter().map(|it| it.bytes.len()).collect();
    assert_eq!(sizes, [63]);
    assert!(sizes[0] <= size);
    net.mail.clear();
    // A WHOAREYOU, and a handshake, that nobody asked for.
    let (bytes, data) = packet::who_are_you(&Mask::of(&id(A)), &[1; 16], &[2; 12], &[3; 16], 0);
    net.send(stranger.addr, a.1, bytes.to_vec());
    let elsewhere = public(10);
    stranger.addr = elsewhere;
    stranger.shake(&mut net, a, &data, &ping(1));
    net.run(seconds(5));
    assert_eq!(net.mail.len(), 0);
    assert_eq!(net.v5(a.1).stats().dropped(DropReason::Unsolicited), 2);
}

#[test]
fn a_challenge_is_answered_once_and_only_where_it_was_asked_for() {
    let (mut net, a) = one();
    let tester = Tester::new(9, public(9));
    let node = Node::from_record(tester.record.clone());
    net.command(a.1, Command::Ping { version: None, id: QUERY, node });
    let heard = tester.read(&mut net, LATENCY);
    let [Heard::Sealed(source, nonce)] = heard[..] else { panic!("{heard:?}") };
    assert_eq!(source, id(A));
    let (bytes, _) = packet::who_are_you(&Mask::of(&id(A)), &[1; 16], &nonce, &[3; 16], 0);
    // From somewhere else first.
    net.send(public(10), a.1, bytes.to_vec());
    for _ in 0..3 {
        net.send(tester.addr, a.1, bytes.to_vec());
    }
    let heard = tester.read(&mut net, 2 * LATENCY);
    assert!(matches!(heard[..], [Heard::Sealed(..)]), "{heard:?}");
    assert_eq!(net.v5(a.1).stats().dropped(DropReason::Unsolicited), 3);
}

#[test]
fn who_cannot_prove_itself_gets_no_session() {
    let (mut net, a) = one();
    let mut liar = Tester::new(9, public(9));
    let challenge = |liar: &mut Tester, net: &mut Net| {
        liar.probe(net, a);
        let heard = liar.read(net, 2 * LATENCY);
        let [Heard::WhoAreYou { data, .. }] = &heard[..] else { panic!("{heard:?}") };
        *data
    };
    let data = challenge(&mut liar, &mut net);
    // The record of somebody else, none where none is known, and no record at all.
    let other = record(&secret(10), 1, Some("11.0.10.1:30303")).encode();
    let mut broken = liar.record.encode();
    *broken.last_mut().unwrap() ^= 1;
    for rlp in [&other[..], &[], &broken] {
        liar.shake_with(&mut net, a, &data, rlp, &ping(1));
        assert!(liar.read(&mut net, 2 * LATENCY).is_empty());
    }
    assert_eq!(net.v5(a.1).stats().dropped(DropReason::Malformed), 3);
    // After as many, the challenge is over.
    let right = liar.record.encode();
    liar.shake_with(&mut net, a, &data, &right, &ping(1));
    assert!(liar.read(&mut net, 2 * LATENCY).is_empty());
    // A signature over another challenge.
    let mut wrong = challenge(&mut liar, &mut net);
    wrong[40] ^= 1;
    liar.shake_with(&mut net, a, &wrong, &right, &ping(1));
    assert!(liar.read(&mut net, 2 * LATENCY).is_empty());
    assert_eq!(net.v5(a.1).stats().dropped(DropReason::Proof), 1);
    assert_eq!((net.v5(a.1).sessions(), net.v5(a.1).stats().handshakes), (0, 0));
}

#[test]
fn one_forged_handshake_does_not_end_that_of_its_victim() {
    let (mut net, a) = one();
    let mut victim = Tester::new(9, public(9));
    victim.probe(&mut net, a);
    let heard = victim.read(&mut net, 2 * LATENCY);
    let [Heard::WhoAreYou { data, .. }] = &heard[..] else { panic!("{heard:?}") };
    // By somebody who has not seen the challenge.
    let mut forger = Tester::new(9, public(9));
    forger.random = Random::from_seed([77; 32]);
    forger.shake(&mut net, a, &[0; 63], &ping(1));
    victim.shake(&mut net, a, data, &ping(2));
    assert!(is_pong(&victim.hear(&mut net), 2));
}

/// A node that A asks, and that answers with these records; whom A's table takes of them.
fn table_after(records: impl Fn(&Tester, &[u16]) -> Vec<Vec<Record>>) -> Vec<NodeId> {
    let (mut net, a) = one();
    let mut liar = Tester::new(9, public(9));
    assert!(is_pong(&liar.introduce(&mut net, a, &ping(1)), 1));
    net.run(seconds(2));
    liar.read(&mut net, Duration::ZERO);
    net.command(a.1, Command::Lookup { version: None, id: QUERY, target: LookupTarget::Random });
    for _ in 0..40 {
        for heard in liar.read(&mut net, Duration::from_millis(100)) {
            let Heard::Said(text) = heard else { panic!("{heard:?}") };
            match Message::decode(&text).unwrap() {
                Message::FindNode { id, distances } => {
                    let parts = records(&liar, &distances);
                    let total = parts.len() as u64;
                    for part in parts {
                        let records = part.iter().map(Record::as_rlp).collect();
                        liar.say(&mut net, a, &Message::Nodes { id, total, records });
                    }
                }
                Message::Ping { id, .. } => {
                    liar.say(&mut net, a, &Message::Pong { id, seq: 1, recipient: None });
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let taken = net.events(a.1).into_iter().filter_map(|it| match it {
        Output::NodeAdded { node, .. } => Some(node.id()),
        _ => None,
    });
    taken.filter(|it| *it != liar.id()).collect()
}

/// Keys of nodes at these distances from `from`.
fn keys_at(from: NodeId, distances: &[u16]) -> impl Iterator<Item = u32> {
    let distances = distances.to_vec();
    (2000..).filter(move |n| distances.contains(&from.log_distance(&id(*n))))
}

#[test]
fn told_nodes_count_at_the_distances_that_were_asked_for_only() {
    let found = table_after(|liar, distances| {
        let at = keys_at(liar.id(), distances).take(3);
        let others: Vec<u16> = (246..=256).filter(|it| !distances.contains(it)).collect();
        let elsewhere = keys_at(liar.id(), &others).take(3);
        let record = |n: u32| record(&secret(n), 1, Some(&public(n).to_string()));
        vec![at.chain(elsewhere).map(record).collect()]
    });
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn told_nodes_in_our_own_network_and_at_reserved_ports_are_not_asked() {
    let found = table_after(|liar, distances| {
        let addrs = ["192.168.1.1:30303", "127.0.0.1:30303", "11.5.5.5:53", "11.5.6.5:1025"];
        let keys = keys_at(liar.id(), distances);
        vec![keys.zip(addrs).map(|(n, addr)| record(&secret(n), 1, Some(addr))).collect()]
    });
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn an_answer_has_16_records_and_5_parts_at_most() {
    let found = table_after(|liar, distances| {
        let keys: Vec<u32> = keys_at(liar.id(), distances).take(40).collect();
        let record = |n: &u32| record(&secret(*n), 1, Some(&public(*n).to_string()));
        let records: Vec<Record> = keys.iter().map(record).collect();
        records.chunks(2).map(<[Record]>::to_vec).collect()
    });
    // Two in each of five parts, whatever else comes. A lookup asks once.
    assert!(found.len() <= 10, "{}", found.len());
    assert!(found.len() >= 5, "{}", found.len());
}

#[test]
fn our_own_record_and_one_that_comes_twice_are_told_in_vain() {
    let found = table_after(|liar, distances| {
        let n = keys_at(liar.id(), distances).next().unwrap();
        let it = record(&secret(n), 1, Some(&public(n).to_string()));
        vec![vec![it.clone(), it.clone(), it]]
    });
    assert_eq!(found.len(), 1, "{found:?}");
}

#[test]
fn a_flood_from_forged_addresses_is_bounded_and_a_node_that_is_known_is_heard() {
    let (mut net, a) = one();
    let mut friend = Tester::new(90, public(90));
    assert!(is_pong(&friend.introduce(&mut net, a, &ping(1)), 1));
    net.run(seconds(2));
    net.mail.clear();
    let before = *net.v5(a.1).stats();
    for n in 0..5000 {
        let mut stranger = Tester::new(1000 + n % 50, forged(n));
        stranger.probe(&mut net, a);
    }
    net.run(LATENCY);
    let after = *net.v5(a.1).stats();
    assert_eq!(after.sent - before.sent, 2000);
    let limited = after.dropped(DropReason::RateLimit) - before.dropped(DropReason::RateLimit);
    assert_eq!(limited, 3000);
    net.mail.clear();
    assert!(is_pong(&friend.exchange(&mut net, a, &ping(2)), 2));
}

#[test]
fn our_own_packets_and_nodes_that_are_forbidden_are_ignored() {
    let (mut net, a) = one();
    let mut mirror = Tester::new(A, public(9));
    mirror.probe(&mut net, a);
    assert!(mirror.read(&mut net, READ_WAIT).is_empty());
    assert_eq!(net.v5(a.1).stats().dropped(DropReason::Own), 1);
    let policy = crate::Policy::default().with_net_restrict(Some("11.0.9.0/24".parse().unwrap()));
    net.input(a.1, Input::SetPolicy(policy));
    let mut outside = Tester::new(50, public(50));
    outside.probe(&mut net, a);
    assert!(outside.read(&mut net, READ_WAIT).is_empty());
}

#[test]
fn messages_that_cannot_be_read_are_silently_ignored() {
    let (mut net, a) = one();
    let mut tester = Tester::new(9, public(9));
    assert!(is_pong(&tester.introduce(&mut net, a, &ping(1)), 1));
    let (seal, _) = tester.keys.as_ref().unwrap();
    for (n, text) in
        [&[1, 0xc0][..], &[9, 0xc0], &[2, 0xc1, 1], &[4, 0xc2, 1, 1]].iter().enumerate()
    {
        let nonce = [n as u8 + 100; 12];
        let mask = Mask::of(&id(A));
        let bytes = packet::message(&mask, &[3; 16], &nonce, &tester.id(), seal, text);
        net.send(tester.addr, a.1, bytes);
    }
    // Answers to nothing.
    for message in [
        Message::Pong { id: request(1), seq: 9, recipient: None },
        Message::Nodes { id: request(1), total: 1, records: Vec::new() },
        Message::TalkResponse { id: request(1), response: b"" },
    ] {
        tester.say(&mut net, a, &message);
    }
    assert!(tester.hear(&mut net).is_empty());
    let stats = net.v5(a.1).stats();
    let dropped = [DropReason::Malformed, DropReason::UnknownType, DropReason::Unsolicited];
    assert_eq!(dropped.map(|reason| stats.dropped(reason)), [3, 1, 3]);
}

#[test]
fn a_stand_in_is_believed_by_no_real_node_and_the_other_way_round() {
    let stand_in = |n: u32| SecretKey::stand_in_from_bytes(&secret(n).to_bytes()).unwrap();
    for (ours, theirs, meet) in [
        (secret(1), stand_in(2), false),
        (stand_in(1), secret(2), false),
        (stand_in(1), stand_in(2), true),
    ] {
        let mut net = Net::of(&[Version::V5]);
        net.start_with(public(1), about(ours, public(1)), Config::default());
        let config = Config { bootnodes: vec![node(1, public(1))], ..Config::default() };
        net.start_with(public(2), about(theirs, public(2)), config);
        net.run(seconds(20));
        assert_eq!(net.v5(public(1)).table().live() == 1, meet);
        assert_eq!(net.v5(public(1)).stats().handshakes == 1, meet);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn random_datagrams_never_panic(
        datagrams in proptest::collection::vec(
            (0_u32..5, proptest::collection::vec(any::<u8>(), 0..300)),
            0..20,
        ),
    ) {
        let (mut net, a) = one();
        for (n, bytes) in datagrams {
            net.send(public(50 + n), a.1, bytes);
        }
        net.run(seconds(5));
        prop_assert!(net.mail.is_empty());
    }
}

#[test]
fn a_challenge_to_an_earlier_packet_is_answered_by_the_request_that_is_under_way() {
    let (mut net, a) = one();
    let mut tester = Tester::new(9, public(9));
    let ask = |net: &mut Net, n| {
        let node = Node::from_record(record(&secret(9), 1, Some("11.0.9.1:30303")));
        net.command(a.1, Command::Ping { version: None, id: QueryId(n), node });
    };
    ask(&mut net, 1);
    let heard = tester.read(&mut net, LATENCY);
    let [Heard::Sealed(_, first)] = heard[..] else { panic!("{heard:?}") };
    // Sent again, and given up.
    let again = tester.read(&mut net, seconds(3));
    assert!(matches!(again[..], [Heard::Sealed(..)]), "{again:?}");
    assert!(net.events(a.1).contains(&Output::PingFailed { id: QueryId(1) }));
    ask(&mut net, 2);
    tester.read(&mut net, LATENCY);
    // As clients do that send one challenge again and again.
    let (bytes, data) = packet::who_are_you(&Mask::of(&id(A)), &[1; 16], &first, &[3; 16], 0);
    net.send(tester.addr, a.1, bytes.to_vec());
    net.run(2 * LATENCY);
    let parcels = std::mem::take(&mut net.mail);
    let [parcel] = &parcels[..] else { panic!("{parcels:?}") };
    let packet = Unmasked::check(&Mask::of(&tester.id()), &parcel.bytes).unwrap();
    let Header::Handshake(proof) = packet.header() else { panic!("no handshake") };
    let ephemeral = peerage_node::PublicKey::from_sec1(proof.ephemeral).unwrap();
    let secret = tester.key.agree_point(&ephemeral);
    let keys = SessionKeys::derive(&secret, &id(A), &tester.id(), &data);
    tester.keys = Some((Cipher::new(&keys.recipient), Cipher::new(&keys.initiator)));
    let Heard::Said(text) = tester.open(&parcel.bytes) else { panic!("it cannot be opened") };
    assert!(matches!(Message::decode(&text), Ok(Message::Ping { .. })));
}
