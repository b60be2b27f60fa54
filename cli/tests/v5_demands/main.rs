//! What a node of discovery v5 has to do and to leave, of a running `peerage run`, over real UDP
//! from two loopback addresses.
//!
//! Restated from the specification; section 3.2 of the inventory has the same demands in the same
//! order. That something is not answered is shown without waiting: the next thing that comes is the
//! answer to what was sent after it.
//!
//! Spec: [discv5.md](https://github.com/ethereum/devp2p/blob/master/discv5/discv5.md).

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod client;
#[path = "../common/mod.rs"]
mod common;

use std::{collections::BTreeSet, net::Ipv4Addr, sync::mpsc, thread, time::Duration};

use client::{Client, Heard};
use common::Server;
use peerage_discovery::v5::packet::{Message, RequestId};
use peerage_node::{NodeId, Record};

const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);

/// The key of the client; others have the next ones.
const KEY: u8 = 0x11;

/// How many others ping the node.
const BYSTANDERS: u8 = 5;

#[test]
fn ping_is_answered_after_the_handshake_with_its_id_and_where_it_came_from() {
    let (_server, mut client) = start();
    let text = client.introduce(&ping(9));
    let Message::Pong { id, recipient, .. } = Message::decode(&text).unwrap() else {
        panic!("{text:?}")
    };
    assert_eq!((id, recipient), (request(9), Some(client.address())));
}

#[test]
fn a_request_id_of_nine_bytes_is_answered_with_silence() {
    let (_server, mut client) = start();
    client.introduce(&ping(1));
    // [nine bytes, 1]
    let mut text = vec![1, 0xcb, 0x89];
    text.extend_from_slice(&[7; 9]);
    text.push(1);
    client.say_text(&text);
    client.say(&ping(2));
    assert_eq!(client.said_id(), request(2));
}

#[test]
fn a_session_is_bound_to_the_address_and_another_handshake_is_asked_for_from_each() {
    let (_server, mut client) = start();
    client.introduce(&ping(1));
    for (n, ip) in [(2, ELSEWHERE), (3, HERE)] {
        // The same keys, from the other socket.
        client.move_to(ip);
        client.say(&ping(n));
        let challenge = client.challenge();
        client.shake(&challenge, &ping(n));
        assert_eq!(client.said_id(), request(n));
    }
}

#[test]
fn while_a_handshake_is_pending_the_same_challenge_is_sent_again() {
    let (_server, mut client) = start();
    let first = client.probe();
    let before = client.next();
    client.probe();
    let after = client.next();
    let (Heard::WhoAreYou { nonce, data }, Heard::WhoAreYou { nonce: again, data: same }) =
        (before, after)
    else {
        panic!("no challenge")
    };
    assert_eq!((nonce, again), (first, first));
    assert_eq!(data, same);
}

#[test]
fn a_talkreq_of_an_unknown_protocol_gets_an_empty_answer_also_with_an_empty_id() {
    let (_server, mut client) = start();
    client.introduce(&ping(1));
    for id in [&[5, 6][..], &[]] {
        let id = RequestId::new(id).unwrap();
        client.say(&Message::TalkRequest { id, protocol: b"test-protocol", request: b"" });
        assert_eq!(client.said(), Message::TalkResponse { id, response: b"" }.encode());
    }
}

#[test]
fn find_node_at_distance_zero_gives_exactly_its_own_record() {
    let (server, mut client) = start();
    let text = client.introduce(&find(1, &[0]));
    let records = records(&text);
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].to_string(), server.node.started["enr"]);
}

#[test]
fn bystanders_that_ping_are_pinged_back_within_a_minute_and_told_of() {
    let (server, mut client) = start();
    let address = server.address();
    let mut bystanders: Vec<Client> = (1..=BYSTANDERS)
        .map(|n| {
            let mut bystander = Client::new(HERE, KEY + n, &address);
            bystander.state_address();
            bystander
        })
        .collect();
    for bystander in &mut bystanders {
        bystander.introduce(&ping(1));
    }
    let ids: Vec<NodeId> = bystanders.iter().map(Client::id).collect();
    let (sender, pinged) = mpsc::channel();
    for mut bystander in bystanders {
        let sender = sender.clone();
        // It answers whatever comes, until the test is over.
        thread::spawn(move || {
            loop {
                if bystander.answer() {
                    let _ = sender.send(bystander.id());
                }
            }
        });
    }
    let mut waiting: BTreeSet<NodeId> = ids.iter().copied().collect();
    while !waiting.is_empty() {
        waiting.remove(&pinged.recv_timeout(Duration::from_secs(60)).unwrap());
    }
    let mut distances: Vec<u16> = ids.iter().map(|id| address.id().log_distance(id)).collect();
    distances.sort_unstable();
    distances.dedup();
    let mut found = ids_of(&client.introduce(&find(1, &distances)));
    let mut expected = ids;
    found.sort();
    expected.sort();
    assert_eq!(found, expected);
    // And so again.
    client.say(&find(2, &distances));
    let mut again = ids_of(&client.said());
    again.sort();
    assert_eq!(again, expected);
}

fn start() -> (Server, Client) {
    let server = Server::start();
    let client = Client::new(HERE, KEY, &server.address());
    (server, client)
}

fn request(n: u8) -> RequestId {
    RequestId::new(&[n]).unwrap()
}

fn ping(n: u8) -> Message<'static> {
    Message::Ping { id: request(n), seq: 1 }
}

fn find(n: u8, distances: &[u16]) -> Message<'static> {
    Message::FindNode { id: request(n), distances: distances.to_vec() }
}

/// The records of an answer in one part.
fn records(text: &[u8]) -> Vec<Record> {
    let Message::Nodes { total: 1, records, .. } = Message::decode(text).unwrap() else {
        panic!("{text:?}")
    };
    records.iter().map(|rlp| Record::decode(rlp).unwrap()).collect()
}

fn ids_of(text: &[u8]) -> Vec<NodeId> {
    records(text).iter().map(Record::id).collect()
}
