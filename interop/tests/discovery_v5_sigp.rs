//! Discovery v5 of Peerage and of discv5 by Sigma Prime, each asking the other.

mod v5;

use peerage_interop::{Foreign, Implementation, Netns, Peerage, public_key, text};
use serde_json::Value;

const THEM: Implementation = Implementation::Sigp;

#[test]
fn it_pings_us_and_hears_where_it_is() {
    v5::it_pings_us_and_hears_where_it_is(THEM);
}

#[test]
fn it_asks_us_and_is_told_of_us_and_of_a_node_that_we_have_checked() {
    v5::it_asks_us_and_is_told_of_us_and_of_a_node_that_we_have_checked(THEM);
}

#[test]
fn it_sends_us_requests_of_three_protocols() {
    v5::it_sends_us_requests_of_three_protocols(THEM);
}

#[test]
fn it_finds_the_node_that_we_know() {
    v5::it_finds_the_node_that_we_know(THEM);
}

#[test]
fn it_reaches_us_after_we_have_forgotten_its_session() {
    v5::it_reaches_us_after_we_have_forgotten_its_session(THEM);
}

#[test]
fn we_reach_it_after_it_has_forgotten_our_session() {
    v5::we_reach_it_after_it_has_forgotten_our_session(THEM);
}

#[test]
fn ping_prints_its_round_trip_and_its_record() {
    v5::ping_prints_its_round_trip_and_its_record(THEM);
}

#[test]
fn talk_prints_what_it_answers() {
    v5::talk_prints_what_it_answers(THEM);
}

#[test]
fn talk_sends_more_than_its_handshake_has_room_for() {
    v5::talk_sends_more_than_its_handshake_has_room_for(THEM);
}

#[test]
fn lookup_prints_the_node_that_it_knows() {
    v5::lookup_prints_the_node_that_it_knows(THEM);
}

#[test]
fn our_server_finds_the_node_that_it_knows() {
    v5::our_server_finds_the_node_that_it_knows(THEM);
}

#[test]
fn one_port_of_ours_serves_v4_to_ethereumjs_and_v5_to_it() {
    let v4 = Implementation::Ethereumjs;
    let Some(net) = Netns::for_test(&[THEM, v4]) else { return };
    let mut ours = Peerage::run(&net, &["--talk-echo", "demo"]);
    let (mut theirs, names) = v5::start(&net, THEM, 1);
    let mut old = Foreign::spawn(&net, v4, &["--listen", "0", "--discovery"]);
    let old_id = public_key(&old.enode()).to_owned();

    // In turns, so that both are in the middle of something all the time.
    old.v4_ping(&ours.enode());
    theirs.v5_ping(&ours.enr());
    old.event("v4_pong");
    assert_eq!(theirs.event("v5_session")["remote"], ours.discovery().to_string());
    assert_eq!(theirs.v5_talk(&ours.enr(), "demo", "c0ffee"), "c0ffee");
    assert_eq!(old.v4_received("ping")["remote"], ours.discovery().to_string());
    old.v4_find_node(&ours.enode(), &old_id);
    assert_eq!(theirs.v5_find_node(&ours.enr(), &[0])[&ours.id()], ours.enr());
    old.v4_received("neighbors");

    // Each is known by the version that it speaks, and by no other.
    let wanted = [("v4", old_id), ("v5", public_key(&names.enode).to_owned())];
    peerage_interop::until("both are in the table", || {
        let table = ours.table();
        let nodes = table["nodes"].as_array().expect("because a table has nodes").iter();
        let live = |node: &&Value| node["live"] == true;
        let known: Vec<(&str, &str)> = nodes
            .filter(live)
            .map(|node| (text(&node["version"]), public_key(text(&node["enode"]))))
            .collect();
        let is_known = |(version, key): &(&str, String)| known.contains(&(version, key));
        wanted.iter().all(is_known) && known.len() == wanted.len()
    });
    for version in ["--v4", "--v5"] {
        let (pong, success) = Peerage::once(&net, &["ping", version, "--json", &ours.enr()]);
        assert!(success, "{pong}");
        assert_eq!(pong["remote"], ours.discovery().to_string());
        assert_eq!(pong["enr"], ours.enr());
    }
}
