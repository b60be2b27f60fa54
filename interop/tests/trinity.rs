//! Peerage and Trinity, each dialing the other.

use peerage_interop::{Fill, Foreign, Implementation, Netns, Peerage, text};
use serde_json::json;

const THEM: Implementation = Implementation::Trinity;
const MIB: usize = 1 << 20;

// Disconnect reasons of rlpx.md.
const USELESS_PEER: u8 = 0x03;
const TOO_MANY_PEERS: u8 = 0x04;
const CLIENT_QUITTING: u8 = 0x08;

#[test]
fn it_dials_us_and_every_message_comes_back() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4"]);
    let mut theirs = Foreign::spawn(&net, THEM, &[]);
    theirs.dial(&ours.enode());
    greet(&mut ours, &mut theirs, true);
    exchange(&mut theirs);
    theirs.disconnect(TOO_MANY_PEERS);
    let dropped = ours.event("peer_dropped");
    assert_eq!(
        (&dropped["reason_code"], &dropped["by_us"]),
        (&json!(TOO_MANY_PEERS), &json!(false))
    );
    theirs.closed_cleanly();
}

#[test]
fn we_dial_it_and_every_message_comes_back() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", "0"]);
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4", "--static", &theirs.enode()]);
    greet(&mut ours, &mut theirs, false);
    exchange(&mut theirs);
    assert!(ours.stop().success);
    assert_eq!(theirs.told_to_leave(), CLIENT_QUITTING);
    theirs.closed_cleanly();
}

#[test]
fn its_ping_is_answered() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4"]);
    let mut theirs = Foreign::spawn(&net, THEM, &[]);
    theirs.dial(&ours.enode());
    greet(&mut ours, &mut theirs, true);
    theirs.ping();
    theirs.event("pong");
}

// Trinity stays when there is no capability in common, and so hears what we say then.
#[test]
fn without_a_capability_in_common_it_hears_that_it_is_useless() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let mut theirs = Foreign::spawn(&net, THEM, &["--listen", "0", "--cap", "other/1/4"]);
    let mut ours = Peerage::run(&net, &["--echo", "demo/1/4"]);
    theirs.dial(&ours.enode());
    assert_eq!(theirs.event("hello")["caps"], json!(["demo/1"]));
    assert_eq!(theirs.told_to_leave(), USELESS_PEER);
    theirs.closed_cleanly();

    let exit = ours.stop();
    assert!(exit.events.is_empty(), "it became a peer: {:?}", exit.events);
    ours = Peerage::run(&net, &["--echo", "demo/1/4", "--static", &theirs.enode()]);
    assert_eq!(theirs.told_to_leave(), USELESS_PEER);
    theirs.closed_cleanly();
    ours.event("dial_failed");
}

// Our Disconnect takes the place of our Hello, while its Hello lies unread in our socket: closing
// at once would reset the connection, and the reason would be lost.
#[test]
fn a_server_that_is_full_says_so() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let ours = Peerage::run(&net, &["--echo", "demo/1/4", "--max-peers", "0"]);
    let mut theirs = Foreign::spawn(&net, THEM, &[]);
    theirs.dial(&ours.enode());
    assert_eq!(theirs.told_to_leave(), TOO_MANY_PEERS);
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
    assert!(ours.enode().contains(text(&hello["id"])));
    assert_eq!(theirs.event("connect")["snappy"], true);
}

fn exchange(theirs: &mut Foreign) {
    let messages = [
        (0x00, 1, Fill::Noise),
        (0x01, 32, Fill::Noise),
        (0x02, 1024, Fill::Text),
        (0x03, MIB, Fill::Noise),
        (0x00, MIB, Fill::Text),
    ];
    for (code, size, fill) in messages {
        theirs.round_trip("demo", code, size, fill);
    }
}
