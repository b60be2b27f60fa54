//! Connections with stand-in keys: the same life, and no way into a connection with a real one.

use std::sync::Arc;

use peerage_machine::Now;
use peerage_node::SecretKey;

use super::pair::{Pair, Seen, Side, capability, config};
use crate::*;

fn stand_in(byte: u8) -> SecretKey {
    SecretKey::stand_in_from_bytes(&[byte; 32]).unwrap()
}

/// An initiator with one key and a recipient with another.
fn pair(a: SecretKey, b: SecretKey) -> Pair {
    let with = |key| Arc::new(Config { key, ..(*config(1, &[capability("aaa", 2, 4)])).clone() });
    let role = Role::Initiator { remote: *b.public() };
    Pair {
        a: Side::new(with(a), role, 0xa),
        b: Side::new(with(b), Role::Recipient, 0xb),
        now: Now::default(),
    }
}

#[test]
fn stand_ins_connect_and_exchange_messages() {
    let mut pair = pair(stand_in(1), stand_in(2));
    pair.settle();
    assert!(pair.a.connection.is_open() && pair.b.connection.is_open());
    assert_eq!(pair.b.seen[0], Seen::Identified(*stand_in(1).public()));
    pair.a.connection.send(pair.now, 0, 3, b"hello").unwrap();
    pair.b.connection.send(pair.now, 0, 0, b"back").unwrap();
    pair.settle();
    assert_eq!(pair.b.messages(), [(0, 3, &b"hello"[..])]);
    assert_eq!(pair.a.messages(), [(0, 0, &b"back"[..])]);
}

#[test]
fn two_connections_of_the_same_stand_ins_share_no_secret() {
    let sent = |seed| {
        let mut pair = pair(stand_in(1), stand_in(2));
        pair.a = Side::new(
            Arc::new(Config { key: stand_in(1), ..(*config(1, &[])).clone() }),
            Role::Initiator { remote: *stand_in(2).public() },
            seed,
        );
        pair.settle();
        assert!(pair.a.connection.is_open());
        pair.b.sent
    };
    // The recipient drew the same twice; what it wrote differs all the same.
    let (one, other) = (sent(1), sent(2));
    assert_ne!(one[one.len() - 64..], other[other.len() - 64..]);
}

#[test]
fn a_real_recipient_refuses_a_stand_in_and_a_stand_in_a_real_initiator() {
    let real = |byte| SecretKey::from_bytes(&[byte; 32]).unwrap();
    for (a, b) in [(stand_in(1), real(2)), (real(1), stand_in(2))] {
        let mut pair = pair(a, b);
        pair.settle();
        assert_eq!(pair.b.seen, [Seen::Closed(PeerMisbehaved::BadHandshake.into())]);
    }
}
