//! Peers that do wrong: each has a fault of its own, and is told the reason where there are keys.

use peerage_machine::Random;

use super::{
    pair::{Side, config, key},
    raw::Raw,
};
use crate::*;

/// What becomes of a recipient that gets `auth` first.
fn after_auth(auth: Vec<u8>) -> Option<Fault> {
    let mut victim = Side::new(config(2, &[]), Role::Recipient, 1);
    victim.wire = auth;
    while victim.read(Default::default()) {}
    assert!(
        victim.take_outgoing(Default::default()).is_empty(),
        "there are no keys to answer with"
    );
    victim.fault()
}

#[test]
fn hostile_handshakes_end_without_an_answer() {
    let auth =
        |to: u8| Initiator::start(&key(1), key(to).public(), &mut Random::from_seed([5; 32])).1;
    let with = |at: usize, byte: u8| {
        let mut auth = auth(2);
        auth[at] = byte;
        auth
    };
    let off_curve = {
        let mut auth = auth(2);
        auth[3..67].fill(1);
        auth
    };
    let last = auth(2).len() - 1;
    let flipped = auth(2)[last] ^ 1;
    let rows = [
        ("a point off the curve", off_curve, PeerMisbehaved::NotOnCurve),
        ("a ciphertext too short", vec![0, 60], PeerMisbehaved::HandshakeSize(60)),
        ("an empty packet", vec![0, 0], PeerMisbehaved::HandshakeSize(0)),
        ("a packet too long", vec![8, 1], PeerMisbehaved::HandshakeSize(2049)),
        ("a wrong tag", with(last, flipped), PeerMisbehaved::BadHandshake),
        ("a packet to somebody else", auth(3), PeerMisbehaved::BadHandshake),
    ];
    for (what, auth, fault) in rows {
        assert_eq!(after_auth(auth), Some(fault.into()), "{what}");
    }
}

#[test]
fn an_initiator_bears_hostile_acks() {
    let b = config(2, &[]);
    let role = Role::Initiator { remote: *b.key.public() };
    for (ack, fault) in [
        (vec![0, 0], PeerMisbehaved::HandshakeSize(0)),
        ([vec![1, 0, 4], vec![1; 0x100]].concat(), PeerMisbehaved::NotOnCurve),
    ] {
        let mut victim = Side::new(config(1, &[]), role, 1);
        victim.wire = ack;
        while victim.read(Default::default()) {}
        assert_eq!(victim.fault(), Some(fault.into()));
        assert_eq!(victim.connection.remote(), Some(b.key.public()));
        // The auth was never taken, and must not keep the driver busy.
        assert!(victim.connection.outgoing().is_empty());
        assert_eq!(victim.connection.poll_timeout(), None);
    }
}

/// Asserts what the victim found, and what it told the peer.
fn assert_ends(what: &str, mut raw: Raw, fault: Fault, reason: DisconnectReason) {
    assert_eq!(raw.victim.connection.fault(), Some(fault), "{what}");
    assert_eq!(raw.victim.fault(), None, "{what}: the reason is still to be written");
    let seen = raw.victim.seen.len();
    // Nothing more is delivered, whatever comes.
    raw.send(0x10, b"more");
    raw.send(0x00, b"more");
    assert_eq!(raw.victim.seen.len(), seen, "{what}");
    raw.listen();
    let told: Vec<_> = raw.heard.iter().filter(|(code, _)| *code == 0x01).collect();
    let payload = vec![0xc1, reason.code()];
    assert_eq!(told, [&(0x01, payload)], "{what}: as it was heard");
    assert_eq!(raw.victim.fault(), Some(fault), "{what}");
}

fn hello_with(change: impl FnOnce(&mut Hello)) -> Vec<u8> {
    let mut hello = Raw::hello(5);
    change(&mut hello);
    let mut payload = Vec::new();
    hello.encode(&mut payload);
    payload
}

/// A Hello whose frame is `size` bytes large, message id included.
fn hello_of(size: usize) -> Vec<u8> {
    let overhead = hello_with(|hello| hello.client = "x".repeat(1000)).len() - 1000 + 1;
    let payload = hello_with(|hello| hello.client = "x".repeat(size - overhead));
    assert_eq!(1 + payload.len(), size);
    payload
}

#[test]
fn hostile_hellos_end_with_their_reason() {
    use DisconnectReason as Reason;
    let rows: Vec<(&str, u64, Vec<u8>, Fault, Reason)> = vec![
        (
            "a Hello of 2,049 bytes",
            0x00,
            hello_of(2049),
            PeerMisbehaved::FrameTooLarge { size: 2049, limit: 2048 }.into(),
            Reason::BreachOfProtocol,
        ),
        (
            "a giant frame",
            0x00,
            vec![0; 0xff_fff0],
            PeerMisbehaved::FrameTooLarge { size: 0xff_fff1, limit: 2048 }.into(),
            Reason::BreachOfProtocol,
        ),
        (
            "a Hello that is none",
            0x00,
            vec![0xc1, 0x05],
            PeerMisbehaved::BadHello.into(),
            Reason::BreachOfProtocol,
        ),
        (
            "a ping before Hello",
            0x02,
            vec![0xc0],
            PeerMisbehaved::UnexpectedBeforeHello(0x02).into(),
            Reason::BreachOfProtocol,
        ),
        (
            "a version that is too old",
            0x00,
            hello_with(|hello| hello.version = 3),
            Fault::PeerIncompatible(PeerIncompatible::Version(3)),
            Reason::IncompatibleVersion,
        ),
        (
            "the identity of somebody else",
            0x00,
            hello_with(|hello| hello.identity = *key(7).public()),
            PeerMisbehaved::UnexpectedIdentity.into(),
            Reason::UnexpectedIdentity,
        ),
        (
            "no identity",
            0x00,
            [&[0xf8, 0x46, 0x05, 0x80, 0xc0, 0x80, 0xb8, 0x40][..], &[0; 64]].concat(),
            PeerMisbehaved::InvalidIdentity.into(),
            Reason::InvalidIdentity,
        ),
    ];
    for (what, code, payload, fault, reason) in rows {
        let mut raw = Raw::greeted();
        raw.send(code, &payload);
        raw.snappy = hello::version(&payload).is_some_and(|version| version >= 5)
            && !matches!(fault, Fault::PeerMisbehaved(PeerMisbehaved::FrameTooLarge { .. }));
        assert_ends(what, raw, fault, reason);
    }
}

