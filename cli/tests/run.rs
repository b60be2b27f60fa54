//! `peerage run` and `peerage ping`, against each other and against the library.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{fs, os::unix::fs::PermissionsExt};

use common::{Node, command, json_lines, run, stdout};
use peerage::{Protocol, SecretKey, Server};
use tokio::sync::mpsc;

#[test]
fn the_first_run_makes_a_private_key_and_the_next_one_has_it_too() {
    let dir = tempfile::tempdir().unwrap();
    let first = Node::start(dir.path(), []);
    let key = dir.path().join("nodekey");
    assert_eq!(fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    let id = first.started["id"].clone();
    let sequence = record_sequence(&first);
    first.signal("TERM");
    first.finish();
    let second = Node::start(dir.path(), []);
    assert_eq!(second.started["id"], id);
    assert!(record_sequence(&second) > sequence, "the record did not get a new number");
}

fn record_sequence(node: &Node) -> u64 {
    let record = node.started["enr"].as_str().unwrap();
    json_lines(["enr", "decode", "--json", record])[0]["seq"].as_u64().unwrap()
}

#[test]
fn two_servers_cannot_share_a_data_directory() {
    let dir = tempfile::tempdir().unwrap();
    let _first = Node::start(dir.path(), []);
    let second =
        run(["run", "--listen", "127.0.0.1:0", "--data-dir", dir.path().to_str().unwrap()]);
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8(second.stderr).unwrap().contains("in use by another server"));
}

#[test]
fn either_signal_stops_cleanly() {
    for signal in ["TERM", "INT"] {
        let dir = tempfile::tempdir().unwrap();
        let node = Node::start(dir.path(), ["--echo", "demo/1/4"]);
        // Twice at once, as `timeout` does it, is once.
        node.signal(signal);
        node.signal(signal);
        let (events, status) = node.finish();
        assert_eq!(events, [serde_json::json!({ "event": "stopped" })], "{signal}");
        assert!(status.success(), "{signal}: {status}");
    }
}

#[test]
fn ping_shows_the_hello_of_a_running_node() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), ["--echo", "demo/1/4", "--name", "tested/1"]);
    let pong = &json_lines(["ping", &node.enode(), "--cap", "demo/1", "--json"])[0];
    assert_eq!(pong["ok"], true);
    assert_eq!(pong["id"], node.started["id"]);
    assert_eq!(pong["client"], "tested/1");
    assert_eq!(pong["caps"], serde_json::json!(["demo/1"]));
    assert!(pong["round_trip_ms"].is_number());
    assert_eq!(pong["disconnect"], serde_json::Value::Null);

    // Useless to it: it says so, after its Hello.
    let pong = &json_lines(["ping", &node.enode(), "--json"])[0];
    assert_eq!(pong["client"], "tested/1");
    assert_eq!(pong["disconnect"]["reason"], "useless_peer");
    assert_eq!(pong["disconnect"]["reason_code"], 0x03);

    let text = stdout(["ping", &node.enode(), "--cap", "demo/1"]);
    assert!(text.contains("client        tested/1\n"), "{text}");
}

