//! Discovery v5 of ethrex: what comes, and whom it knows.
//!
//! Tells `v5_received` (`type`: the lower-case name of the message, or `whoareyou`; `remote`: who
//! sent it, by address, as ethrex traces only a part of an id), `v5_session` (`remote`, `role`:
//! that of ethrex in the handshake), `v5_node_added` (`id`, `enr`: a node whose record it now has,
//! or has anew), and `v5_table` (`nodes` with `id`, `enr`, and whether each is `proved`) at the
//! command of that name.

use std::collections::BTreeMap;

use ethrex_p2p::peer_table::{PeerTable, PeerTableServerProtocol as _};
use ethrex_p2p::types::{INITIAL_ENR_SEQ, Node, NodeRecord};
use ethrex_storage::Store;
use secp256k1::SecretKey;
use serde_json::{Value, json};

use crate::discovery::text;
use crate::events::print;

/// The record that discovery is about to sign for itself, and shows to nobody but its peers: for
/// the node's address, and then for its chain.
pub async fn own_record(node: &Node, key: &SecretKey, store: &Store) -> String {
    let mut record = NodeRecord::from_node(node, INITIAL_ENR_SEQ, key).expect("a record");
    let fork_id = store.get_fork_id().await.expect("a chain");
    record.set_fork_id(fork_id, key).expect("a record of a chain");
    text(&record)
}

/// The id of a node, in hex digits.
pub fn id(node: &Node) -> String {
    hex::encode(node.node_id())
}

/// Tells of a packet that has come. It is traced before it is looked at, and where it ends a
/// handshake, when that has succeeded.
pub fn on_trace(message: &str, fields: &BTreeMap<String, String>) {
    let field = |name: &str| fields.get(name).map(String::as_str);
    let (Some(received), Some(remote)) = (field("received"), field("addr")) else {
        // What it sends, and what its timers do.
        return print(&json!({ "event": "log", "message": message, "fields": fields }));
    };
    let kind = match received {
        "TalkRes" => "talkresp".into(),
        other => other.to_lowercase(),
    };
    let role = match (received, message) {
        ("WhoAreYou", _) => Some("initiator"),
        (_, "Handshake completed") => Some("recipient"),
        _ => None,
    };
    print(&json!({ "event": "v5_received", "type": kind, "remote": remote }));
    if let Some(role) = role {
        print(&json!({ "event": "v5_session", "remote": remote, "role": role }));
    }
}

/// The nodes that the table was last seen to know: their records by id.
#[derive(Default)]
pub struct Known(BTreeMap<String, String>);

impl Known {
    /// Tells of those that it did not know the last time.
    pub async fn print_changes(&mut self, table: &PeerTable) {
        for (node, record) in nodes_of(table).await {
            let id = id(&node);
            if self.0.insert(id.clone(), record.clone()).as_ref() != Some(&record) {
                print(&json!({ "event": "v5_node_added", "id": id, "enr": record }));
            }
        }
    }
}

/// Tells of the nodes that the table knows now.
pub async fn print_table(table: &PeerTable) {
    let mut nodes: Vec<Value> = Vec::new();
    for (node, record) in nodes_of(table).await {
        let contact = table.get_contact(node.node_id()).await.expect("the table answers");
        let proved = contact.is_some_and(|contact| contact.was_validated());
        nodes.push(json!({ "id": id(&node), "enr": record, "proved": proved }));
    }
    print(&json!({ "event": "v5_table", "nodes": nodes }));
}

/// The nodes whose records the table has: 16 of them if they are more.
async fn nodes_of(table: &PeerTable) -> Vec<(Node, String)> {
    let records = table.get_nodes_at_distances((1..=256).collect()).await;
    let with_node = |record: NodeRecord| {
        let node = Node::from_enr(&record).expect("what is in the table has an address");
        (node, text(&record))
    };
    records.expect("the table answers").into_iter().map(with_node).collect()
}