#[test]
fn a_frame_that_is_too_large_is_refused_before_its_body_is_there() {
    let mut raw = Raw::greeted();
    let frame = raw.frame(0x00, &hello_of(2049));
    raw.send_bytes(&frame[..32]);
    assert_eq!(
        raw.victim.connection.fault(),
        Some(PeerMisbehaved::FrameTooLarge { size: 2049, limit: 2048 }.into())
    );
}

#[test]
fn a_hello_of_2048_bytes_is_welcome() {
    let mut raw = Raw::greeted();
    raw.send(0x00, &hello_of(2048));
    assert!(raw.victim.connection.is_open());
}

/// Snappy data that says it becomes `length` bytes.
fn bomb(length: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = length;
    while rest >= 0x80 {
        bytes.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    bytes.push(rest.to_le_bytes()[0]);
    bytes.extend([0xfe; 100]);
    bytes
}

#[test]
fn hostile_messages_end_with_their_reason() {
    // Rows that need bytes which snappy would not write are sealed by an egress without snappy.
    let rows: Vec<(&str, bool, u64, Vec<u8>, PeerMisbehaved)> = vec![
        ("a second Hello", true, 0x00, hello_with(|_| ()), PeerMisbehaved::SecondHello),
        ("an id out of range", true, 0x14, vec![], PeerMisbehaved::OutOfRange(0x14)),
        ("a huge id", true, u64::MAX, vec![], PeerMisbehaved::OutOfRange(u64::MAX)),
        ("a snappy bomb", false, 0x10, bomb(1 << 24), PeerMisbehaved::SnappyBomb(1 << 24)),
        ("a bomb below the limit", false, 0x10, bomb(0xff_ffff), PeerMisbehaved::BadSnappy),
        ("no snappy", false, 0x10, vec![0xff; 9], PeerMisbehaved::BadSnappy),
        ("no snappy in a ping", false, 0x02, vec![0xc0; 3], PeerMisbehaved::BadSnappy),
    ];
    for (what, snappy, code, payload, fault) in rows {
        let mut raw = Raw::greeted();
        raw.send(0x00, &hello_with(|_| ()));
        raw.snappy = true;
        if snappy {
            raw.egress.enable_snappy();
        }
        raw.send(code, &payload);
        assert_ends(what, raw, fault.into(), DisconnectReason::BreachOfProtocol);
    }
}

#[test]
fn a_wrong_mac_ends_with_its_reason() {
    // header, header MAC, body, body MAC of a frame with 16 bytes of body
    for (at, fault) in [
        (0, PeerMisbehaved::BadHeaderMac),
        (16, PeerMisbehaved::BadHeaderMac),
        (32, PeerMisbehaved::BadFrameMac),
        (63, PeerMisbehaved::BadFrameMac),
    ] {
        let mut raw = Raw::open(5);
        let mut frame = raw.frame(0x10, b"message");
        frame[at] ^= 0x40;
        raw.send_bytes(&frame);
        let what = format!("byte {at} changed");
        assert_ends(&what, raw, fault.into(), DisconnectReason::BreachOfProtocol);
    }
}

#[test]
fn a_flood_of_pings_ends_with_its_reason() {
    let mut raw = Raw::open(5);
    for _ in 0..129 {
        raw.send(0x02, &[0xc0]);
    }
    let fault = PeerMisbehaved::PingFlood.into();
    assert_ends("129 pings", raw, fault, DisconnectReason::BreachOfProtocol);
}

#[test]
fn messages_before_a_fault_in_the_same_read_are_delivered_and_none_after_it() {
    let mut raw = Raw::open(5);
    let frames: Vec<u8> =
        [0x10, 0x11, 0x20, 0x12].into_iter().flat_map(|code| raw.frame(code, b"")).collect();
    raw.send_bytes(&frames);
    assert_eq!(raw.victim.messages(), [(0, 0, &b""[..]), (0, 1, b"")]);
    assert_eq!(raw.victim.connection.fault(), Some(PeerMisbehaved::OutOfRange(0x20).into()));
}

#[test]
fn what_a_stranger_sends_early_stays_on_the_wire() {
    let mut raw = Raw::greeted();
    raw.victim.decides = false;
    let hello = raw.frame(0x00, &hello_with(|_| ()));
    raw.egress.enable_snappy();
    let message = raw.frame(0x10, &[0; 100_000]);
    let before = raw.victim.read;
    raw.send_bytes(&[hello.clone(), message].concat());
    assert_eq!(raw.victim.read - before, hello.len());
    assert!(raw.victim.is_ready());
}
