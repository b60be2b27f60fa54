//! What ethrex knows of a node that it has found.

use ethrex_common::H512;
use ethrex_p2p::peer_table::{PeerTable, PeerTableServerProtocol as _};
use ethrex_p2p::types::{Node, NodeRecord};
use ethrex_p2p::utils::node_id;
use serde_json::json;

use crate::events;

/// A node by its `enode:` URL or its record. Of a URL, ethrex ignores `discport`.
pub fn node(text: &str) -> Node {
    text.parse().expect("a valid enode or record")
}

/// A record as text. That of ethrex ends in the padding that EIP-778 leaves out.
pub fn text(record: &NodeRecord) -> String {
    let text = record.enr_url().expect("a record that was read can be written");
    text.trim_end_matches('=').to_owned()
}

/// Tells `v4_contact`: its `enode`, whether it is `proved` (a ping of ours was answered, and none
/// waits for its answer), and its `record` if it has sent one.
pub async fn print_contact(table: &PeerTable, key: &str) {
    let bytes = hex::decode(key).expect("hex digits");
    let id = node_id(&H512::from_slice(&bytes));
    let contact = table.get_contact(id).await.expect("the table answers");
    let contact = contact.as_ref();
    let record = contact.and_then(|contact| contact.record.as_ref());
    events::print(&json!({
        "event": "v4_contact",
        "id": key,
        "enode": contact.map(|contact| contact.node.enode_url()),
        "proved": contact.is_some_and(|contact| contact.was_validated()),
        "record": record.map(text),
        "seq": record.map(|record| record.seq),
    }));
}
