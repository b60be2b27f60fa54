//! `sigpnode`: discv5 of Sigma Prime as a foreign node that the interop harness drives.
//!
//!     sigpnode --listen PORT --key <64 hex digits> [--address 127.0.0.1] [--bootnodes ENR]
//!
//! It speaks discovery v5 with the settings that the library begins with, and nothing else: its
//! record has no TCP port. A TALKREQ of the protocol `echo` comes back as it was, any other one
//! empty. One JSON object a line: events on stdout, commands on stdin, see [`commands`]; the end of
//! stdin ends the process. A node that it is told of by `--bootnodes` is in its table, and hears
//! nothing of it before it has something to ask.

mod commands;
mod events;

use std::io::BufRead as _;
use std::net::Ipv4Addr;
use std::sync::Arc;

use discv5::{ConfigBuilder, Discv5, Enr, Event, ListenConfig};
use enr::{CombinedKey, EnrPublicKey as _};
use serde_json::{Value, json};
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};

use events::print;

/// The TALKREQ protocol that is answered with what was asked.
const ECHO: &[u8] = b"echo";

#[tokio::main]
async fn main() {
    // What it does is for whoever reads a test that failed.
    let log = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let log = log.with_filter(LevelFilter::DEBUG);
    let subscriber = tracing_subscriber::registry().with(events::Bans).with(log);
    tracing::subscriber::set_global_default(subscriber).expect("no other subscriber");

    let address: Ipv4Addr = optional("--address").map_or(Ipv4Addr::LOCALHOST, |address| {
        address.parse().expect("--address takes an IPv4 address")
    });
    let port: u16 = argument("--listen").parse().expect("--listen takes a port");
    let mut key = hex::decode(argument("--key")).expect("--key takes hex digits");
    let key = CombinedKey::secp256k1_from_bytes(&mut key).expect("--key takes a valid key");

    let socket = UdpSocket::bind((address, port)).await.expect("the port is free");
    let port = socket.local_addr().expect("a bound socket has an address").port();
    let record = Enr::builder().ip4(address).udp4(port).build(&key).expect("a short record");
    let listen = ListenConfig::FromSockets { ipv4: Some(Arc::new(socket)), ipv6: None };
    let mut node = Discv5::new(record.clone(), key, ConfigBuilder::new(listen).build())
        .expect("the record is of this key");
    for boot in optional("--bootnodes").iter().flat_map(|list| list.split(',')) {
        node.add_enr(commands::record(boot)).expect("a record with an address");
    }
    node.start().await.expect("the socket is there");
    let mut happened = node.event_stream().await.expect("it runs");
    let public_key = hex::encode(record.public_key().encode_uncompressed());
    print(&json!({
        "event": "listening",
        "id": events::id(&record.node_id()),
        "enr": record.to_base64(),
        "enode": format!("enode://{public_key}@{address}:0?discport={port}"),
        "discovery": events::endpoint(address.into(), port),
    }));

    let (sender, mut commands) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            let Ok(line) = line else { break };
            let command: Value = serde_json::from_str(&line).expect("a JSON command");
            sender.send(command).expect("main is listening");
        }
        std::process::exit(0);
    });

    loop {
        tokio::select! {
            Some(command) = commands.recv() => commands::run(&node, command),
            Some(event) = happened.recv() => on_event(&node, event),
        }
    }
}

fn on_event(node: &Discv5, event: Event) {
    match event {
        Event::SessionEstablished(record, remote) => print(&json!({
            "event": "v5_session",
            "id": events::id(&record.node_id()),
            "enr": record.to_base64(),
            "remote": remote,
        })),
        Event::NodeInserted { node_id, .. } => print(&json!({
            "event": "v5_node_added",
            "id": events::id(&node_id),
            "enr": node.find_enr(&node_id).map(|record| record.to_base64()),
        })),
        Event::UnverifiableEnr { node_id, socket, .. } => print(&json!({
            "event": "v5_unverifiable",
            "id": events::id(&node_id),
            "remote": socket,
        })),
        Event::SocketUpdated(endpoint) => print(&json!({
            "event": "v5_endpoint",
            "endpoint": endpoint,
        })),
        Event::TalkRequest(request) => {
            print(&json!({
                "event": "v5_talk_request",
                "id": events::id(request.node_id()),
                "protocol": String::from_utf8_lossy(request.protocol()),
                "payload": hex::encode(request.body()),
            }));
            let answer =
                if request.protocol() == ECHO { request.body().to_vec() } else { Vec::new() };
            request.respond(answer).expect("it runs");
        }
        // Told of where it was asked for.
        Event::Discovered(_) => {}
        other => print(&json!({ "event": "log", "message": format!("{other:?}") })),
    }
}

/// The value that follows `name` on the command line.
fn argument(name: &str) -> String {
    optional(name).unwrap_or_else(|| panic!("{name} is missing"))
}

fn optional(name: &str) -> Option<String> {
    std::env::args().skip_while(|argument| argument != name).nth(1)
}
