//! Discovery v5 of Peerage and of a node that takes commands, sigp or chainsafe: each asks the
//! other. Each function is a test, and its name the claim.

use std::net::SocketAddr;

use peerage_interop::{
    ECHO, Foreign, Implementation, Listening, Netns, Nodes, Peerage, distance, text, until,
};
use serde_json::json;

const ANY_PORT: [&str; 2] = ["--listen", "0"];

/// A key of ours whose node id differs in its first bit from those of all foreign nodes: whoever
/// looks for it asks each of them for half of what they know, and for two further buckets.
const FAR: &str = "0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b01";

/// More than a handshake packet has room for beside a record, and less than a packet.
const LONG: usize = 1000;

pub(crate) fn it_pings_us_and_hears_where_it_is(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let ours = Peerage::run(&net, &[]);
    let (mut theirs, names) = start(&net, them, 1);
    let pong = theirs.v5_ping(&ours.enr());
    assert_eq!(pong["endpoint"], names.discovery.to_string());
    assert_eq!(pong["seq"], Peerage::sequence(&net, &ours.enr()));
    assert_eq!(theirs.event("v5_session")["remote"], ours.discovery().to_string());
}

pub(crate) fn it_asks_us_and_is_told_of_us_and_of_a_node_that_we_have_checked(
    them: Implementation,
) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let mut ours = Peerage::run(&net, &[]);
    let (mut asking, _) = start(&net, them, 1);
    let (_told, told) = introduce(&net, them, &mut ours);

    let us = (ours.id(), ours.enr());
    assert_eq!(asking.v5_find_node(&ours.enr(), &[0]), Nodes::from([us.clone()]));
    let far = distance(&ours.id(), &told.id);
    let nodes = asking.v5_find_node(&ours.enr(), &[far]);
    assert_eq!(nodes[&told.id], told.enr);
    assert!(nodes.keys().all(|id| distance(&ours.id(), id) == far), "{nodes:?}");
    let nodes = asking.v5_find_node(&ours.enr(), &[0, far]);
    assert_eq!((&nodes[&us.0], &nodes[&told.id]), (&us.1, &told.enr));
    // Nobody is as close to us as that. An answer with nothing in it is one too.
    assert_eq!(asking.v5_find_node(&ours.enr(), &[1, 2]), Nodes::new());
}

pub(crate) fn it_sends_us_requests_of_three_protocols(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let ours = Peerage::run(&net, &["--talk-echo", "demo", "--talk-echo", "other"]);
    let (mut theirs, _) = start(&net, them, 1);
    let long = "5a".repeat(LONG);
    assert_eq!(theirs.v5_talk(&ours.enr(), "demo", "c0ffee"), "c0ffee");
    assert_eq!(theirs.v5_talk(&ours.enr(), "other", &long), long);
    assert_eq!(theirs.v5_talk(&ours.enr(), "other", ""), "");
    assert_eq!(theirs.v5_talk(&ours.enr(), "unknown", "c0ffee"), "");
}

pub(crate) fn it_finds_the_node_that_we_know(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let mut ours = Peerage::run(&net, &[]);
    let (mut looking, _) = start(&net, them, 1);
    let (_told, told) = introduce(&net, them, &mut ours);
    looking.v5_ping(&ours.enr());
    let found = looking.v5_lookup(&told.id);
    assert_eq!(found[&told.id], told.enr);
    assert_eq!(found[&ours.id()], ours.enr());
    assert!(!looking.has_said("v5_banned"), "it banned us");
}

pub(crate) fn it_reaches_us_after_we_have_forgotten_its_session(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let ours = Peerage::run(&net, &[]);
    let (mut theirs, _) = start(&net, them, 1);
    theirs.v5_ping(&ours.enr());
    let ours = ours.restart(&net, &[]);
    let pong = theirs.v5_ping(&ours.enr());
    assert_eq!(pong["seq"], Peerage::sequence(&net, &ours.enr()));
}

pub(crate) fn we_reach_it_after_it_has_forgotten_our_session(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let listen = ["--listen", "30303"];
    let mut theirs = Foreign::spawn(&net, them, &listen);
    let first = theirs.listening();
    let mut ours = Peerage::run(&net, &["--bootnodes", &first.enr]);
    until("we know it", || ours.v5_table().contains_key(&first.id));
    drop(theirs);
    let mut theirs = Foreign::spawn(&net, them, &listen);
    assert_eq!(theirs.listening().id, first.id);
    // At the latest when we check whether it is still there.
    assert_eq!(theirs.v5_node_added(&ours.id()), ours.enr());
}

