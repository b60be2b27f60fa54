//! What the tests of go-ethereum's `devp2p discv5 test` demand of a node, one test each, restated
//! for the machine. They run against a node that knows nobody, from two loopback addresses, by a
//! tester whose record has no address. The same over real sockets: `cli/tests/v5_demands`.

use super::*;

const NODE: u32 = 1;

struct World {
    net: Net,
    node: (u32, SocketAddr),
    tester: Tester,
}

fn world() -> World {
    let mut net = Net::of(&[Version::V5]);
    let node = "127.0.0.1:30303".parse().unwrap();
    net.start(NODE, node, Vec::new());
    let mut tester = Tester::new(100, "127.0.0.1:40001".parse().unwrap());
    tester.record = record(&secret(100), 1, None);
    World { net, node: (NODE, node), tester }
}

#[test]
fn ping_is_answered_after_the_handshake_with_its_id_and_where_it_came_from() {
    let World { mut net, node, mut tester } = world();
    let said = tester.introduce(&mut net, node, &ping(9));
    let [text] = &said[..] else { panic!("{said:?}") };
    let pong = Message::decode(text).unwrap();
    let seq = net.record(node.1).seq();
    assert_eq!(pong, Message::Pong { id: request(9), seq, recipient: Some(tester.addr) });
}

#[test]
fn a_request_id_of_nine_bytes_is_answered_with_silence() {
    let World { mut net, node, mut tester } = world();
    tester.introduce(&mut net, node, &ping(1));
    // [nine bytes, 1]
    let mut text = vec![1, 0xcb, 0x89];
    text.extend_from_slice(&[7; 9]);
    text.push(1);
    let (seal, _) = tester.keys.as_ref().unwrap();
    let mask = Mask::of(&id(NODE));
    let bytes = packet::message(&mask, &[3; 16], &[4; 12], &tester.id(), seal, &text);
    net.send(tester.addr, node.1, bytes);
    assert!(tester.read(&mut net, READ_WAIT).is_empty());
    assert!(is_pong(&tester.exchange(&mut net, node, &ping(2)), 2));
}

#[test]
fn a_session_is_bound_to_the_address_and_another_handshake_is_asked_for_from_each() {
    let World { mut net, node, mut tester } = world();
    assert!(is_pong(&tester.introduce(&mut net, node, &ping(1)), 1));
    let first = tester.addr;
    for (n, addr) in [(2, "127.0.0.2:40001".parse().unwrap()), (3, first)] {
        tester.addr = addr;
        tester.say(&mut net, node, &ping(n));
        let heard = tester.read(&mut net, READ_WAIT);
        let [Heard::WhoAreYou { data, .. }] = &heard[..] else { panic!("{heard:?}") };
        tester.shake(&mut net, node, data, &ping(n));
        assert!(is_pong(&tester.hear(&mut net), n));
    }
}

#[test]
fn while_a_handshake_is_pending_the_same_challenge_is_sent_again() {
    let World { mut net, node, mut tester } = world();
    let first = tester.probe(&mut net, node);
    let before = tester.read(&mut net, READ_WAIT);
    tester.probe(&mut net, node);
    let after = tester.read(&mut net, READ_WAIT);
    let [Heard::WhoAreYou { nonce, data, .. }] = &before[..] else { panic!("{before:?}") };
    let [Heard::WhoAreYou { nonce: again, data: same, .. }] = &after[..] else {
        panic!("{after:?}")
    };
    assert_eq!((*nonce, *again), (first, first));
    assert_eq!(data, same);
}

#[test]
fn a_talkreq_of_an_unknown_protocol_gets_an_empty_answer_also_with_an_empty_id() {
    let World { mut net, node, mut tester } = world();
    tester.introduce(&mut net, node, &ping(1));
    for id in [&[5, 6][..], &[]] {
        let id = RequestId::new(id).unwrap();
        let ask = Message::TalkRequest { id, protocol: b"test-protocol", request: b"" };
        let said = tester.exchange(&mut net, node, &ask);
        let expected = Message::TalkResponse { id, response: b"" }.encode();
        assert_eq!(said, [expected]);
    }
}

#[test]
fn find_node_at_distance_zero_gives_exactly_its_own_record() {
    let World { mut net, node, mut tester } = world();
    let said = tester.introduce(&mut net, node, &find(1, &[0]));
    assert_eq!(told(&said), [net.record(node.1).clone()]);
    let Ok(Message::Nodes { total, .. }) = Message::decode(&said[0]) else { panic!("{said:?}") };
    assert_eq!(total, 1);
}

#[test]
fn bystanders_that_ping_are_pinged_back_within_a_minute_and_told_of() {
    let World { mut net, node, mut tester } = world();
    let mut bystanders: Vec<Tester> = (0..5)
        .map(|n| Tester::new(200 + n, format!("127.0.0.1:{}", 41_000 + n).parse().unwrap()))
        .collect();
    for bystander in &mut bystanders {
        assert!(is_pong(&bystander.introduce(&mut net, node, &ping(1)), 1));
    }
    // Each answers what it is asked for a minute.
    let mut pinged = [false; 5];
    for _ in 0..600 {
        net.run(Duration::from_millis(100));
        for (n, bystander) in bystanders.iter_mut().enumerate() {
            for heard in bystander.read(&mut net, Duration::ZERO) {
                let Heard::Said(text) = heard else { panic!("{heard:?}") };
                match Message::decode(&text).unwrap() {
                    Message::Ping { id, .. } => {
                        pinged[n] = true;
                        let pong = Message::Pong { id, seq: 1, recipient: None };
                        bystander.say(&mut net, node, &pong);
                    }
                    Message::FindNode { id, .. } => {
                        let nodes = Message::Nodes { id, total: 1, records: Vec::new() };
                        bystander.say(&mut net, node, &nodes);
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    assert_eq!(pinged, [true; 5]);
    let mut distances: Vec<u16> =
        bystanders.iter().map(|it| id(NODE).log_distance(&it.id())).collect();
    distances.dedup();
    let said = tester.introduce(&mut net, node, &find(1, &distances));
    let mut found: Vec<_> = told(&said).iter().map(Record::id).collect();
    let mut expected: Vec<_> = bystanders.iter().map(Tester::id).collect();
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
}
