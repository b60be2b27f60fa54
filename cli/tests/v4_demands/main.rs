//! What a node of discovery v4 has to do and to leave, of a running `peerage run`, over real UDP
//! from two loopback addresses.
//!
//! Restated from the specification; section 3.1 of the inventory has the same demands in the same
//! order. That something is not answered is shown without waiting: the next thing that comes is the
//! answer to what was sent after it.
//!
//! Spec: [discv4.md](https://github.com/ethereum/devp2p/blob/master/discv4.md).

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod client;
#[path = "../common/mod.rs"]
mod common;
mod wire;

use std::net::{IpAddr, Ipv4Addr};

use client::{Client, expiration, past_expiration};
use common::Server;
use peerage_node::Record;
use wire::{NEIGHBORS, PONG, Raw, endpoint, endpoint_of, list};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The key of the client; a second one has the next.
const KEY: u8 = 0x11;

/// Neither a known packet type nor one that may come.
const UNKNOWN_TYPE: u8 = 66;

#[test]
fn a_ping_is_answered_by_one_pong_and_by_one_ping() {
    let (_server, mut client) = start();
    let ping = client.ping();
    prove_and_expect_no_more(&mut client, &ping);
}

#[test]
fn a_ping_that_states_a_wrong_recipient_is_answered_all_the_same() {
    let (_server, mut client) = start();
    let ping = client.ping_with(&endpoint_of(client.address()), &nowhere(), expiration(), &[]);
    prove_and_expect_no_more(&mut client, &ping);
}

#[test]
fn a_ping_that_states_a_wrong_sender_is_answered_where_it_came_from() {
    let (_server, mut client) = start();
    let ping = client.ping_with(&nowhere(), &client.to(), expiration(), &[]);
    prove_and_expect_no_more(&mut client, &ping);
}

#[test]
fn a_ping_with_elements_of_a_later_version_is_answered() {
    let (_server, mut client) = start();
    let (number, bytes) = extra();
    let from = endpoint_of(client.address());
    let ping = client.ping_with(&from, &client.to(), expiration(), &[&number, &bytes]);
    prove_and_expect_no_more(&mut client, &ping);
}

#[test]
fn a_ping_with_elements_of_a_later_version_and_a_wrong_sender_is_answered() {
    let (_server, mut client) = start();
    let (number, bytes) = extra();
    let ping = client.ping_with(&nowhere(), &client.to(), expiration(), &[&number, &bytes]);
    prove_and_expect_no_more(&mut client, &ping);
}

#[test]
fn an_expired_ping_is_not_answered() {
    let (_server, mut client) = start();
    for past in [past_expiration(), 1] {
        client.ping_with(&endpoint_of(client.address()), &client.to(), past, &[]);
    }
    let ping = client.ping();
    prove_and_expect_no_more(&mut client, &ping);
}

#[test]
fn a_packet_of_an_unknown_type_is_not_answered() {
    let (_server, mut client) = start();
    let from = endpoint_of(client.address());
    client.send(UNKNOWN_TYPE, &list(&[&4_u8, &from, &client.to(), &expiration()]));
    let ping = client.ping();
    prove_and_expect_no_more(&mut client, &ping);
}

#[test]
fn nothing_precedes_the_pong_to_a_node_that_has_just_proved_itself() {
    let (_server, mut client) = start();
    client.bond();
    let ping = client.ping_with(&nowhere(), &client.to(), expiration(), &[]);
    client.check_pong(&client.next(PONG), &ping);
    client.nothing_but_the_record();
}

#[test]
fn a_node_that_has_proved_itself_is_told_our_record() {
    let (server, mut client) = start();
    client.bond();
    let record = Record::decode(&client.nothing_but_the_record()).unwrap();
    assert_eq!(record.id().to_string(), server.node.started["id"]);
    assert_eq!(record.to_string(), server.node.started["enr"]);
}

#[test]
fn a_node_that_has_not_proved_itself_is_not_told_of_others() {
    let (_server, client) = start();
    client.find_node(&target(), expiration());
    client.nothing_but_a_ping();
    // Its own ping proves nothing.
    client.find_node(&target(), expiration());
    client.nothing_but_a_ping();
    client.enr_request();
    client.nothing_but_a_ping();
}

#[test]
fn a_node_that_has_proved_itself_is_told_of_others() {
    let (_server, mut client) = start();
    client.bond();
    client.find_node(&target(), expiration());
    let neighbors = client.next(NEIGHBORS);
    assert!(neighbors.data[0].items().len() <= 16, "{neighbors:?}");
    client::assert_unexpired(&neighbors.data[1]);
}

#[test]
fn nodes_that_nobody_asked_for_are_not_told_on() {
    let (_server, mut client) = start();
    client.bond();
    let key = client.with_key(KEY + 1).key.public().to_bytes();
    let node = list(&[&HERE.octets().as_slice(), &30_303_u16, &30_303_u16, &key.as_slice()]);
    client.send(NEIGHBORS, &list(&[&list(&[&node]), &expiration()]));
    client.find_node(&key, expiration());
    let neighbors = client.next(NEIGHBORS);
    let is_it = neighbors.data[0].items().iter().any(|node| node.items()[3].bytes() == key);
    assert!(!is_it, "{neighbors:?}");
}

#[test]
fn an_expired_question_is_not_answered() {
    let (_server, mut client) = start();
    client.bond();
    for past in [past_expiration(), 1] {
        client.find_node(&target(), past);
    }
    client.nothing_but_the_record();
}

#[test]
fn a_pong_to_a_ping_that_was_never_sent_proves_nothing() {
    let (_server, client) = start();
    let ping = client.ping();
    let mut wrong = client.pong_and_ping(&ping);
    wrong[0] ^= 0x01;
    client.pong(&wrong);
    client.find_node(&target(), expiration());
    client.nothing_but_a_ping();
}

#[test]
fn a_proof_holds_for_one_address_and_nothing_is_sent_to_others() {
    let (server, mut client) = start();
    client.bond();
    client.nothing_but_the_record();
    // The same key from another address, asking what the first may ask.
    let elsewhere = Client::new(ELSEWHERE, KEY, &server.address());
    elsewhere.find_node(&target(), expiration());
    elsewhere.enr_request();
    // Somebody else at that address: to the socket, this is the first thing that comes.
    let mut other = elsewhere.with_key(KEY + 1);
    let ping = other.ping();
    prove_and_expect_no_more(&mut other, &ping);
}

fn start() -> (Server, Client) {
    let server = Server::start();
    let client = Client::new(HERE, KEY, &server.address());
    (server, client)
}

/// Demands the PONG to `ping` and the PING that asks for a proof, gives it, and demands that
/// nothing else comes.
fn prove_and_expect_no_more(client: &mut Client, ping: &[u8; 32]) {
    let asked = client.pong_and_ping(ping);
    client.prove(&asked);
    client.nothing_but_the_record();
}

/// An endpoint that is not the one, in a form that is not the usual one either: no ports, and an
/// IPv4 address of documentation in 16 bytes.
fn nowhere() -> Raw {
    let ip = Ipv4Addr::new(192, 0, 2, 0).to_ipv6_mapped();
    endpoint(IpAddr::V6(ip), 0, 0)
}

/// What a later version might add.
fn extra() -> (u16, Raw) {
    (0x1234, list(&[&"more".as_bytes(), &1_u8]))
}

fn target() -> [u8; 64] {
    [0x5a; 64]
}
