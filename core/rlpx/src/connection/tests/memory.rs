//! What a peer makes us hold.

use std::sync::Arc;

use peerage_machine::{Machine, Now, Random};
use peerage_node::SecretKey;
use proptest::prelude::*;

use super::pair::{capability, config, key};
use crate::{
    connection::{Link, Session},
    *,
};

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
    Connection::new(Arc::new(config), role, Now::default(), [7; 32])
}

/// Feeds a stranger's bytes in pieces of these sizes, nothing of ours ever taken; checks after
/// each.
fn feed(connection: &mut Connection, mut bytes: &[u8], pieces: &[usize]) {
    let mut pieces = pieces.iter().cycle();
    while !bytes.is_empty() && connection.read_budget() > 0 {
        let piece = *pieces.next().unwrap();
        let n = piece.min(connection.read_budget()).min(bytes.len());
        let (now, rest) = bytes.split_at(n);
        connection.handle_input(Now::default(), Input::Bytes(&mut now.to_vec()));
        bytes = rest;
        check(connection);
    }
}

/// Drains the outputs, and returns what was written.
fn check(connection: &mut Connection) -> Vec<u8> {
    let mut written = Vec::new();
    while let Some(output) = connection.poll_output() {
        if let Output::Write(bytes) = output {
            written.extend(bytes);
        }
    }
    let buffers = connection.buffers();
    assert!(buffers <= MAX_UNADMITTED_BUFFER, "{buffers} bytes");
    assert!(connection.memory() <= Connection::MAX_UNADMITTED, "{}", connection.memory());
    written
}

/// A Hello of 2,048 bytes, the largest there may be, behind an auth: what costs most.
fn largest_hello(connection: &mut Connection, pieces: &[usize]) {
    let mut random = Random::from_seed([3; 32]);
    let (initiator, auth) = Initiator::start(&stand_in(9), key(2).public(), &mut random);
    let mut written = check(connection);
    feed(connection, &auth, pieces);
    // `feed` drains: the ack is what waits.
    written.extend(connection.outgoing());
    let ack = 2 + packet_size([written[0], written[1]]).unwrap();
    let (mut egress, _) = initiator.finish(&stand_in(9), &written[..ack]).unwrap().split();
    connection.handle_input(Now::default(), Input::Admit);
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
    assert!(matches!(connection.state, crate::connection::State::Ready(_)));
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
    connection.handle_input(Now::default(), Input::Eof);
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
    assert!(size_of::<Link>() + size_of::<Session>() < 4096);
}
