//! Discovery v5: what a test has a foreign node do, what it tells of it, and our own command beside
//! it.
//!
//! All tell `v5_node_added` (`id`, `enr`): a node that is now in the table. `v5_session` (`remote`;
//! `id` but at ethrex, which tells its `role`): keys have been agreed on. `v5_received` of
//! chainsafe and ethrex (`type`: the lower-case name of the message, `remote`): one that came.
//! `v5_talk_request` (`protocol`, `payload`) of those that take any, sigp and chainsafe: they alone
//! also do what they are told. `v5_banned` of sigp: what we sent made it ban a node and its
//! address.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::foreign::Foreign;
use crate::netns::Netns;
use crate::peerage::Peerage;
use crate::process::text;

/// The TALKREQ protocol that foreign nodes answer with what was asked.
pub const ECHO: &str = "echo";

/// Nodes: their records by their ids.
pub type Nodes = BTreeMap<String, String>;

/// A foreign node as it announces itself.
#[derive(Clone, Debug)]
pub struct Listening {
    /// Its node id, in hex digits.
    pub id: String,
    /// Its record.
    pub enr: String,
    /// Its URL.
    pub enode: String,
    /// Where it takes datagrams.
    pub discovery: SocketAddr,
}

impl Foreign {
    /// Waits until it listens. For those with discovery v5.
    ///
    /// # Panics
    /// If it does not.
    pub fn listening(&mut self) -> Listening {
        let event = self.event("listening");
        let field = |name: &str| text(&event[name]).to_owned();
        Listening {
            id: field("id"),
            enr: field("enr"),
            enode: field("enode"),
            discovery: field("discovery").parse().expect("because it is an address"),
        }
    }

    /// Has it ping a node: what the PONG says (`seq`, `endpoint`).
    ///
    /// # Panics
    /// If none comes.
    pub fn v5_ping(&mut self, enr: &str) -> Value {
        self.ask(&json!({"cmd": "v5_ping", "enr": enr}), "v5_pong")
    }

    /// [`v5_ping`](Self::v5_ping) by chainsafe, with a request id of one byte.
    ///
    /// # Panics
    /// If no PONG comes with it.
    pub fn v5_ping_with_request_id(&mut self, enr: &str, id: u8) -> Value {
        self.ask(&json!({"cmd": "v5_ping", "enr": enr, "request_id": id}), "v5_pong")
    }

    /// Has it ask a node for those at these distances. Of a NODES in several packets, sigp takes
    /// the first one.
    ///
    /// # Panics
    /// If there is no answer.
    pub fn v5_find_node(&mut self, enr: &str, distances: &[u16]) -> Nodes {
        let command = json!({"cmd": "v5_find_node", "enr": enr, "distances": distances});
        nodes(&self.ask(&command, "v5_nodes"))
    }

    /// Has it send a TALKREQ to a node: the answer, in hex digits as the request is.
    ///
    /// # Panics
    /// If there is none.
    pub fn v5_talk(&mut self, enr: &str, protocol: &str, payload: &str) -> String {
        let command =
            json!({"cmd": "v5_talk", "enr": enr, "protocol": protocol, "payload": payload});
        text(&self.ask(&command, "v5_talk_response")["payload"]).to_owned()
    }

    /// Has it look for a node id, beginning at the nodes in its table: those closest to it, all of
    /// which have answered.
    ///
    /// # Panics
    /// If the lookup does not end.
    pub fn v5_lookup(&mut self, target: &str) -> Nodes {
        nodes(&self.ask(&json!({"cmd": "v5_lookup", "target": target}), "v5_lookup_result"))
    }

    /// The nodes in its table.
    ///
    /// # Panics
    /// If it does not tell.
    pub fn v5_table(&mut self) -> Nodes {
        nodes(&self.ask(&json!({"cmd": "v5_table"}), "v5_table"))
    }

