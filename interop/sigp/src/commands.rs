//! What the harness has the node do. Each command runs by itself; its end is an event.
//!
//! `v5_ping`, `v5_find_node` (`distances`) and `v5_talk` (`protocol`, `payload` in hex digits) take
//! the `enr` of whom to ask; `v5_lookup` takes a `target`, a node id. They end in `v5_pong` (`seq`,
//! `endpoint`), `v5_nodes` (`nodes`: `id` and `enr` of each), `v5_talk_response` (`payload`),
//! `v5_lookup_result` (`nodes`); or in `v5_failed` (`command`, `error`). `v5_table` tells the
//! `nodes` that it knows, in the event of that name.

use std::fmt::Debug;

use discv5::{Discv5, Enr, NodeContact};
use enr::NodeId;
use serde_json::{Value, json};

use crate::events::{endpoint, id, print};

pub fn run(node: &Discv5, command: Value) {
    let text = |field: &str| command[field].as_str().expect("a text").to_owned();
    match text("cmd").as_str() {
        "v5_ping" => {
            let whom = record(&text("enr"));
            let asked = id(&whom.node_id());
            let pong = node.send_ping(whom);
            tokio::spawn(async move {
                match pong.await {
                    Ok(pong) => print(&json!({
                        "event": "v5_pong",
                        "id": asked,
                        "seq": pong.enr_seq,
                        "endpoint": endpoint(pong.ip, pong.port),
                    })),
                    Err(error) => failed("v5_ping", &asked, &error),
                }
            });
        }
        "v5_find_node" => {
            let whom = record(&text("enr"));
            let distances = command["distances"].as_array().expect("a list").iter();
            let distances = distances.map(|distance| distance.as_u64().expect("a number"));
            let asked = id(&whom.node_id());
            let nodes = node.find_node_designated_peer(whom, distances.collect());
            tokio::spawn(async move {
                match nodes.await {
                    Ok(nodes) => print(&json!({
                        "event": "v5_nodes",
                        "id": asked,
                        "nodes": list(&nodes),
                    })),
                    Err(error) => failed("v5_find_node", &asked, &error),
                }
            });
        }
        "v5_talk" => {
            let whom = record(&text("enr"));
            let asked = id(&whom.node_id());
            let whom = NodeContact::try_from_enr(whom, node.ip_mode()).expect("an address");
            let payload = hex::decode(text("payload")).expect("hex digits");
            let answer = node.talk_req(whom, text("protocol").into_bytes(), payload);
            tokio::spawn(async move {
                match answer.await {
                    Ok(answer) => print(&json!({
                        "event": "v5_talk_response",
                        "id": asked,
                        "payload": hex::encode(answer),
                    })),
                    Err(error) => failed("v5_talk", &asked, &error),
                }
            });
        }
        "v5_lookup" => {
            let target = text("target");
            let bytes = hex::decode(&target).expect("hex digits");
            let found = node.find_node(NodeId::parse(&bytes).expect("32 bytes"));
            tokio::spawn(async move {
                match found.await {
                    Ok(nodes) => print(&json!({
                        "event": "v5_lookup_result",
                        "target": target,
                        "nodes": list(&nodes),
                    })),
                    Err(error) => failed("v5_lookup", &target, &error),
                }
            });
        }
        "v5_table" => {
            print(&json!({ "event": "v5_table", "nodes": list(&node.table_entries_enr()) }));
        }
        other => panic!("unknown command: {other}"),
    }
}

pub fn record(text: &str) -> Enr {
    text.parse().expect("a node record")
}

fn list(nodes: &[Enr]) -> Vec<Value> {
    let node = |node: &Enr| json!({ "id": id(&node.node_id()), "enr": node.to_base64() });
    nodes.iter().map(node).collect()
}

fn failed(command: &str, id: &str, error: &dyn Debug) {
    let error = format!("{error:?}");
    print(&json!({ "event": "v5_failed", "command": command, "id": id, "error": error }));
}
