//! Discovery v5 of Peerage and of ethrex-p2p: each shakes hands with the other, pings it and asks
//! it for nodes.
//!
//! ethrex takes no commands here: it looks for nodes twice a second, and pings whom it has heard of
//! within a second. A node whose record has an address is told of nodes after that alone.

use peerage_interop::{Foreign, Implementation, Listening, Netns, Peerage, until};
use serde_json::Value;

const THEM: Implementation = Implementation::Ethrex;

#[test]
fn it_shakes_hands_asks_us_pings_us_and_keeps_our_record() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let ours = Peerage::run(&net, &[]);
    let us = ours.discovery();
    let (mut theirs, _) = start(&net, 1, "30303", Some(&ours.enr()));
    assert_eq!(role(&mut theirs, us), "initiator");
    theirs.v5_received("nodes", us);
    theirs.v5_received("pong", us);
    assert_eq!(theirs.v5_node_added(&ours.id()), ours.enr());
}

#[test]
fn we_shake_hands_ping_it_ask_it_and_keep_its_record() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let (mut theirs, names) = start(&net, 1, "30303", None);
    let mut ours = Peerage::run(&net, &["--bootnodes", &names.enr]);
    let us = ours.discovery();
    assert_eq!(role(&mut theirs, us), "recipient");
    theirs.v5_received("ping", us);
    theirs.v5_received("findnode", us);
    until("we know it", || ours.v5_table().get(&names.id) == Some(&names.enr));
    assert_eq!(theirs.v5_node_added(&ours.id()), ours.enr());
    // It asks back.
    theirs.v5_received("nodes", us);
}

#[test]
fn our_next_handshake_brings_it_our_new_record() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let (mut theirs, names) = start(&net, 1, "30303", None);
    let ours = Peerage::run(&net, &["--bootnodes", &names.enr]);
    assert_eq!(theirs.v5_node_added(&ours.id()), ours.enr());
    // Every start announces a new record.
    let ours = ours.restart(&net, &["--bootnodes", &names.enr]);
    assert_eq!(theirs.v5_node_added(&ours.id()), ours.enr());
}

#[test]
fn ping_prints_its_round_trip_and_its_record() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let (_theirs, names) = start(&net, 1, "30303", None);
    for node in [&names.enr, &names.enode] {
        let (pong, success) = Peerage::once(&net, &["ping", "--v5", "--json", node]);
        assert!(success && pong["ok"] == true, "{pong}");
        assert_eq!(
            (&pong["id"], &pong["enr"]),
            (&names.id.clone().into(), &names.enr.clone().into())
        );
        assert_eq!(pong["remote"], names.discovery.to_string());
        assert_eq!(pong["seq"], Peerage::sequence(&net, &names.enr));
    }
}

#[test]
fn talk_is_answered_with_nothing() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let (_theirs, names) = start(&net, 1, "30303", None);
    let (answer, success) = Peerage::once(&net, &["talk", "--json", &names.enr, "demo", "c0ffee"]);
    assert!(success && answer["ok"] == true, "{answer}");
    assert_eq!(answer["response"], "");
}

#[test]
fn lookup_prints_the_node_that_it_knows() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let (mut boot, boot_names) = start(&net, 1, "30303", None);
    let (_known, known) = start(&net, 2, "30304", Some(&boot_names.enr));
    assert_eq!(boot.v5_node_added(&known.id), known.enr);
    Peerage::v5_lookup_finds(&net, &boot_names, &known);
}

fn start(net: &Netns, number: u8, port: &str, boot: Option<&str>) -> (Foreign, Listening) {
    let mut arguments = vec!["--listen", port, "--discovery-v5"];
    arguments.extend(boot.iter().flat_map(|boot| ["--bootnodes", boot]));
    let mut node = Foreign::spawn_one_of(net, THEM, number, &arguments);
    let names = node.listening();
    (node, names)
}

/// Waits until it has shaken hands with the node at this address: its role.
fn role(theirs: &mut Foreign, remote: std::net::SocketAddr) -> Value {
    let remote = remote.to_string();
    let session = theirs
        .expect("a handshake", |event| event["event"] == "v5_session" && event["remote"] == remote);
    session["role"].clone()
}
