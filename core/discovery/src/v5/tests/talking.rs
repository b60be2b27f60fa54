//! TALKREQ and TALKRESP, in both roles.

use super::*;
use crate::v5::{MAX_TALK_REQUEST, MAX_TALK_RESPONSE, TalkId};

const A: u32 = 1;
const B: u32 = 2;

fn two() -> (Net, SocketAddr, SocketAddr) {
    let mut net = Net::of(&[Version::V5]);
    for n in [A, B] {
        net.start(n, public(n), Vec::new());
    }
    let protocol = b"echo".to_vec();
    net.command(public(B), Command::SetTalkProtocol { protocol, has_handler: true });
    (net, public(A), public(B))
}

fn ask(net: &mut Net, from: SocketAddr, protocol: &[u8], request: &[u8]) {
    let (protocol, request) = (protocol.to_vec(), request.to_vec());
    net.command(from, Command::Talk { id: QUERY, node: node(B, public(B)), protocol, request });
}

fn answer(net: &mut Net, at: SocketAddr) -> Option<Option<Vec<u8>>> {
    net.events(at).into_iter().find_map(|it| match it {
        Output::TalkResponse { id: QUERY, response } => Some(response),
        _ => None,
    })
}

fn asked(net: &mut Net, at: SocketAddr) -> Vec<(TalkId, Vec<u8>)> {
    let events = net.events(at).into_iter();
    events
        .filter_map(|it| match it {
            Output::TalkRequest { id, request, .. } => Some((id, request)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_handler_hears_the_request_and_who_asks_and_its_answer_goes_back() {
    let (mut net, a, b) = two();
    ask(&mut net, a, b"echo", b"hello");
    net.run(Duration::from_millis(200));
    let events = net.events(b);
    let request = events.iter().find_map(|it| match it {
        Output::TalkRequest { id, from, addr, protocol, request } => {
            assert_eq!((from, addr), (&super::id(A), &a));
            assert_eq!((&protocol[..], &request[..]), (&b"echo"[..], &b"hello"[..]));
            Some(*id)
        }
        _ => None,
    });
    let id = request.expect("a request");
    net.input(b, Input::TalkResponse { id, response: b"world".to_vec() });
    net.run(Duration::from_millis(100));
    assert_eq!(answer(&mut net, a), Some(Some(b"world".to_vec())));
    // A second answer is nobody's.
    let sent = net.v5(b).stats().sent;
    net.input(b, Input::TalkResponse { id, response: b"again".to_vec() });
    assert_eq!(net.v5(b).stats().sent, sent);
}

#[test]
fn an_unknown_protocol_is_answered_with_nothing_and_silence_is_told() {
    let (mut net, a, b) = two();
    ask(&mut net, a, b"other", b"hello");
    net.run(seconds(1));
    assert_eq!(answer(&mut net, a), Some(Some(Vec::new())));
    let protocol = b"echo".to_vec();
    net.command(b, Command::SetTalkProtocol { protocol, has_handler: false });
    ask(&mut net, a, b"echo", b"hello");
    net.run(seconds(1));
    assert_eq!(answer(&mut net, a), Some(Some(Vec::new())));
    net.down.insert(b);
    ask(&mut net, a, b"echo", b"hello");
    net.run(seconds(3));
    assert_eq!(answer(&mut net, a), Some(None));
}

#[test]
fn a_request_of_the_largest_size_gets_there_without_a_session_before() {
    let (mut net, a, b) = two();
    let request = vec![7; MAX_TALK_REQUEST - 4];
    ask(&mut net, a, b"echo", &request);
    net.run(Duration::from_millis(500));
    let [(id, heard)] = &asked(&mut net, b)[..] else { panic!("no request") };
    assert_eq!(heard, &request);
    net.input(b, Input::TalkResponse { id: *id, response: vec![8; MAX_TALK_RESPONSE] });
    net.run(Duration::from_millis(100));
    assert_eq!(answer(&mut net, a), Some(Some(vec![8; MAX_TALK_RESPONSE])));
    // What is longer is not sent, and an answer that is longer is an empty one.
    ask(&mut net, a, b"echo", &vec![7; MAX_TALK_REQUEST - 3]);
    assert_eq!(answer(&mut net, a), Some(None));
    ask(&mut net, a, b"echo", b"");
    net.run(Duration::from_millis(100));
    let [(id, _)] = asked(&mut net, b)[..] else { panic!("no request") };
    net.input(b, Input::TalkResponse { id, response: vec![8; MAX_TALK_RESPONSE + 1] });
    net.run(Duration::from_millis(100));
    assert_eq!(answer(&mut net, a), Some(Some(Vec::new())));
}

#[test]
fn an_answer_that_comes_late_is_lost() {
    let (mut net, a, b) = two();
    ask(&mut net, a, b"echo", b"hello");
    net.run(Duration::from_millis(200));
    let first = asked(&mut net, b)[0].0;
    net.run(Duration::from_millis(900));
    let sent = net.v5(b).stats().sent;
    net.input(b, Input::TalkResponse { id: first, response: b"late".to_vec() });
    assert_eq!(net.v5(b).stats().sent, sent);
}

#[test]
fn what_waits_for_handlers_is_bounded_for_each_address_and_in_all() {
    let mut net = Net::of(&[Version::V5]);
    let a = (A, public(A));
    net.start(A, a.1, Vec::new());
    let protocol = b"slow".to_vec();
    net.command(a.1, Command::SetTalkProtocol { protocol, has_handler: true });
    let mut talkers = Vec::new();
    for n in 0..20 {
        let mut tester = Tester::new(50 + n, public(50 + n));
        assert!(is_pong(&tester.introduce(&mut net, a, &ping(1)), 1));
        talkers.push(tester);
    }
    net.events.clear();
    let mut each = Vec::new();
    for tester in &mut talkers {
        for n in 0..30 {
            let id = request(n);
            let ask = Message::TalkRequest { id, protocol: b"slow", request: b"x" };
            tester.say(&mut net, a, &ask);
        }
        net.run(LATENCY);
        each.push(asked(&mut net, a.1).len());
    }
    // 16 of each address, until there are 256.
    assert_eq!(each, [&[16; 16][..], &[0; 4]].concat());
}
