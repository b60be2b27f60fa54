//! Nodes of others that know nobody but `peerage run --bootnode`, and find each other.

use std::collections::BTreeSet;

use peerage_interop::{Foreign, Implementation, Netns, Peerage, public_key, text};
use serde_json::Value;

/// A key whose public key begins with a byte that ends in 3 as a decimal number. A client of
/// ethereumjs asks the nodes that it knows in ten groups by that digit, one group every three
/// seconds: it asks this one after nine.
const ASKED_SOON: &str = "0303030303030303030303030303030303030303030303030303030303030303";

#[test]
fn two_execution_clients_meet_through_us_and_stay_connected() {
    let client = Implementation::EthereumjsClient;
    let Some(net) = Netns::for_test(&[client]) else { return };
    let boot = Peerage::run_with_key(&net, ASKED_SOON, &["--bootnode"]);
    let boot = bootnode(&boot);
    let start = |number, port| {
        let arguments = ["--listen", port, "--bootnodes", &boot];
        let mut client = Foreign::spawn_one_of(&net, client, number, &arguments);
        let enode = client.enode();
        (client, public_key(&enode).to_owned())
    };
    let (mut first, first_id) = start(1, "30303");
    let (mut second, second_id) = start(2, "30313");
    has_peer(&mut first, "peers", &second_id);
    has_peer(&mut second, "peers", &first_id);
    // Once both have said so, neither has left again.
    for (one, other) in [(&mut first, &second_id), (&mut second, &first_id)] {
        one.ask_for_peers();
        let name = has_peer(one, "peers_now", other);
        assert!(name.starts_with(client.client()), "{name}");
    }
}

#[test]
fn three_nodes_of_ethrex_meet_through_us_and_connect_each_with_each() {
    let ethrex = Implementation::Ethrex;
    let Some(net) = Netns::for_test(&[ethrex]) else { return };
    let boot = Peerage::run(&net, &["--bootnode"]);
    let boot = bootnode(&boot);
    let mut nodes: Vec<_> = [(1, "30303"), (2, "30304"), (3, "30305")]
        .into_iter()
        .map(|(number, port)| {
            let arguments = ["--listen", port, "--discovery", "--dial-found", "--bootnodes", &boot];
            let mut node = Foreign::spawn_one_of(&net, ethrex, number, &arguments);
            let enode = node.enode();
            (node, public_key(&enode).to_owned())
        })
        .collect();
    let all: BTreeSet<_> = nodes.iter().map(|(_, id)| id.clone()).collect();
    for (node, own) in &mut nodes {
        let mut missing = all.clone();
        missing.remove(own);
        while !missing.is_empty() {
            let peer = node.event("connect");
            missing.remove(text(&peer["id"]));
        }
    }
}

/// The boot node as those write it who know of one port only.
fn bootnode(ours: &Peerage) -> String {
    format!("enode://{}@{}", public_key(&ours.enode()), ours.discovery())
}

/// Waits until the node lists this peer in an event of this kind: its name.
fn has_peer(node: &mut Foreign, kind: &str, id: &str) -> String {
    let is_it = |peer: &&Value| peer["id"] == id;
    let list = |event: &Value| event["peers"].as_array().cloned().unwrap_or_default();
    let event = node.expect("its peer", |event| {
        event["event"] == kind && list(event).iter().any(|peer| is_it(&peer))
    });
    let peers = list(&event);
    text(&peers.iter().find(is_it).expect("because it is listed")["name"]).to_owned()
}
