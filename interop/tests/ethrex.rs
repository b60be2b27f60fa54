//! Peerage and ethrex-p2p, each dialing the other.
//!
//! ethrex has no capabilities of our choice. With `--echo eth/68/17` ours speaks just enough `eth`:
//! ethrex takes the echo of its own status for the status of a peer on the same chain.

use peerage_interop::{Foreign, Implementation, Netns, Peerage, text};
use serde_json::json;

const THEM: Implementation = Implementation::Ethrex;

// The namespace is new, so any port is free; ethrex cannot pick one by itself.
const LISTEN: [&str; 2] = ["--listen", "30303"];

const TOO_MANY_PEERS: u8 = 0x04;

#[test]
fn it_dials_us_and_hears_that_we_quit() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut ours = Peerage::run(&net, &["--echo", "eth/68/17"]);
    let mut theirs = Foreign::spawn(&net, THEM, &LISTEN);
    theirs.dial(&ours.enode());
    greet(&mut ours, &mut theirs, true);
    assert!(ours.stop().success);
    assert_eq!(theirs.told_to_leave(), "ClientQuitting");
    theirs.closed_cleanly();
}

#[test]
fn we_dial_it_and_it_hears_that_we_quit() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &LISTEN);
    let mut ours = Peerage::run(&net, &["--echo", "eth/68/17", "--static", &theirs.enode()]);
    greet(&mut ours, &mut theirs, false);
    assert!(ours.stop().success);
    assert_eq!(theirs.told_to_leave(), "ClientQuitting");
    theirs.closed_cleanly();
}

#[test]
fn we_hear_why_it_leaves() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut ours = Peerage::run(&net, &["--echo", "eth/68/17"]);
    let mut theirs = Foreign::spawn(&net, THEM, &LISTEN);
    theirs.dial(&ours.enode());
    greet(&mut ours, &mut theirs, true);
    theirs.disconnect(TOO_MANY_PEERS);
    let dropped = ours.event("peer_dropped");
    assert_eq!(dropped["reason_code"], TOO_MANY_PEERS, "{dropped}");
    assert_eq!(dropped["by_us"], false, "{dropped}");
    // It does not watch the connection after its own Disconnect: it would notice the end 40 s
    // later.
}

#[test]
fn without_a_capability_in_common_both_hellos_arrive_and_nothing_is_reset() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &LISTEN);
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4", "--static", &theirs.enode()]);
    assert_eq!(theirs.event("hello")["caps"], json!(["demo/1"]));
    assert_eq!(theirs.event("failed")["error"], "No matching capabilities");
    theirs.closed_cleanly();
    ours.event("dial_failed");
}

#[test]
fn a_server_that_is_full_says_so() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let ours = Peerage::run(&net, &["--echo", "eth/68/17", "--max-peers", "0"]);
    let mut theirs = Foreign::spawn(&net, THEM, &LISTEN);
    theirs.dial(&ours.enode());
    assert_eq!(theirs.event("failed")["error"], "Disconnect requested: Too Many Peers");
    theirs.closed_cleanly();
}

#[test]
fn ping_prints_its_hello() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &LISTEN);
    let (pong, success) = Peerage::once(&net, &["ping", "--json", &theirs.enode()]);
    assert!(success, "{pong}");
    assert_eq!(pong["client"], THEM.client());
    assert!(pong["caps"].as_array().unwrap().contains(&json!("snap/1")), "{pong}");
    theirs.closed_cleanly();
}

/// Waits until each has the other for a peer, and compares what they say of it.
fn greet(ours: &mut Peerage, theirs: &mut Foreign, inbound: bool) {
    let added = ours.event("peer_added");
    assert_eq!(added["client"], THEM.client());
    let capabilities = added["caps"].as_array().expect("because it is a list");
    assert!(capabilities.contains(&json!("eth/68")), "{added}");
    assert!(capabilities.contains(&json!("snap/1")), "{added}");
    assert_eq!(added["inbound"], inbound);
    let status = ours.event("message");
    assert_eq!(status["code"], 0x00);

    assert_eq!(theirs.event("hello")["caps"], json!(["eth/68"]));
    let connected = theirs.event("connect");
    assert!(text(&connected["client"]).starts_with("peerage/"), "{connected}");
    assert_eq!(connected["inbound"], !inbound);
}
