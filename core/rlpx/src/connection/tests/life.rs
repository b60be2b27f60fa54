//! Connections between peers that do right.

use std::time::Duration;

use proptest::prelude::*;

use super::{
    pair::{Pair, Seen, capability, config, key},
    raw::Raw,
};
use crate::{connection::State, *};

#[test]
fn both_ends_learn_who_the_other_is_and_what_it_speaks() {
    let pair = Pair::open();
    let Seen::Identified(b) = &pair.a.seen[0] else { panic!("{:?}", pair.a.seen) };
    let Seen::Ready(hello) = &pair.b.seen[1] else { panic!("{:?}", pair.b.seen) };
    assert_eq!(b, key(2).public());
    assert_eq!((hello.version, &hello.client[..]), (5, "test/1"));
    assert_eq!(pair.b.connection.remote(), Some(key(1).public()));
    let names: Vec<_> =
        pair.a.connection.shared().iter().map(|shared| shared.capability.to_string()).collect();
    assert_eq!(names, ["aaa/2", "bbb/1"]);
    assert_eq!(pair.a.connection.shared()[1].local, 0);
}

#[test]
fn messages_arrive_as_they_were_sent_in_both_directions() {
    let mut pair = Pair::open();
    let large = vec![0x5a; 300_000];
    pair.a.connection.send(pair.now, 0, 3, b"hello").unwrap();
    pair.a.connection.send(pair.now, 1, 0, &large).unwrap();
    pair.a.connection.send(pair.now, 1, 1, b"").unwrap();
    pair.b.connection.send(pair.now, 0, 0, b"back").unwrap();
    pair.settle();
    assert_eq!(pair.b.messages(), [(0, 3, &b"hello"[..]), (1, 0, &large), (1, 1, b"")]);
    assert_eq!(pair.a.messages(), [(0, 0, &b"back"[..])]);
    assert!(pair.a.sent.len() < large.len() / 4, "payloads are compressed");
}

#[test]
fn ends_without_a_common_capability_are_ready_all_the_same() {
    let (a, b) = (config(1, &[]), config(2, &[capability("bbb", 1, 2)]));
    let mut pair = Pair::new();
    let role = Role::Initiator { remote: *b.key.public() };
    pair.a.connection = Connection::new(a, role, pair.now, [1; 32]);
    pair.b.connection = Connection::new(b, Role::Recipient, pair.now, [2; 32]);
    pair.a.poll(pair.now);
    pair.settle();
    assert!(pair.a.connection.is_open() && pair.a.connection.shared().is_empty());
}

#[test]
fn only_what_exists_can_be_sent_and_only_when_open() {
    let mut pair = Pair::new();
    let now = pair.now;
    assert_eq!(pair.a.connection.send(now, 0, 0, b""), Err(SendError::NotOpen));
    pair.settle();
    let a = &mut pair.a.connection;
    assert_eq!(a.send(now, 0, 4, b""), Err(SendError::OutOfRange { shared: 0, code: 4 }));
    assert_eq!(a.send(now, 2, 0, b""), Err(SendError::OutOfRange { shared: 2, code: 0 }));
    let large = vec![0; MAX_PAYLOAD + 1];
    assert_eq!(a.send(now, 0, 0, &large), Err(SendError::TooLarge(large.len())));
    assert_eq!(a.queued(), 0);
    assert_eq!(a.send(now, 0, 0, b"still in step"), Ok(()));
    pair.settle();
    assert_eq!(pair.b.messages(), [(0, 0, &b"still in step"[..])]);
}

#[test]
fn nothing_is_read_while_a_verdict_is_awaited() {
    let mut pair = Pair::new();
    pair.b.decides = false;
    pair.settle();
    assert!(matches!(pair.b.seen[..], [Seen::Identified(_)]));
    assert!(!pair.b.wire.is_empty(), "the initiator's Hello waits");
    assert_eq!(pair.b.connection.read_budget(), 0);
    pair.b.connection.admit(pair.now);
    pair.settle();
    // The initiator is open by now, and sends at once.
    pair.a.connection.send(pair.now, 0, 0, b"eager").unwrap();
    pair.settle();
    assert!(matches!(pair.b.seen[..], [Seen::Identified(_), Seen::Ready(_)]));
    assert_eq!(pair.b.connection.read_budget(), 0);
    assert!(!pair.b.wire.is_empty(), "the message waits on the wire");
    pair.b.connection.admit(pair.now);
    pair.settle();
    assert_eq!(pair.b.messages(), [(0, 0, &b"eager"[..])]);
}

#[test]
#[should_panic(expected = "bytes were read, of 2")]
fn a_driver_that_reads_too_much_is_told_so() {
    let mut pair = Pair::new();
    let mut bytes = [0; 3];
    pair.b.connection.receive(pair.now, &mut &mut bytes[..], &mut Vec::new());
}

#[test]
fn base_messages_that_are_not_defined_are_ignored() {
    let mut raw = Raw::open(5);
    for code in 0x04..0x10 {
        raw.send(code, b"whatever");
    }
    raw.send(0x12, b"after them");
    assert_eq!(raw.victim.messages(), [(0, 2, &b"after them"[..])]);
}

