//! What ethrex knows of a node that it has found.

use ethrex_common::H512;
use ethrex_p2p::peer_table::{PeerTable, PeerTableServerProtocol as _};
use ethrex_p2p::types::Node;
use ethrex_p2p::utils::node_id;
use serde_json::json;

use crate::events;

pub fn node(enode: &str) -> Node {
    Node::from_enode_url(enode).expect("a valid enode")
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
        "record": record.map(|record| record.enr_url().expect("a record that came can be written")),
        "seq": record.map(|record| record.seq),
    }));
}
