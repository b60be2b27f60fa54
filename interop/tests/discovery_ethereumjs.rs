//! Discovery v4 of Peerage and of ethereumjs devp2p, each asking the other.
//!
//! It knows nothing of records, and answers a FINDNODE of anybody: what is tested is that the four
//! packets of old pass both ways, and carry nodes.

use peerage_interop::{Foreign, Implementation, Netns, Peerage, public_key};
use serde_json::Value;

const THEM: Implementation = Implementation::Ethereumjs;
const DISCOVER: [&str; 3] = ["--listen", "0", "--discovery"];

#[test]
fn it_pings_us_and_we_ask_it_for_a_proof_in_return() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let ours = Peerage::run(&net, &[]);
    let mut theirs = Foreign::spawn(&net, THEM, &DISCOVER);
    theirs.enode();
    theirs.v4_ping(&ours.enode());
    assert_eq!(theirs.event("v4_pong")["id"], public_key(&ours.enode()));
    assert_eq!(theirs.v4_received("ping")["remote"], ours.discovery().to_string());
}

#[test]
fn it_asks_us_and_we_tell_it_of_a_node_that_we_have_checked() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let ours = Peerage::run(&net, &[]);
    let mut asking = Foreign::spawn(&net, THEM, &DISCOVER);
    let mut told = Foreign::spawn_one_of(&net, THEM, 2, &DISCOVER);
    asking.enode();
    let told_enode = told.enode();
    let target = public_key(&told_enode).to_owned();
    introduce(&mut asking, &ours);
    introduce(&mut told, &ours);

    let neighbor = loop {
        asking.v4_find_node(&ours.enode(), &target);
        let neighbors = asking.v4_received("neighbors");
        let size = neighbors["size"].as_u64().expect("because it is a number");
        assert!(size <= 1280, "{neighbors}");
        if let Some(node) = node_of(&neighbors, &target) {
            break node.clone();
        }
        // Not checked yet. That is a ping; once a question after its pong has an answer, the pong
        // is known.
        told.v4_received("ping");
        told.v4_find_node(&ours.enode(), &target);
        told.v4_received("neighbors");
    };
    assert_eq!(neighbor["ip"], "127.0.0.1");
    for port in ["udp", "tcp"] {
        let suffix = format!(":{}", neighbor[port]);
        assert!(told_enode.ends_with(&suffix), "{port} of {neighbor}, {told_enode}");
    }
}

#[test]
fn ping_measures_its_round_trip_and_knows_that_it_has_no_record() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &DISCOVER);
    let enode = theirs.enode();
    let (pong, success) = Peerage::once(&net, &["ping", "--v4", "--json", &enode]);
    assert!(success, "{pong}");
    assert_eq!(pong["ok"], true, "{pong}");
    assert!(pong["round_trip_ms"].is_number(), "{pong}");
    assert_eq!(pong["enr"], Value::Null, "{pong}");
    theirs.v4_received("ping");
}

#[test]
fn we_ask_it_and_find_the_node_that_it_knows() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut boot = Foreign::spawn(&net, THEM, &DISCOVER);
    let mut known = Foreign::spawn_one_of(&net, THEM, 2, &DISCOVER);
    let (boot_enode, known_enode) = (boot.enode(), known.enode());
    boot.v4_ping(&known_enode);
    boot.event("v4_pong");

    // It was asked only once by its friend.
    known.v4_received("ping");
    let _ours = Peerage::run(&net, &["--bootnodes", &boot_enode]);
    boot.v4_received("findnode");
    known.v4_received("ping");
    known.v4_received("findnode");
}

#[test]
fn lookup_prints_the_node_that_it_knows() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut boot = Foreign::spawn(&net, THEM, &DISCOVER);
    let mut known = Foreign::spawn_one_of(&net, THEM, 2, &DISCOVER);
    let (boot_enode, known_enode) = (boot.enode(), known.enode());
    boot.v4_ping(&known_enode);
    boot.event("v4_pong");
    let (lines, success) =
        Peerage::lines(&net, &["lookup", &known_enode, "--json", "--bootnodes", &boot_enode]);
    assert!(success, "{lines:?}");
    let found = lines.iter().any(|line| line.to_string().contains(&known_enode));
    assert!(found, "{known_enode} is not in {lines:?}");
}

/// Lets it ping us, and waits until each has proved its address to the other.
fn introduce(theirs: &mut Foreign, ours: &Peerage) {
    theirs.v4_ping(&ours.enode());
    theirs.event("v4_pong");
    // Its pong goes before anything that it sends after this.
    theirs.v4_received("ping");
}

fn node_of<'a>(neighbors: &'a Value, id: &str) -> Option<&'a Value> {
    let nodes = neighbors["nodes"].as_array().expect("because NEIGHBORS has nodes");
    nodes.iter().find(|node| node["id"] == id)
}