#[test]
fn a_peer_of_version_4_is_spoken_to_without_snappy() {
    let mut raw = Raw::open(4);
    raw.send(0x10, b"plain");
    assert_eq!(raw.victim.messages(), [(0, 0, &b"plain"[..])]);
    raw.victim.connection.send(raw.now, 0, 1, &[0; 100]).unwrap();
    raw.listen();
    assert_eq!(raw.heard, [(0x11, vec![0; 100])]);
}

#[test]
fn pings_are_answered_once_until_the_answer_has_left() {
    let mut raw = Raw::open(5);
    for _ in 0..50 {
        raw.send(0x02, &[0xc0]);
    }
    raw.listen();
    assert_eq!(raw.heard, [(0x03, vec![0xc0])]);
    raw.send(0x02, &[0xc0]);
    raw.listen();
    assert_eq!(raw.heard.len(), 2);
}

#[test]
fn pings_measure_the_round_trip() {
    let mut pair = Pair::open();
    assert_eq!(pair.a.connection.round_trip(), None);
    assert_eq!(pair.a.connection.poll_timeout(), Some(pair.now.mono + Duration::from_secs(15)));
    pair.wait(Duration::from_secs(15));
    pair.a.tick(pair.now);
    let Pair { a, b, now } = &mut pair;
    a.write(*now, b);
    b.read(*now);
    pair.wait(Duration::from_millis(70));
    pair.settle();
    assert_eq!(pair.a.connection.round_trip(), Some(Duration::from_millis(70)));
    assert_eq!(pair.a.messages(), []);
}

#[test]
fn an_idle_connection_holds_no_buffers_and_works_again() {
    let mut pair = Pair::open();
    for round in 0..2 {
        pair.a.connection.send(pair.now, 0, round, &vec![7; 100_000]).unwrap();
        pair.settle();
        pair.a.connection.release();
        pair.b.connection.release();
        assert!(pair.a.connection.outgoing().is_empty());
    }
    assert_eq!(pair.b.messages().len(), 2);
    let connection = &pair.a.connection;
    let held = size_of::<Connection>() + connection.memory();
    // Two ciphers and two MACs are most of it. The driver has the rest of 6 KiB.
    assert!(held <= 2048, "an idle connection takes {held} bytes");
    assert_eq!(connection.memory(), connection.boxed() + size_of_val(connection.shared()));
    assert!(matches!(connection.state, State::Open(_)));
}

/// A conversation whose streams have a bit of everything. Returns what both ends saw.
fn conversation(cuts: [Vec<usize>; 2]) -> (Pair, [Vec<Seen>; 2]) {
    let mut pair = Pair::new();
    [pair.a.cuts, pair.b.cuts] = cuts;
    pair.settle();
    pair.a.connection.send(pair.now, 0, 1, b"one").unwrap();
    pair.a.connection.send(pair.now, 1, 0, &[0x77; 90]).unwrap();
    pair.b.connection.send(pair.now, 0, 2, b"").unwrap();
    pair.b.connection.send(pair.now, 1, 1, b"two").unwrap();
    pair.settle();
    pair.b.connection.disconnect(pair.now, DisconnectReason::ClientQuitting);
    pair.settle();
    let seen = [pair.a.seen.clone(), pair.b.seen.clone()];
    (pair, seen)
}

#[test]
fn every_split_of_either_stream_gives_the_same_trace() {
    let (whole, expected) = conversation([Vec::new(), Vec::new()]);
    assert_eq!(expected.each_ref().map(Vec::len), [5, 5], "{expected:?}");
    let most = whole.a.sent.len().max(whole.b.sent.len());
    for cut in 1..most {
        let (pair, seen) = conversation([vec![cut], vec![cut]]);
        assert_eq!(seen, expected, "split at {cut}");
        assert_eq!((pair.a.sent, pair.b.sent), (whole.a.sent.clone(), whole.b.sent.clone()));
    }
}

#[test]
fn byte_by_byte_gives_the_same_trace() {
    let every: Vec<usize> = (1..3000).collect();
    let (_, expected) = conversation([Vec::new(), Vec::new()]);
    assert_eq!(conversation([every.clone(), every]).1, expected);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn random_splits_give_the_same_trace(
        a in proptest::collection::btree_set(1usize..1500, 0..40),
        b in proptest::collection::btree_set(1usize..1500, 0..40),
    ) {
        let (_, expected) = conversation([Vec::new(), Vec::new()]);
        let cuts = [a.into_iter().collect(), b.into_iter().collect()];
        prop_assert_eq!(conversation(cuts).1, expected);
    }
}

#[test]
fn a_connection_can_be_sent_to_another_thread() {
    fn sendable<T: Send>(_: &T) {}
    sendable(&Pair::open().a.connection);
}

#[test]
fn debug_shows_no_key() {
    let shown = format!("{:?}", Pair::open().a.connection);
    assert!(shown.contains("SecretKey(..)"));
    let secret = format!("{:?}", key(1).to_bytes());
    assert!(!shown.contains(secret.trim_matches(['[', ']'])));
}
