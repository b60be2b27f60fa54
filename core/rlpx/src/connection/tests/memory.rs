//! What a peer makes us hold.

use std::sync::Arc;

use peerage_machine::{Now, Random};
use peerage_node::SecretKey;
use proptest::prelude::*;

use super::pair::{capability, config, key};
use crate::{connection::State, *};

/// Cheap keys, as nothing here depends on what they cost.
fn stand_in(byte: u8) -> SecretKey {
    SecretKey::stand_in_from_bytes(&[byte; 32]).unwrap()
}

/// A name like those of real clients, so that our Hello is as large.
fn victim(role: Role) -> Connection {
    let config = Config {
        key: stand_in(2),
        client: "peerage/v0.1.0-0123456789abcdef/x86_64-linux".repeat(4),
        ..(*config(2, &[capability("aaa", 1, 4), capability("bbb", 1, 4)])).clone()
    };
    let mut connection = Connection::new(Arc::new(config), role, Now::default(), [7; 32]);
    check(&mut connection);
    connection
}

/// Feeds a stranger's bytes in pieces of these sizes, nothing of ours ever taken; checks after
/// each.
fn feed(connection: &mut Connection, mut bytes: &[u8], pieces: &[usize]) {
    let mut pieces = pieces.iter().cycle();
    while !bytes.is_empty() && connection.read_budget() > 0 {
        let piece = *pieces.next().unwrap();
        let n = piece.min(connection.read_budget()).min(bytes.len());
        let (piece, rest) = bytes.split_at(n);
        let (mut piece, mut payload) = (piece.to_vec(), Vec::new());
        let mut input = &mut piece[..];
        while let Some(event) = connection.receive(Now::default(), &mut input, &mut payload) {
            on_event(connection, event);
        }
        bytes = rest;
        check(connection);
    }
}

/// Runs the steps that are due, and looks at what is held.
fn check(connection: &mut Connection) {
    measure(connection);
    while let Some(event) = connection.poll_event() {
        on_event(connection, event);
        measure(connection);
    }
}

fn on_event(connection: &mut Connection, event: Event) {
    if let Event::Step(step) = event {
        connection.handle_step(Now::default(), step.run());
    }
}

fn measure(connection: &Connection) {
    let (buffers, most) = connection.buffers();
    assert!(buffers <= most, "{buffers} bytes");
    assert!(connection.memory() <= Connection::MAX_UNADMITTED, "{}", connection.memory());
}

/// A Hello of 2,048 bytes, the largest there may be, behind an auth: what costs most.
fn largest_hello(connection: &mut Connection, pieces: &[usize]) {
    let mut random = Random::from_seed([3; 32]);
    let (initiator, auth) = Initiator::start(&stand_in(9), key(2).public(), &mut random);
    feed(connection, &auth, pieces);
    let written = connection.outgoing().to_vec();
    let ack = 2 + packet_size([written[0], written[1]]).unwrap();
    let (mut egress, _) = initiator.finish(&stand_in(9), &written[..ack]).unwrap().split();
    connection.admit(Now::default());
    check(connection);
    let (mut client, mut payload, mut frame) = (String::new(), Vec::new(), Vec::new());
    while payload.len() < 2047 {
        let hello = Hello {
            version: 5,
            client: client.clone(),
            capabilities: vec![capability("aaa", 1, 4).capability; 20],
            listen_port: 0,
            identity: *key(9).public(),
        };
        payload.clear();
        hello.encode(&mut payload);
        client.push('x');
    }
    egress.seal(0, &payload, &mut frame).unwrap();
    feed(connection, &frame, pieces);
    assert!(matches!(connection.state, State::Ready { .. }));
}

#[test]
fn the_largest_hello_in_any_pieces_costs_no_more_than_4_kib() {
    for pieces in [&[1][..], &[7], &[1000, 1], &[1 << 20]] {
        largest_hello(&mut victim(Role::Recipient), pieces);
    }
}

#[test]
fn the_largest_handshake_packet_costs_no_more_than_4_kib() {
    let packet = [vec![8, 0], vec![4; 2048]].concat();
    for role in [Role::Recipient, Role::Initiator { remote: *key(9).public() }] {
        for pieces in [&[1][..], &[7], &[1000, 1], &[1 << 20]] {
            feed(&mut victim(role), &packet[..2049], pieces);
            feed(&mut victim(role), &packet, pieces);
        }
    }
}

#[test]
fn memory_counts_what_waits_for_a_peer_that_does_not_read() {
    let mut raw = super::raw::Raw::open(5);
    raw.listen();
    let before = raw.victim.connection.memory();
    let noise: Vec<u8> = (0..100_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
    raw.victim.connection.send(raw.now, 0, 0, &noise).unwrap();
    let queued = raw.victim.connection.queued();
    assert!(raw.victim.connection.memory() >= before + queued);
    raw.victim.take_outgoing(raw.now);
    raw.victim.connection.release();
    assert!(raw.victim.connection.memory() <= before);
}

#[test]
fn a_closed_connection_holds_nothing() {
    let mut connection = victim(Role::Recipient);
    assert!(connection.receive_eof(Now::default()).is_some());
    check(&mut connection);
    connection.release();
    assert_eq!(connection.memory(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_unadmitted_peer_costs_no_more_than_4_kib_whatever_it_sends(
        initiator: bool,
        bytes in proptest::collection::vec(any::<u8>(), 0..5000),
        size in 200u16..2049,
        pieces in proptest::collection::vec(1usize..600, 1..5),
    ) {
        let role =
            if initiator { Role::Initiator { remote: *key(9).public() } } else { Role::Recipient };
        feed(&mut victim(role), &[&size.to_be_bytes()[..], &bytes].concat(), &pieces);
        feed(&mut victim(role), &bytes, &pieces);
    }

    #[test]
    fn any_hello_in_any_pieces_costs_no_more_than_4_kib(
        pieces in proptest::collection::vec(1usize..2100, 1..5),
    ) {
        largest_hello(&mut victim(Role::Recipient), &pieces);
    }
}

#[test]
fn the_fixed_size_of_an_unadmitted_connection_is_small() {
    const { assert!(Connection::MAX_UNADMITTED < 2 * 4096) };
}