#[test]
fn ping_fails_with_the_reason_of_a_node_that_drops_us_before_hello() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), ["--max-peers", "0", "--echo", "demo/1/4"]);
    let output = run(["ping", &node.enode(), "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(answer["ok"], false);
    assert_eq!(answer["disconnect"]["reason"], "too_many_peers");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("ended the connection before its Hello: peer disconnected: too many"),
        "{error}"
    );

    // With its key, we are the node itself.
    let key = dir.path().join("nodekey");
    let output = run(["ping", &node.enode(), "--key-file", key.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
}

/// A peer of the library sends three messages, gets them back, and leaves.
#[tokio::test(flavor = "multi_thread")]
async fn run_reports_a_peer_and_its_messages_in_order_and_echoes_them() {
    let dir = tempfile::tempdir().unwrap();
    let mut node = Node::start(dir.path(), ["--echo", "demo/1/4"]);
    let (sender, mut echoed) = mpsc::unbounded_channel();
    let protocol = Protocol::new("demo", 1, 4, move |_, mut channel| {
        let sender = sender.clone();
        async move {
            for code in 0..3 {
                channel.send(code, vec![0xab; 1000 * usize::try_from(code).unwrap()]).await?;
            }
            for _ in 0..3 {
                let Some(message) = channel.recv().await else { break };
                sender.send((message.code, message.payload.len())).unwrap();
            }
            Ok(())
        }
    });
    let key = SecretKey::from_bytes(&[7; 32]).unwrap();
    let id = key.public().id().to_string();
    let peer = Server::builder(key)
        .protocol(protocol)
        .client_name("sender/1")
        .static_node(node.enode().parse().unwrap())
        .start()
        .await
        .unwrap();
    for expected in [(0, 0), (1, 1000), (2, 2000)] {
        assert_eq!(echoed.recv().await, Some(expected));
    }
    peer.stop().await;

    let added = node.next_event().unwrap();
    assert_eq!(added["event"], "peer_added");
    assert_eq!((&added["id"], &added["inbound"]), (&id.as_str().into(), &true.into()));
    assert_eq!(added["client"], "sender/1");
    assert_eq!(added["caps"], serde_json::json!(["demo/1"]));
    assert!(added["remote"].as_str().unwrap().starts_with("127.0.0.1:"));
    for (code, size) in [(0, 0), (1, 1000), (2, 2000)] {
        let message = node.next_event().unwrap();
        assert_eq!(
            message,
            serde_json::json!({
                "event": "message", "id": id, "protocol": "demo/1", "code": code, "size": size,
            })
        );
    }
    let dropped = node.next_event().unwrap();
    assert_eq!(dropped["event"], "peer_dropped");
    assert_eq!(
        (&dropped["reason"], &dropped["reason_code"]),
        (&"client_quitting".into(), &8.into())
    );
    assert_eq!(dropped["by_us"], false);
    assert!(dropped["duration_ms"].is_u64());
}

#[test]
fn static_nodes_connect_and_a_stop_says_goodbye() {
    let (dir_a, dir_b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut a = Node::start(dir_a.path(), ["--echo", "demo/1/4"]);
    let enode = a.enode();
    let mut b = Node::start(dir_b.path(), ["--echo", "demo/1/4", "--static", &enode]);
    let added = b.event("peer_added");
    assert_eq!((&added["id"], &added["inbound"]), (&a.started["id"], &false.into()));
    assert_eq!(a.event("peer_added")["id"], b.started["id"]);
    b.signal("TERM");
    let (events, status) = b.finish();
    assert!(status.success());
    assert_eq!(events[0]["event"], "peer_dropped");
    assert_eq!(events[0]["by_us"], true);
    assert_eq!(events.last().unwrap()["event"], "stopped");
    let dropped = a.event("peer_dropped");
    assert_eq!(dropped["reason"], "client_quitting");
    assert_eq!(dropped["by_us"], false);
}

#[test]
fn a_static_node_that_is_not_there_is_a_failed_dial_that_will_be_tried_again() {
    let dir = tempfile::tempdir().unwrap();
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let key = SecretKey::from_bytes(&[7; 32]).unwrap();
    let enode = format!("enode://{}@{gone}", key.public());
    let mut node = Node::start(dir.path(), ["--static", &enode]);
    let failed = node.next_event().unwrap();
    assert_eq!(failed["event"], "dial_failed");
    assert_eq!(failed["id"], key.public().id().to_string());
    assert_eq!(failed["why"], "dial failed: connection refused");
    assert!(failed["retry_ms"].as_u64().unwrap() > 0);
}

#[test]
fn settings_come_from_a_file_and_flags_win() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("node.toml");
    let data = dir.path().join("data");
    let content = format!(
        "data-dir = {data:?}\nlisten = \"127.0.0.1:0\"\nname = \"file/1\"\necho = [\"demo/1/4\"]\n\
         json = true\nmax-peers = 3\nnet-restrict = \"127.0.0.0/8\"\n"
    );
    fs::write(&file, content).unwrap();
    for (flags, name) in [(&[][..], "file/1"), (&["--name", "flag/1"][..], "flag/1")] {
        let mut child = command(["run", "--config", file.to_str().unwrap()])
            .args(flags)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let out = child.stdout.as_mut().unwrap();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(out), &mut line).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        let started: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(started["name"], name);
        assert!(data.join("nodekey").exists());
    }
}
