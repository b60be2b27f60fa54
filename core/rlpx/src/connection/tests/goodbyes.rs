//! How connections end when nobody did wrong.

use super::{
    pair::{Pair, end_of, local, remote},
    raw::Raw,
};
use crate::*;

#[test]
fn a_negative_first_verdict_reaches_the_peer_in_place_of_hello() {
    use DisconnectReason::TooManyPeers;
    // The initiator says no.
    let mut pair = Pair::new();
    pair.a.verdicts[0] = Some(TooManyPeers);
    pair.settle();
    assert_eq!(pair.faults(), (local(TooManyPeers), remote(TooManyPeers)));
    assert!(!pair.b.is_ready());
    // The recipient says no.
    let mut pair = Pair::new();
    pair.b.verdicts[0] = Some(TooManyPeers);
    pair.settle();
    assert_eq!(pair.faults(), (remote(TooManyPeers), local(TooManyPeers)));
    assert!(!pair.a.is_ready());
}

#[test]
fn a_negative_second_verdict_reaches_the_peer_after_hello() {
    use DisconnectReason::{AlreadyConnected, UselessPeer};
    let mut pair = Pair::new();
    pair.a.verdicts[1] = Some(UselessPeer);
    pair.settle();
    assert_eq!(pair.faults(), (local(UselessPeer), remote(UselessPeer)));
    assert!(pair.b.is_ready());
    let mut pair = Pair::new();
    pair.b.verdicts[1] = Some(AlreadyConnected);
    pair.settle();
    assert_eq!(pair.faults(), (remote(AlreadyConnected), local(AlreadyConnected)));
}

#[test]
fn both_verdicts_may_be_negative_at_once() {
    use DisconnectReason::{ConnectedToSelf, TooManyPeers};
    for verdict in [0, 1] {
        let mut pair = Pair::new();
        pair.a.verdicts[verdict] = Some(ConnectedToSelf);
        pair.b.verdicts[verdict] = Some(TooManyPeers);
        pair.settle();
        // Each has ended it before it heard of the other's end, or heard it first.
        let (a, b) = pair.faults();
        assert!(a == local(ConnectedToSelf) || a == remote(TooManyPeers), "{a:?}");
        assert!(b == local(TooManyPeers) || b == remote(ConnectedToSelf), "{b:?}");
    }
}

#[test]
fn what_was_sent_before_the_goodbye_arrives_before_it() {
    let mut pair = Pair::open();
    pair.a.connection.send(pair.now, 0, 0, b"last words").unwrap();
    pair.a.connection.disconnect(pair.now, DisconnectReason::Requested);
    assert_eq!(pair.a.connection.send(pair.now, 0, 0, b"too late"), Err(SendError::NotOpen));
    assert_eq!(pair.a.fault(), None, "it is closing until the goodbye is written");
    assert_eq!(pair.a.connection.fault(), local(DisconnectReason::Requested));
    pair.settle();
    assert_eq!(pair.b.messages(), [(0, 0, &b"last words"[..])]);
    assert_eq!(pair.faults().1, remote(DisconnectReason::Requested));
}

#[test]
fn a_received_disconnect_is_not_echoed_and_ends_it_at_once() {
    let mut pair = Pair::open();
    pair.b.connection.send(pair.now, 0, 0, b"never written").unwrap();
    pair.a.connection.disconnect(pair.now, DisconnectReason::ClientQuitting);
    let Pair { a, b, now } = &mut pair;
    a.write(*now, b);
    b.read(*now);
    assert_eq!(b.fault(), remote(DisconnectReason::ClientQuitting));
    assert!(b.connection.is_closed() && b.connection.outgoing().is_empty());
    assert_eq!(b.connection.remote(), Some(super::pair::key(1).public()));
}

#[test]
fn simultaneous_disconnects_leave_each_end_with_its_own_reason() {
    use DisconnectReason::{ClientQuitting, UselessPeer};
    let mut pair = Pair::open();
    pair.a.connection.disconnect(pair.now, UselessPeer);
    pair.b.connection.disconnect(pair.now, ClientQuitting);
    pair.a.connection.disconnect(pair.now, ClientQuitting);
    pair.settle();
    assert_eq!(pair.faults(), (local(UselessPeer), local(ClientQuitting)));
}

