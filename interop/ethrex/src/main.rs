//! `exnode`: ethrex-p2p as a foreign node that the interop harness drives.
//!
//!     exnode --listen 30303 --key <64 hex digits> [--address 127.0.0.1] [--discovery]
//!         [--discovery-v5] [--bootnodes ENODE|ENR] [--dial-found]
//!
//! It speaks RLPx with ethrex's own capabilities (`eth/68` and up, `snap/1`) over an empty chain in
//! memory. With `--discovery` it speaks discovery v4 on the UDP port of the same number, with
//! `--discovery-v5` v5, with both both; and with `--dial-found` it dials what it finds. One JSON
//! object a line: events on stdout, commands on stdin (`dial` with `enode`, `disconnect` with
//! `reason`, `v4_contact` with `id`, a public key, `v5_table`; the end of stdin ends the process).
//! ethrex has no callbacks for what a peer does, so the events are made from its tracing, see
//! [`events`].

mod discovery;
mod discovery_v5;
mod events;

use std::io::BufRead as _;
use std::sync::Arc;

use ethrex_blockchain::Blockchain;
use ethrex_p2p::peer_table::{PeerTableServer, PeerTableServerProtocol as _};
use ethrex_p2p::rlpx::Message;
use ethrex_p2p::rlpx::connection::server::PeerConnection;
use ethrex_p2p::rlpx::initiator::RLPxInitiator;
use ethrex_p2p::rlpx::p2p::{DisconnectMessage, DisconnectReason};
use ethrex_p2p::types::{NetworkConfig, Node};
use ethrex_p2p::utils::public_key_from_signing_key;
use ethrex_p2p::{DiscoveryConfig, network::P2PContext, start_network};
use ethrex_storage::{EngineType, Store};
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt as _;

/// Longer than any test: nothing of ethrex's own rhythm shall fall into one.
const TRANSACTION_BROADCAST_MS: u64 = 3_600_000;

#[tokio::main]
async fn main() {
    let (notify, mut notified) = tokio::sync::mpsc::unbounded_channel();
    let subscriber = tracing_subscriber::registry().with(events::Events::new(notify.clone()));
    tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");

    let port: u16 = argument("--listen").parse().expect("--listen takes a port");
    let key = hex::decode(argument("--key")).expect("--key takes hex digits");
    let key = secp256k1::SecretKey::from_slice(&key).expect("--key takes a valid key");

    let mut store = Store::new("", EngineType::InMemory).expect("a store in memory");
    let genesis = serde_json::from_str(include_str!("../genesis.json")).expect("the genesis");
    store.add_initial_state(genesis).await.expect("the initial state");
    let blockchain = Arc::new(Blockchain::default_with_store(store.clone()));

    let address = optional("--address").unwrap_or_else(|| "127.0.0.1".into());
    let address = address.parse().expect("--address takes an IP address");
    let node = Node::new(address, port, port, public_key_from_signing_key(&key));
    let table = PeerTableServer::spawn(node.node_id(), 10, store.clone());
    let record = discovery_v5::own_record(&node, &key, &store).await;
    let context = P2PContext::new(
        node.clone(),
        NetworkConfig::from_node(&node),
        tokio_util::task::TaskTracker::new(),
        key,
        table.clone(),
        store,
        blockchain,
        "ethrex-p2p/v24.0.0/interop".into(),
        None,
        TRANSACTION_BROADCAST_MS,
        1_000.0,
    )
    .expect("a context");
    let discovery = DiscoveryConfig {
        discv4_enabled: flag("--discovery"),
        discv5_enabled: flag("--discovery-v5"),
        ..DiscoveryConfig::default()
    };
    let bootnodes = optional("--bootnodes").map(|node| discovery::node(&node));
    let bootnodes = bootnodes.into_iter().collect();
    start_network(context.clone(), bootnodes, discovery).await.expect("a network");
    // ethrex binds its listener in a task and says nothing when it stands: ask until it answers.
    while tokio::net::TcpStream::connect((address, port)).await.is_err() {
        tokio::task::yield_now().await;
    }
    events::print(&json!({
        "event": "listening",
        "enode": node.enode_url(),
        "id": discovery_v5::id(&node),
        "enr": record,
        "discovery": node.udp_addr(),
    }));
    if flag("--dial-found") {
        RLPxInitiator::spawn(context.clone());
    }

    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let command = serde_json::from_str(&line).expect("a JSON command");
            notify.send(command).expect("main is listening");
        }
        std::process::exit(0);
    });

    let mut known = discovery_v5::Known::default();
    while let Some(command) = notified.recv().await {
        match command["cmd"].as_str() {
            Some("dial") => {
                let enode = command["enode"].as_str().expect("an enode");
                let node = discovery::node(enode);
                PeerConnection::spawn_as_initiator(context.clone(), &node);
            }
            Some("disconnect") => {
                let reason = command["reason"].as_u64().expect("a reason") as u8;
                for peer in table.get_peers_data().await.expect("the table answers") {
                    let Some(mut connection) = peer.connection else {
                        continue;
                    };
                    let message = DisconnectMessage::new(Some(DisconnectReason::from(reason)));
                    connection
                        .outgoing_message(Message::Disconnect(message))
                        .await
                        .expect("a live connection");
                }
            }
            // Sent by the tracing layer, not by the harness: a peer has entered the table.
            Some("peers") => {
                for peer in table.get_peers_data().await.expect("the table answers") {
                    let capabilities = peer.supported_capabilities.iter();
                    let capabilities: Vec<String> =
                        capabilities.map(|c| format!("{}/{}", c.protocol(), c.version)).collect();
                    events::print(&json!({
                        "event": "connect",
                        "id": hex::encode(peer.node.public_key),
                        "client": peer.node.version,
                        "caps": capabilities,
                        "inbound": peer.is_connection_inbound,
                    }));
                }
            }
            // Sent by the tracing layer too: a record has come.
            Some("v4_contact") => {
                let key = command["id"].as_str().expect("a public key");
                discovery::print_contact(&table, key).await;
            }
            Some("v5_table") => discovery_v5::print_table(&table).await,
            // Sent by the tracing layer: a packet of v5 has come, and the table may have changed.
            Some("v5_changes") => known.print_changes(&table).await,
            _ => panic!("unknown command: {command}"),
        }
    }
}

fn flag(name: &str) -> bool {
    std::env::args().any(|argument| argument == name)
}

/// The value that follows `name` on the command line.
fn argument(name: &str) -> String {
    optional(name).unwrap_or_else(|| panic!("{name} is missing"))
}

fn optional(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
