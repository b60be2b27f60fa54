//! Discovery v4 of Peerage and of ethrex-p2p, with records: each finds, asks and keeps the other.
//!
//! ethrex takes no commands here: told of a boot node, it pings it, asks it for nodes and for its
//! record.

use peerage_interop::{Foreign, Implementation, Netns, Peerage, public_key};

const THEM: Implementation = Implementation::Ethrex;
const PORT: &str = "30303";

#[test]
fn it_proves_itself_asks_for_nodes_and_keeps_our_record() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let ours = Peerage::run(&net, &[]);
    let us = public_key(&ours.enode()).to_owned();
    let mut theirs = Foreign::spawn(
        &net,
        THEM,
        &["--listen", PORT, "--discovery", "--bootnodes", &ours.enode()],
    );
    theirs.enode();
    theirs.v4_received_from("pong", &us);
    theirs.v4_received_from("ping", &us);
    theirs.v4_received_from("neighbors", &us);
    assert_eq!(theirs.v4_record(&us, 1), ours.enr());
}

#[test]
fn we_prove_ourselves_ask_it_for_nodes_and_keep_its_record() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", PORT, "--discovery"]);
    let enode = theirs.enode();
    let mut ours = Peerage::run(&net, &["--bootnodes", &enode]);
    let us = public_key(&ours.enode()).to_owned();
    theirs.v4_received_from("ping", &us);
    theirs.v4_received_from("pong", &us);
    theirs.v4_received_from("findnode", &us);
    theirs.v4_received_from("enrrequest", &us);

    // A record that has come shows in the table at the latest when the next packet was answered.
    let record = loop {
        let table = ours.table();
        let nodes = table["nodes"].as_array().expect("because a table has nodes");
        let it = nodes.iter().find(|node| node["enode"] == enode.as_str());
        match it.and_then(|it| it["enr"].as_str()) {
            Some(record) => break record.to_owned(),
            None => theirs.v4_received_from("findnode", &us),
        };
    };
    let (pong, success) = Peerage::once(&net, &["ping", "--v4", "--json", &enode]);
    assert!(success, "{pong}");
    assert_eq!(pong["enr"], record, "it is not the record that it has");
}

#[test]
fn ping_prints_its_round_trip_and_its_record() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", PORT, "--discovery"]);
    let enode = theirs.enode();
    let (pong, success) = Peerage::once(&net, &["ping", "--v4", "--json", &enode]);
    assert!(success, "{pong}");
    assert!(pong["round_trip_ms"].is_number(), "{pong}");
    let record = pong["enr"].as_str().expect("because it has a record");
    let (decoded, success) = Peerage::once(&net, &["enr", "decode", "--json", record]);
    assert!(success, "{decoded}");
    // It signs it once for its address, and again for its chain.
    assert_eq!(decoded["seq"], 2, "{decoded}");
    assert!(decoded.to_string().contains(PORT), "{decoded}");
}

#[test]
fn it_fetches_our_record_again_when_it_hears_of_a_newer_one() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let ours = Peerage::run(&net, &[]);
    let us = public_key(&ours.enode()).to_owned();
    let mut theirs = Foreign::spawn(
        &net,
        THEM,
        &["--listen", PORT, "--discovery", "--bootnodes", &ours.enode()],
    );
    let enode = theirs.enode();
    let first = theirs.v4_record(&us, 1);
    assert_eq!(first, ours.enr());
    // Every start announces a new record.
    let ours = ours.restart(&net, &["--bootnodes", &enode]);
    assert_ne!(ours.enr(), first);
    let seq = Peerage::sequence(&net, &ours.enr());
    assert!(seq > Peerage::sequence(&net, &first));
    assert_eq!(theirs.v4_record(&us, seq), ours.enr());
}
