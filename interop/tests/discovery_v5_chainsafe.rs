//! Discovery v5 of Peerage and of ChainSafe's discv5 11.0.0, each asking the other.
//!
//! As far as what is wrong with it lets it (`interop/README.md` has the list). It drops the leading
//! zeros of request ids: of its own, which we have to give back as they come; and of ours, so that
//! we must not draw such, or `ping`, `talk` and `lookup` here fail once in a while. It cannot read
//! a PING with the sequence number 0: no record of ours has that. It states the number of the
//! record of ours that it knows at the wrong end of its field: so a newer one comes to it by our
//! PING and its FINDNODE, not by the handshake.

mod v5;

use peerage_interop::{Implementation, Netns, Peerage, until};

const THEM: Implementation = Implementation::Chainsafe;

#[test]
fn it_pings_us_and_hears_where_it_is() {
    v5::it_pings_us_and_hears_where_it_is(THEM);
}

#[test]
fn it_gets_request_ids_of_one_byte_back_as_they_were() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let ours = Peerage::run(&net, &[]);
    let (mut theirs, names) = v5::start(&net, THEM, 1);
    for id in [0, 1, 0x7f, 0x80, 0xff] {
        let pong = theirs.v5_ping_with_request_id(&ours.enr(), id);
        assert_eq!(pong["endpoint"], names.discovery.to_string());
    }
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
fn it_fetches_our_record_again_when_our_ping_tells_of_a_newer_one() {
    let Some(net) = Netns::for_test(&[THEM]) else { return };
    let (mut theirs, names) = v5::start(&net, THEM, 1);
    let ours = Peerage::run(&net, &["--bootnodes", &names.enr]);
    let (id, first) = (ours.id(), ours.enr());
    assert_eq!(theirs.v5_node_added(&id), first);
    // Every start announces a new record.
    let ours = ours.restart(&net, &["--bootnodes", &names.enr]);
    assert_ne!(ours.enr(), first);
    theirs.v5_received("nodes", ours.discovery());
    until("it has the new one", || theirs.v5_table()[&id] == ours.enr());
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