#[test]
fn every_form_of_disconnect_is_understood_at_every_stage() {
    use DisconnectReason as Reason;
    let rows: [(&[u8], Reason); 7] = [
        (&[0xc1, 0x04], Reason::TooManyPeers),
        (&[0x04], Reason::TooManyPeers),
        (&[0xc1, 0x80], Reason::Requested),
        (&[0x80], Reason::Requested),
        (&[], Reason::Requested),
        (&[0xc1, 0x10], Reason::SubprotocolReason),
        (&[0xff, 0xff, 0xff], Reason::Other(0xff)),
    ];
    for (payload, reason) in rows {
        let mut raw = Raw::greeted();
        raw.send(0x01, payload);
        assert_eq!(raw.victim.fault(), remote(reason), "{payload:x?} in place of Hello");

        for version in [4, 5] {
            let mut raw = Raw::open(version);
            raw.send(0x01, payload);
            assert_eq!(raw.victim.fault(), remote(reason), "{payload:x?}, p2p version {version}");
        }

        // A peer that speaks version 5 and does not compress its Disconnect.
        let mut raw = Raw::greeted();
        let mut hello = Vec::new();
        Raw::hello(5).encode(&mut hello);
        raw.send(0x00, &hello);
        raw.send(0x01, payload);
        assert_eq!(raw.victim.fault(), remote(reason), "{payload:x?} never compressed");
    }
}

#[test]
fn a_transport_that_ends_without_a_word_is_lost() {
    let lost = Some(Fault::Local(LocalFault::Lost));
    let mut pair = Pair::new();
    assert_eq!(end_of(pair.b.connection.receive_eof(pair.now)), lost);
    assert_eq!(end_of(pair.b.connection.receive_eof(pair.now)), None);

    let mut pair = Pair::open();
    pair.a.connection.send(pair.now, 0, 0, b"in vain").unwrap();
    assert_eq!(end_of(pair.a.connection.receive_eof(pair.now)), lost);
    assert!(pair.a.connection.outgoing().is_empty());
}

#[test]
fn a_peer_that_hangs_up_its_half_still_gets_the_reason() {
    let mut pair = Pair::open();
    pair.b.connection.disconnect(pair.now, DisconnectReason::UselessPeer);
    assert_eq!(end_of(pair.b.connection.receive_eof(pair.now)), None);
    assert_eq!(pair.b.connection.read_budget(), 0);
    pair.settle();
    assert_eq!(
        pair.faults(),
        (remote(DisconnectReason::UselessPeer), local(DisconnectReason::UselessPeer))
    );

    // A second one means that writing failed, too.
    let mut pair = Pair::open();
    pair.b.connection.disconnect(pair.now, DisconnectReason::UselessPeer);
    assert_eq!(end_of(pair.b.connection.receive_eof(pair.now)), None);
    let fault = Fault::Local(LocalFault::Disconnected(DisconnectReason::UselessPeer));
    assert_eq!(end_of(pair.b.connection.receive_eof(pair.now)), Some(fault));
}

#[test]
fn without_keys_there_is_no_goodbye() {
    let mut pair = Pair::new();
    pair.a.connection.disconnect(pair.now, DisconnectReason::ClientQuitting);
    assert!(pair.a.connection.outgoing().is_empty());
    pair.a.poll(pair.now);
    assert_eq!(pair.a.fault(), local(DisconnectReason::ClientQuitting));
    assert_eq!(pair.a.connection.remote(), Some(super::pair::key(2).public()));
}

#[test]
fn verdicts_that_come_too_late_change_nothing() {
    let mut pair = Pair::open();
    pair.a.connection.admit(pair.now);
    assert!(pair.a.connection.is_open());
    pair.a.connection.disconnect(pair.now, DisconnectReason::Requested);
    pair.a.connection.admit(pair.now);
    pair.settle();
    assert_eq!(pair.a.fault(), local(DisconnectReason::Requested));
    pair.a.connection.admit(pair.now);
    pair.a.connection.disconnect(pair.now, DisconnectReason::Requested);
    pair.a.poll(pair.now);
    assert!(pair.a.connection.is_closed());
}
