//! Sessions: made by either side, lost by one, made by both at once, moved and replayed.

use super::*;
use crate::v5::DropReason;

const A: u32 = 1;
const B: u32 = 2;

fn ping_node(net: &mut Net, from: SocketAddr, to: (u32, SocketAddr)) -> bool {
    let node = node(to.0, to.1);
    net.command(from, Command::Ping { version: None, id: QUERY, node });
    net.run(seconds(3));
    net.events(from).iter().any(|it| matches!(it, Output::Pong { id: QUERY, .. }))
}

fn two() -> (Net, SocketAddr, SocketAddr) {
    let mut net = Net::of(&[Version::V5]);
    for n in [A, B] {
        net.start(n, public(n), Vec::new());
    }
    (net, public(A), public(B))
}

#[test]
fn a_session_that_one_side_has_lost_is_made_anew_within_the_same_request() {
    let (mut net, a, b) = two();
    assert!(ping_node(&mut net, a, (B, b)));
    // B begins anew, and knows nothing of A.
    net.start(B, b, Vec::new());
    assert_eq!(net.v5(b).sessions(), 0);
    let before = net.v5(a).stats().timeouts;
    assert!(ping_node(&mut net, a, (B, b)));
    assert_eq!(net.v5(b).stats().handshakes, 1);
    assert_eq!(net.v5(a).stats().timeouts, before);
}

#[test]
fn both_may_shake_hands_at_once_and_both_are_answered_at_once() {
    let (mut net, a, b) = two();
    for (from, to) in [(a, (B, b)), (b, (A, a))] {
        let node = node(to.0, to.1);
        net.command(from, Command::Ping { version: None, id: QUERY, node });
    }
    net.run(Duration::from_millis(500));
    for at in [a, b] {
        let events = net.events(at);
        assert!(events.iter().any(|it| matches!(it, Output::Pong { .. })), "{events:?}");
        assert_eq!(net.v5(at).stats().timeouts, 0);
    }
    // And they go on to understand each other.
    for _ in 0..3 {
        assert!(ping_node(&mut net, a, (B, b)) && ping_node(&mut net, b, (A, a)));
    }
    assert_eq!((net.v5(a).stats().timeouts, net.v5(b).stats().timeouts), (0, 0));
}

#[test]
fn questions_wait_for_the_one_handshake_and_are_all_answered() {
    let (mut net, a, b) = two();
    for n in 0..10 {
        let node = node(B, b);
        net.command(a, Command::Ping { version: None, id: QueryId(n), node });
    }
    // One packet that nobody can open, and no more until that was answered.
    assert_eq!(net.v5(a).stats().sent, 1);
    net.run(seconds(1));
    let events = net.events(a);
    let pongs = events.iter().filter(|it| matches!(it, Output::Pong { .. })).count();
    assert_eq!((pongs, net.v5(b).stats().handshakes), (10, 1));
}

#[test]
fn nobody_at_the_other_end_fails_all_questions_after_one_retry() {
    let mut net = Net::of(&[Version::V5]);
    net.start(A, public(A), Vec::new());
    for n in 0..5 {
        let node = node(B, public(B));
        net.command(public(A), Command::Ping { version: None, id: QueryId(n), node });
    }
    net.run(Duration::from_millis(2100));
    let events = net.events(public(A));
    let failed = events.iter().filter(|it| matches!(it, Output::PingFailed { .. })).count();
    assert_eq!((failed, net.v5(public(A)).stats().sent, net.v5(public(A)).pending()), (5, 2, 0));
}

#[test]
fn a_lost_handshake_is_made_again() {
    let (mut net, a, b) = two();
    net.command(a, Command::Ping { version: None, id: QUERY, node: node(B, b) });
    // Until the challenge is back; what A answers is lost.
    net.run(LATENCY + Duration::from_millis(5));
    net.run(Duration::from_millis(4));
    net.down.insert(b);
    net.run(Duration::from_millis(10));
    net.down.remove(&b);
    assert_eq!(net.v5(b).stats().handshakes, 0);
    net.run(seconds(3));
    let events = net.events(a);
    assert!(events.iter().any(|it| matches!(it, Output::Pong { .. })), "{events:?}");
}

#[test]
fn a_packet_that_comes_twice_is_answered_once() {
    let mut net = Net::of(&[Version::V5]);
    let a = (A, public(A));
    net.start(A, a.1, Vec::new());
    let mut tester = Tester::new(50, public(50));
    let nonce = tester.probe(&mut net, a);
    let heard = tester.read(&mut net, 2 * LATENCY);
    let [Heard::WhoAreYou { data, .. }] = &heard[..] else { panic!("{heard:?}") };
    let handshake = tester.shake(&mut net, a, data, &ping(1));
    assert!(is_pong(&tester.hear(&mut net), 1), "{nonce:?}");
    // The handshake again: no challenge waits for it.
    net.send(tester.addr, a.1, handshake);
    assert!(tester.read(&mut net, READ_WAIT).is_empty());
    assert_eq!(net.v5(a.1).stats().dropped(DropReason::Unsolicited), 1);
    // A message again.
    let message = tester.say(&mut net, a, &ping(2));
    assert!(is_pong(&tester.hear(&mut net), 2));
    net.send(tester.addr, a.1, message);
    assert!(tester.read(&mut net, READ_WAIT).is_empty());
    assert_eq!(net.v5(a.1).stats().dropped(DropReason::Replayed), 1);
}

#[test]
fn a_node_that_moves_shakes_hands_again_and_is_known_at_its_new_place() {
    let mut net = Net::of(&[Version::V5]);
    let a = (A, public(A));
    net.start(A, a.1, Vec::new());
    let mut tester = Tester::new(50, public(50));
    assert!(is_pong(&tester.introduce(&mut net, a, &ping(1)), 1));
    net.run(seconds(2));
    tester.read(&mut net, Duration::ZERO);
    tester.addr = public(51);
    tester.record = record(&secret(50), 2, Some(&public(51).to_string()));
    tester.say(&mut net, a, &ping(2));
    let heard = tester.read(&mut net, 2 * LATENCY);
    let [Heard::WhoAreYou { data, seq, .. }] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!(*seq, 1, "the record is known");
    let rlp = tester.record.encode();
    tester.shake_with(&mut net, a, data, &rlp, &ping(2));
    assert!(is_pong(&tester.hear(&mut net), 2));
    net.run(Duration::from_millis(900));
    let entry = net.v5(a.1).table().get(&tester.id()).unwrap();
    assert_eq!((entry.endpoint(), entry.seq()), (public(51), 2));
    assert_eq!(net.v5(a.1).sessions(), 2);
}

#[test]
fn one_network_with_many_keys_pushes_out_no_sessions_but_its_own() {
    let mut net = Net::of(&[Version::V5]);
    let a = (A, public(A));
    net.start(A, a.1, Vec::new());
    let mut friend = Tester::new(50, public(50));
    assert!(is_pong(&friend.introduce(&mut net, a, &ping(1)), 1));
    for n in 0..200 {
        let addr = SocketAddr::from(([11, 200, 0, (n % 250) as u8], 30_000 + n as u16));
        let mut stranger = Tester::new(1000 + n, addr);
        assert!(is_pong(&stranger.introduce(&mut net, a, &ping(1)), 1), "{n}");
    }
    assert_eq!(net.v5(a.1).sessions(), 65);
    assert!(is_pong(&friend.exchange(&mut net, a, &ping(2)), 2));
}