    /// Waits until a node has entered its table: the record that it has of it.
    ///
    /// # Panics
    /// If it never does.
    pub fn v5_node_added(&mut self, id: &str) -> String {
        let event = self.expect(&format!("{id} in its table"), |event| {
            event["event"] == "v5_node_added" && event["id"] == id
        });
        text(&event["enr"]).to_owned()
    }

    /// Waits until a message of this type has come from this address: its `v5_received`. Not sigp.
    ///
    /// # Panics
    /// If none comes.
    pub fn v5_received(&mut self, kind: &str, remote: SocketAddr) -> Value {
        let remote = remote.to_string();
        self.expect(&format!("a {kind} from {remote}"), |event| {
            event["event"] == "v5_received" && event["type"] == kind && event["remote"] == remote
        })
    }

    /// Gives a command to one that takes it, and waits for its end.
    fn ask(&mut self, command: &Value, answer: &str) -> Value {
        self.process.command(command);
        let event = self.expect(answer, |event| {
            event["event"] == answer
                || event["event"] == "v5_failed" && event["command"] == command["cmd"]
        });
        assert_eq!(event["event"], answer, "{event}");
        event
    }
}

impl Peerage {
    /// The nodes in its table of discovery v5 that it has checked.
    ///
    /// # Panics
    /// If it does not tell.
    pub fn v5_table(&mut self) -> Nodes {
        let table = self.table();
        let all = table["nodes"].as_array().expect("because a table has nodes").iter();
        all.filter(|node| node["version"] == "v5" && node["live"] == true).map(id_and_enr).collect()
    }

    /// Looks for `known` by `peerage lookup --v5` that is told of `boot` alone.
    ///
    /// # Panics
    /// If it does not find it, or not with the record that it has now.
    pub fn v5_lookup_finds(net: &Netns, boot: &Listening, known: &Listening) {
        let arguments = ["lookup", "--v5", "--json", "--bootnodes", &boot.enr, &known.id];
        let (lines, success) = Self::lines(net, &arguments);
        assert!(success, "{lines:?}");
        let result = lines.last().expect("because there is a result");
        assert_eq!(
            (&result["event"], &result["found"]),
            (&json!("result"), &json!(true)),
            "{lines:?}"
        );
        let closest = &result["closest"][0];
        assert_eq!((&closest["id"], &closest["enr"]), (&json!(known.id), &json!(known.enr)));
        assert_eq!(closest["distance"], 0);
    }
}

/// The distance of two nodes by their ids: 0 to 256.
///
/// # Panics
/// If an id is not 64 hex digits.
pub fn distance(a: &str, b: &str) -> u16 {
    assert_eq!((a.len(), b.len()), (64, 64), "{a}, {b}");
    let digit = |text: char| text.to_digit(16).expect("because an id is hex digits");
    let differences = a.chars().zip(b.chars()).map(|(a, b)| digit(a) ^ digit(b));
    let rest: Vec<u32> = differences.skip_while(|difference| *difference == 0).collect();
    match rest.first() {
        None => 0,
        // Four bits a digit; the first one has as many as it needs.
        Some(first) => (rest.len() as u16) * 4 - (first.leading_zeros() as u16 - 28),
    }
}

fn nodes(event: &Value) -> Nodes {
    let list = event["nodes"].as_array().expect("because it lists nodes");
    list.iter().map(id_and_enr).collect()
}

fn id_and_enr(node: &Value) -> (String, String) {
    (text(&node["id"]).to_owned(), text(&node["enr"]).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distance_is_the_number_of_the_highest_bit_that_differs() {
        let id = |first: &str, last: &str| format!("{first}{}{last}", "0".repeat(60));
        let zero = id("00", "00");
        let of = |other: String| distance(&zero, &other);
        assert_eq!([of(id("00", "00")), of(id("00", "01")), of(id("00", "02"))], [0, 1, 2]);
        assert_eq!([of(id("00", "0f")), of(id("00", "10")), of(id("0f", "ff"))], [4, 5, 252]);
        assert_eq!([of(id("10", "00")), of(id("7f", "00")), of(id("80", "00"))], [253, 255, 256]);
    }
}
