//! Peerage and ethereumjs devp2p, each dialing the other.

use peerage_interop::{Fill, Foreign, Implementation, Netns, Peerage, text};
use serde_json::json;

const THEM: Implementation = Implementation::Ethereumjs;
const MIB: usize = 1 << 20;

// Disconnect reasons of rlpx.md.
const REQUESTED: u8 = 0x00;
const USELESS_PEER: u8 = 0x03;
const TOO_MANY_PEERS: u8 = 0x04;
const CLIENT_QUITTING: u8 = 0x08;
const SUBPROTOCOL_REASON: u8 = 0x10;

#[test]
fn it_dials_us_and_every_message_comes_back() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4"]);
    let mut theirs = Foreign::spawn(&net, THEM, &[]);
    theirs.dial(&ours.enode());
    greet(&mut ours, &mut theirs, true);
    exchange(&mut ours, &mut theirs);
}

#[test]
fn we_dial_it_and_every_message_comes_back() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", "0"]);
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4", "--static", &theirs.enode()]);
    greet(&mut ours, &mut theirs, false);
    exchange(&mut ours, &mut theirs);
}

#[test]
fn the_second_of_two_capabilities_has_its_own_message_ids() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let arguments = ["--echo", "demo/1/4", "--echo", "another/7/3", "--echo", "unknown/1/9"];
    let mut ours = Peerage::run(&net, &arguments);
    let mut theirs = Foreign::spawn(&net, THEM, &["--cap", "demo/1/4", "--cap", "another/7/3"]);
    theirs.dial(&ours.enode());
    theirs.event("connect");
    for (protocol, code) in [("another", 0x00), ("demo", 0x00), ("another", 0x02), ("demo", 0x03)] {
        theirs.round_trip(protocol, code, 100, Fill::Noise);
    }
    let added = ours.event("peer_added");
    assert_eq!(added["shared"], json!(["another/7", "demo/1"]));
}

#[test]
fn we_hear_why_it_leaves_when_it_has_dialed() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4"]);
    let mut theirs = Foreign::spawn(&net, THEM, &[]);
    for reason in [CLIENT_QUITTING, SUBPROTOCOL_REASON] {
        theirs.dial(&ours.enode());
        greet(&mut ours, &mut theirs, true);
        theirs.disconnect(reason);
        dropped_by_them(&mut ours, reason);
        theirs.closed_cleanly();
    }
}

#[test]
fn we_hear_why_it_leaves_when_we_have_dialed() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", "0"]);
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4", "--static", &theirs.enode()]);
    greet(&mut ours, &mut theirs, false);
    theirs.disconnect(TOO_MANY_PEERS);
    dropped_by_them(&mut ours, TOO_MANY_PEERS);
    theirs.closed_cleanly();
}

#[test]
fn it_hears_that_we_quit_when_it_has_dialed() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4"]);
    let mut theirs = Foreign::spawn(&net, THEM, &[]);
    theirs.dial(&ours.enode());
    greet(&mut ours, &mut theirs, true);
    quit(ours, &mut theirs);
}

#[test]
fn it_hears_that_we_quit_when_we_have_dialed() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", "0"]);
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4", "--static", &theirs.enode()]);
    greet(&mut ours, &mut theirs, false);
    quit(ours, &mut theirs);
}

#[test]
fn a_server_that_is_full_says_so() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let ours = Peerage::run(&net, &["--echo", "demo/1/4", "--max-peers", "0"]);
    let mut theirs = Foreign::spawn(&net, THEM, &[]);
    theirs.dial(&ours.enode());
    assert_eq!(theirs.told_to_leave(), TOO_MANY_PEERS);
    theirs.closed_cleanly();
    let exit = ours.stop();
    assert!(exit.success);
    assert!(exit.events.is_empty(), "it became a peer: {:?}", exit.events);
}

#[test]
fn without_a_capability_in_common_both_call_the_other_useless() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", "0", "--cap", "other/1/4"]);
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4", "--static", &theirs.enode()]);
    // It leaves as soon as it has read our Hello, unless ours was faster: the reason is the same.
    assert_eq!(theirs.event("disconnect")["reason"], USELESS_PEER);
    theirs.closed_cleanly();
    ours.event("dial_failed");
}

#[test]
fn ping_prints_its_hello_and_how_long_it_takes() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", "0"]);
    let (pong, success) =
        Peerage::once(&net, &["ping", "--json", "--cap", "demo/1", &theirs.enode()]);
    assert!(success, "{pong}");
    assert_eq!(pong["client"], THEM.client());
    assert_eq!(pong["caps"], json!(["demo/1"]));
    assert!(pong["round_trip_ms"].is_number(), "{pong}");
    assert_eq!(theirs.told_to_leave(), REQUESTED);
    theirs.closed_cleanly();
}

#[test]
fn ping_prints_why_it_is_refused() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", "0", "--max-peers", "0"]);
    let (pong, _) = Peerage::once(&net, &["ping", "--json", "--cap", "demo/1", &theirs.enode()]);
    assert_eq!(pong["disconnect"]["reason_code"], TOO_MANY_PEERS, "{pong}");
    assert_eq!(pong["disconnect"]["by_us"], false, "{pong}");
    theirs.closed_cleanly();
}

/// Waits until each has the other for a peer, and compares what they say of it.
fn greet(ours: &mut Peerage, theirs: &mut Foreign, inbound: bool) {
    let added = ours.event("peer_added");
    assert_eq!(added["client"], THEM.client());
    assert_eq!(added["caps"], json!(["demo/1"]));
    assert_eq!(added["inbound"], inbound);
    let hello = theirs.event("hello");
    assert!(text(&hello["client"]).starts_with("peerage/"), "{hello}");
    assert_eq!(hello["caps"], json!(["demo/1"]));
    assert_eq!(hello["p2p"], 5);
    assert!(ours.enode().contains(text(&hello["id"])));
    assert_eq!(theirs.event("connect")["eip8"], true);
}

/// Messages of every shape, and what we tell of them.
fn exchange(ours: &mut Peerage, theirs: &mut Foreign) {
    let messages = [
        (0x00, 1, Fill::Noise),
        (0x01, 32, Fill::Noise),
        (0x02, 1024, Fill::Text),
        (0x03, MIB, Fill::Noise),
        (0x00, MIB, Fill::Text),
    ];
    for (code, size, fill) in messages {
        theirs.round_trip("demo", code, size, fill);
        let message = ours.event("message");
        assert_eq!((&message["code"], &message["size"]), (&json!(code), &json!(size)));
    }
}

fn dropped_by_them(ours: &mut Peerage, reason: u8) {
    let dropped = ours.event("peer_dropped");
    assert_eq!(dropped["reason_code"], reason, "{dropped}");
    assert_eq!(dropped["by_us"], false, "{dropped}");
}

/// Stops our node: theirs hears the reason, and ours has told of it.
fn quit(ours: Peerage, theirs: &mut Foreign) {
    let exit = ours.stop();
    assert_eq!(theirs.told_to_leave(), CLIENT_QUITTING);
    theirs.closed_cleanly();
    assert!(exit.success);
    let [dropped] = &exit.events[..] else { panic!("one event is left: {:?}", exit.events) };
    assert_eq!(dropped["event"], "peer_dropped");
    assert_eq!(dropped["reason_code"], CLIENT_QUITTING);
    assert_eq!(dropped["by_us"], true);
}
