//! Discovery v4 of a foreign node: what a test has it do, and what it tells of it.
//!
//! `v4_received` (`type`: the lower-case name of the packet): a packet that came, `remote` or `id`
//! being whose, `nodes` those of a NEIGHBORS of ethereumjs. `v4_sent`: one that went, of ethrex.
//! `v4_contact` of ethrex: a node that it knows, whenever a record of it has come.

use serde_json::{Value, json};

use crate::foreign::Foreign;
use crate::process::text;

impl Foreign {
    /// Has it ping a node. Once that has answered, it knows it: `v4_pong`. Only ethereumjs can be
    /// told.
    pub fn v4_ping(&mut self, enode: &str) {
        self.process.command(&json!({"cmd": "v4_ping", "enode": enode}));
    }

    /// Has it ask a node for those closest to the public key `target`. Only ethereumjs can be told.
    pub fn v4_find_node(&mut self, enode: &str, target: &str) {
        self.process.command(&json!({"cmd": "v4_find_node", "enode": enode, "target": target}));
    }

    /// Has a whole client tell what peers it has: `peers_now`, with `peers` as in the event of that
    /// name.
    pub fn ask_for_peers(&mut self) {
        self.process.command(&json!({"cmd": "peers_now"}));
    }

    /// Waits until a packet of this type has come: its `v4_received`.
    ///
    /// # Panics
    /// If none comes.
    pub fn v4_received(&mut self, kind: &str) -> Value {
        let what = format!("a {kind} that was received");
        self.process.expect(&what, |event| event["event"] == "v4_received" && event["type"] == kind)
    }

    /// Waits until a packet of this type has come from the node with this public key, where it
    /// tells ids.
    ///
    /// # Panics
    /// If none comes.
    pub fn v4_received_from(&mut self, kind: &str, id: &str) -> Value {
        let what = format!("a {kind} from {id}");
        self.process.expect(&what, |event| {
            event["event"] == "v4_received" && event["type"] == kind && event["id"] == id
        })
    }

    /// Waits until it has the record of the node with this public key, signed with this sequence
    /// number or a later one: the record as text. Only ethrex keeps records.
    ///
    /// # Panics
    /// If it never has.
    pub fn v4_record(&mut self, id: &str, seq: u64) -> String {
        let what = format!("the record of {id}");
        let contact = self.process.expect(&what, |event| {
            event["event"] == "v4_contact"
                && event["id"] == id
                && event["seq"].as_u64().is_some_and(|its| its >= seq)
        });
        text(&contact["record"]).to_owned()
    }
}

/// The public key in an `enode:` URL, in hex digits.
///
/// # Panics
/// If it is no such URL.
pub fn public_key(enode: &str) -> &str {
    let key = enode.strip_prefix("enode://").and_then(|rest| rest.split_once('@'));
    key.expect("because it is an enode URL").0
}
