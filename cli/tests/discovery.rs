//! Discovery as the command has it: boot nodes, `run` that finds others, `ping --v4`, `lookup`, the
//! table.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test")]

mod common;

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use common::{Node, command, json_lines, run, stdout};
use serde_json::Value;

/// A boot node on loopback.
fn boot_node() -> (tempfile::TempDir, Node) {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), ["--bootnode"]);
    (dir, node)
}

/// A node that knows the boot node alone.
fn member(boot: &Node) -> (tempfile::TempDir, Node) {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), ["--echo", "demo/1/4", "--bootnodes", &boot.enode()]);
    (dir, node)
}

/// How many nodes in the table of v4 have been checked.
fn checked(node: &mut Node) -> usize {
    node.signal("USR1");
    let table = node.event("table");
    let is_checked = |node: &&Value| node["version"] == "v4" && node["live"] == true;
    table["nodes"].as_array().unwrap().iter().filter(is_checked).count()
}

#[test]
fn nodes_that_are_told_of_a_boot_node_alone_connect_to_each_other() {
    let (_boot_dir, mut boot) = boot_node();
    let (_a_dir, mut a) = member(&boot);
    let (_b_dir, mut b) = member(&boot);
    assert_eq!(a.event("peer_added")["id"], b.started["id"]);
    assert_eq!(b.event("peer_added")["id"], a.started["id"]);

    // A boot node tells those that ask by v4 of the nodes that it has checked by v4.
    while checked(&mut boot) < 2 {}
    // Through it, a stranger finds them too, by key as by id alone.
    for target in [a.enode(), a.started["id"].as_str().unwrap().to_owned()] {
        let events = json_lines(["lookup", &target, "--bootnodes", &boot.enode(), "--json"]);
        let result = events.last().unwrap();
        assert_eq!(result["event"], "result");
        assert_eq!((&result["target"], &result["found"]), (&a.started["id"], &true.into()));
        let ids: Vec<&Value> =
            result["closest"].as_array().unwrap().iter().map(|node| &node["id"]).collect();
        assert_eq!(ids[0], &a.started["id"]);
        assert!(ids.contains(&&b.started["id"]), "{result}");
        assert_eq!((&events[0]["event"], &events[0]["ok"]), (&"bootnode".into(), &true.into()));
        assert!(events.iter().any(|event| event["event"] == "step"));
    }
}

#[test]
fn a_boot_node_answers_over_udp_and_takes_no_connections() {
    let (_dir, boot) = boot_node();
    assert_eq!(boot.started["listen"], Value::Null);
    let discovery = boot.started["discovery"].as_str().unwrap();
    assert!(discovery.starts_with("127.0.0.1:"), "{discovery}");
    let pong = &json_lines(["ping", "--v4", &boot.enode(), "--json"])[0];
    assert_eq!(pong["ok"], true);
    assert_eq!(pong["remote"], discovery);
    assert_eq!(pong["enr"], boot.started["enr"]);
    assert!(pong["round_trip_ms"].is_number());
    let record = &json_lines(["enr", "decode", "--json", pong["enr"].as_str().unwrap()])[0];
    assert_eq!(pong["seq"], record["seq"]);
    assert!(pong["our_endpoint"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(run(["ping", &boot.enode()]).status.code(), Some(1));
}

#[test]
fn ping_v4_of_a_running_node_shows_its_record_to_people_too() {
    let dir = tempfile::tempdir().unwrap();
    let node = Node::start(dir.path(), []);
    assert_eq!(node.started["discovery"], node.started["listen"]);
    let text = stdout(["ping", "--v4", &node.enode()]);
    let record = format!("record      {}\n", node.started["enr"].as_str().unwrap());
    assert!(text.contains(&record), "{text}");
    assert!(text.contains("round trip  "), "{text}");
}

#[test]
fn without_discovery_there_is_no_udp_socket_and_no_table() {
    let dir = tempfile::tempdir().unwrap();
    let (_boot_dir, boot) = boot_node();
    let mut node = Node::start(dir.path(), ["--discovery", "none", "--bootnodes", &boot.enode()]);
    assert_eq!(node.started["discovery"], Value::Null);
    node.signal("USR1");
    let table = node.event("table");
    assert_eq!(table, serde_json::json!({ "event": "table", "discovery": false, "nodes": [] }));
}

#[test]
fn a_signal_shows_the_table_to_programs() {
    let (_boot_dir, mut boot) = boot_node();
    // It has proved itself to the boot node once it has an answer to a question.
    let (_a_dir, a) = member(&boot);
    let (_b_dir, mut b) = member(&boot);
    b.event("peer_added");
    boot.signal("USR1");
    let table = boot.event("table");
    assert_eq!(table["discovery"], true);
    let nodes = table["nodes"].as_array().unwrap();
    let entry = nodes.iter().find(|node| node["id"] == a.started["id"]).unwrap();
    assert_eq!(entry["endpoint"], a.started["discovery"]);
    assert_eq!(entry["enode"], a.started["enode"]);
    assert!((1..=256).contains(&entry["distance"].as_u64().unwrap()));
    assert!(entry["live"].is_boolean() && entry["checks"].is_u64() && entry["known_ms"].is_u64());
}

#[test]
fn a_signal_shows_the_table_to_people_on_standard_error() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = command(["run", "--listen", "127.0.0.1:0", "--data-dir"])
        .arg(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(out.any(|line| line.unwrap().starts_with("discovery  127.0.0.1:")));
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-s", "USR1", &pid]).status().unwrap().success());
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(line, "discovery table: 0 nodes, 0 of them checked\n");
}

#[test]
fn boot_nodes_that_cannot_be_reached_or_resolved_stop_nobody() {
    let key = "ca634cae0d49acb401d8a4c6b6fe8c55b70d115bf400769cc1400f3258cd3138\
               7574077f301b421bc84df7266c44e9e6d569fc56be00812904767bf5ccd1fc7f";
    let dir = tempfile::tempdir().unwrap();
    let bad =
        format!("enode://{key},enode://{key}@nowhere.invalid:30303,enode://{key}@127.0.0.1:9");
    let node = Node::start(dir.path(), ["--bootnodes", &bad]);
    node.signal("TERM");
    let (events, status) = node.finish();
    assert!(status.success());
    assert_eq!(events.last().unwrap()["event"], "stopped");
}

#[test]
fn a_boot_node_can_be_described_in_a_file_and_flags_name_its_address() {
    let dir = tempfile::tempdir().unwrap();
    let (_other_dir, other) = boot_node();
    let file = dir.path().join("node.toml");
    let content = format!(
        "bootnode = true\ndiscovery = \"v4,v5\"\nbootnodes = [\"{0},{0}\"]\ndiscovery-listen = \":0\"\n",
        other.enode()
    );
    fs::write(&file, content).unwrap();
    let data = dir.path().join("data");
    let args = ["--config", file.to_str().unwrap(), "--discovery-listen", "127.0.0.2:0"];
    let node = Node::start(&data, args);
    assert!(node.started["discovery"].as_str().unwrap().starts_with("127.0.0.2:"));
    assert_eq!(node.started["listen"], Value::Null);
}