pub(crate) fn ping_prints_its_round_trip_and_its_record(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let (_theirs, names) = start(&net, them, 1);
    // By its URL, all that is known of it is its key and its UDP port.
    for node in [&names.enr, &names.enode] {
        let (pong, success) = Peerage::once(&net, &["ping", "--v5", "--json", node]);
        assert!(success && pong["ok"] == true, "{pong}");
        assert_eq!(pong["id"], names.id);
        assert_eq!(pong["remote"], names.discovery.to_string());
        assert_eq!(pong["enr"], names.enr);
        assert_eq!(pong["seq"], Peerage::sequence(&net, &names.enr));
        assert!(pong["round_trip_ms"].is_number(), "{pong}");
        let here: SocketAddr = text(&pong["our_endpoint"]).parse().expect("because it saw us");
        assert!(here.ip().is_loopback(), "{pong}");
    }
}

pub(crate) fn talk_prints_what_it_answers(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let (mut theirs, names) = start(&net, them, 1);
    for (protocol, response) in [(ECHO, "c0ffee"), ("other", "")] {
        talk(&net, &mut theirs, &names, protocol, "c0ffee", response);
    }
}

pub(crate) fn talk_sends_more_than_its_handshake_has_room_for(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let (mut theirs, names) = start(&net, them, 1);
    let long = "5a".repeat(LONG);
    talk(&net, &mut theirs, &names, ECHO, &long, &long);
}

pub(crate) fn lookup_prints_the_node_that_it_knows(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let (mut boot, boot_names) = start(&net, them, 1);
    let (_known, known) = start(&net, them, 2);
    boot.v5_ping(&known.enr);
    Peerage::v5_lookup_finds(&net, &boot_names, &known);
    assert!(!boot.has_said("v5_banned"), "it banned us");
}

pub(crate) fn our_server_finds_the_node_that_it_knows(them: Implementation) {
    let Some(net) = Netns::for_test(&[them]) else { return };
    let (mut boot, boot_names) = start(&net, them, 1);
    let (_known, known) = start(&net, them, 2);
    boot.v5_ping(&known.enr);
    let mut ours = Peerage::run_with_key(&net, FAR, &["--bootnodes", &boot_names.enr]);
    // So a lookup of ourselves asks it for the bucket of the other one.
    let far = [&ours.id(), &known.id].map(|id| distance(&boot_names.id, id));
    assert!(far[0] == 256 && far[1] >= 254, "other keys are needed: {far:?}");
    for names in [&boot_names, &known] {
        until("we know it", || ours.v5_table().get(&names.id) == Some(&names.enr));
    }
    assert_eq!(boot.v5_node_added(&ours.id()), ours.enr());
    assert!(!boot.has_said("v5_banned"), "it banned us");
}

/// Has `peerage talk` send a request to a node, and compares what each side says of it.
fn talk(
    net: &Netns,
    theirs: &mut Foreign,
    names: &Listening,
    protocol: &str,
    payload: &str,
    response: &str,
) {
    let (answer, success) = Peerage::once(net, &["talk", "--json", &names.enr, protocol, payload]);
    assert!(success && answer["ok"] == true, "{answer}");
    assert_eq!(answer["id"], names.id);
    assert_eq!(answer["response"], response);
    assert!(answer["round_trip_ms"].is_number(), "{answer}");
    let request = theirs.event("v5_talk_request");
    assert_eq!((&request["protocol"], &request["payload"]), (&json!(protocol), &json!(payload)));
}

/// Node number `number` of its kind.
pub(crate) fn start(net: &Netns, them: Implementation, number: u8) -> (Foreign, Listening) {
    let mut node = Foreign::spawn_one_of(net, them, number, &ANY_PORT);
    let names = node.listening();
    (node, names)
}

/// A second node of its kind that has pinged ours, and that ours has checked since.
fn introduce(net: &Netns, them: Implementation, ours: &mut Peerage) -> (Foreign, Listening) {
    let (mut node, names) = start(net, them, 2);
    node.v5_ping(&ours.enr());
    until("we have checked it", || ours.v5_table().get(&names.id) == Some(&names.enr));
    (node, names)
}
