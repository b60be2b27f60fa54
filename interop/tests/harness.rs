//! Foreign nodes among themselves. Where one of these fails, it is not Peerage that is wrong.

use peerage_interop::{Fill, Foreign, Implementation, Netns};

const USELESS_PEER: u8 = 0x03;
const TOO_MANY_PEERS: u8 = 0x04;

#[test]
fn trinity_and_ethereumjs_exchange_a_message_and_a_reason() {
    let both = [Implementation::Ethereumjs, Implementation::Trinity];
    let Some(net) = Netns::for_test(&both) else { return };
    let mut listener =
        Foreign::spawn(&net, Implementation::Ethereumjs, &["--listen", "0", "--echo"]);
    let mut dialer = Foreign::spawn(&net, Implementation::Trinity, &[]);
    dialer.dial(&listener.enode());
    assert_eq!(dialer.event("hello")["client"], Implementation::Ethereumjs.client());
    assert_eq!(listener.event("hello")["client"], Implementation::Trinity.client());
    dialer.event("connect");
    listener.event("connect");
    dialer.round_trip("demo", 0x03, 1 << 20, Fill::Noise);
    dialer.disconnect(TOO_MANY_PEERS);
    assert_eq!(listener.told_to_leave(), TOO_MANY_PEERS);
    listener.closed_cleanly();
    dialer.closed_cleanly();
}

#[test]
fn ethrex_takes_its_own_status_back_for_that_of_a_peer() {
    let both = [Implementation::Ethereumjs, Implementation::Ethrex];
    let Some(net) = Netns::for_test(&both) else { return };
    let mut listener = Foreign::spawn(&net, Implementation::Ethrex, &["--listen", "30303"]);
    let arguments = ["--cap", "eth/68/17", "--echo"];
    let mut dialer = Foreign::spawn(&net, Implementation::Ethereumjs, &arguments);
    dialer.dial(&listener.enode());
    assert_eq!(listener.event("hello")["caps"], serde_json::json!(["eth/68"]));
    assert_eq!(listener.event("connect")["client"], Implementation::Ethereumjs.client());
    listener.disconnect(USELESS_PEER);
    assert_eq!(dialer.told_to_leave(), USELESS_PEER);
}
