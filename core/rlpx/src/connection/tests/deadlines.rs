//! Every deadline of a connection, in virtual time.

use std::time::Duration;

use peerage_machine::{Instant, Now};

use super::{
    pair::{Pair, Side, local, remote, timed_out},
    raw::Raw,
};
use crate::*;

const TICK: Duration = Duration::from_nanos(1);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// Asserts that nothing happens to `side` before `deadline`, and goes there.
fn sleep_until(side: &mut Side, now: &mut Now, deadline: Duration) {
    let target = Instant::START + deadline;
    *now = now.later(target.saturating_since(now.mono) - TICK);
    side.tick(*now);
    assert_eq!(side.connection.fault(), None, "before the deadline at {target}");
    *now = now.later(TICK);
    side.tick(*now);
}

#[test]
fn a_peer_that_never_speaks_is_dropped_after_the_handshake_deadline() {
    let fault = timed_out(10, Waiting::Handshaking);
    let mut pair = Pair::new();
    assert_eq!(pair.b.connection.poll_timeout(), Some(Instant::START + secs(10)));
    sleep_until(&mut pair.b, &mut pair.now, secs(10));
    assert_eq!(pair.b.fault(), fault);
    assert!(pair.b.sent.is_empty());
    // An initiator has written its auth, and waits as long.
    let mut pair = Pair::new();
    pair.a.take_outgoing(pair.now);
    sleep_until(&mut pair.a, &mut pair.now, secs(10));
    assert_eq!(pair.a.fault(), fault);
}

#[test]
fn one_deadline_covers_auth_ack_and_hello_together() {
    let mut raw = Raw::greeted();
    raw.now = raw.now.later(secs(9));
    // Some of a Hello, late.
    let frame = raw.frame(0x00, &[0xc0]);
    raw.send_bytes(&frame[..40]);
    sleep_until(&mut raw.victim, &mut raw.now, secs(10));
    assert_eq!(raw.victim.fault(), None, "the reason is still to be written");
    raw.listen();
    assert_eq!(raw.heard, [(0x01, vec![0xc1, 0x0b])]);
    assert_eq!(raw.victim.fault(), timed_out(10, Waiting::Handshaking));
}

#[test]
fn a_late_first_verdict_leaves_hello_only_the_rest_of_the_time() {
    let mut pair = Pair::new();
    pair.b.decides = false;
    pair.settle();
    pair.b.wire.clear();
    pair.wait(secs(9));
    pair.b.connection.admit(pair.now);
    pair.b.take_outgoing(pair.now);
    sleep_until(&mut pair.b, &mut pair.now, secs(10));
    assert_eq!(pair.b.connection.fault(), timed_out(10, Waiting::Handshaking));
}

#[test]
fn the_time_for_the_first_verdict_counts_but_not_that_for_the_second() {
    let mut pair = Pair::new();
    pair.b.decides = false;
    pair.settle();
    sleep_until(&mut pair.b, &mut pair.now, secs(10));
    pair.settle();
    assert_eq!(pair.faults().1, timed_out(10, Waiting::Handshaking));
    assert_eq!(pair.faults().0, remote(DisconnectReason::Timeout));

    let mut pair = Pair::new();
    pair.b.decides = false;
    pair.settle();
    pair.b.connection.admit(pair.now);
    pair.settle();
    assert!(pair.b.is_ready());
    assert_eq!(pair.b.connection.poll_timeout(), None);
}

#[test]
fn silence_ends_a_connection_with_timeout_as_reason() {
    let mut pair = Pair::open();
    // Its pings get through, but nothing comes back.
    for at in [15, 30 - 1] {
        pair.now = Now::default().later(secs(at));
        pair.b.tick(pair.now);
        pair.b.take_outgoing(pair.now);
    }
    sleep_until(&mut pair.b, &mut pair.now, secs(30));
    let Pair { a, b, now } = &mut pair;
    b.take_outgoing(*now);
    assert_eq!(b.fault(), timed_out(30, Waiting::Idle));
    // The end that pinged in vain is told so.
    a.wire.extend_from_slice(&b.sent[a.read..]);
    a.read(*now);
    assert_eq!(a.fault(), remote(DisconnectReason::Timeout));
}

#[test]
fn pings_keep_a_connection_alive_that_has_nothing_to_say() {
    let mut pair = Pair::open();
    for _ in 0..40 {
        pair.wait(secs(15));
        pair.a.tick(pair.now);
        pair.b.tick(pair.now);
        pair.settle();
    }
    assert_eq!(pair.faults(), (None, None));
    assert!(pair.a.connection.round_trip().is_some());
}

#[test]
fn any_byte_counts_as_a_sign_of_life() {
    let mut raw = Raw::open(5);
    let frame = raw.frame(0x10, &[7; 50]);
    for byte in &frame[..20] {
        raw.now = raw.now.later(secs(29));
        raw.victim.tick(raw.now);
        raw.victim.take_outgoing(raw.now);
        raw.send_bytes(&[*byte]);
    }
    assert_eq!(raw.victim.connection.fault(), None);
}

#[test]
fn silence_while_we_do_not_read_is_not_the_peers_fault() {
    let mut pair = Pair::open();
    pair.b.connection.pause_reading(pair.now, true);
    assert_eq!(pair.b.connection.read_budget(), 0);
    for _ in 0..20 {
        pair.wait(secs(15));
        pair.b.tick(pair.now);
        pair.b.take_outgoing(pair.now);
    }
    assert_eq!(pair.b.connection.fault(), None);
    pair.b.connection.pause_reading(pair.now, false);
    let (mut now, resumed) = (pair.now, pair.now.mono.saturating_since(Instant::START));
    pair.b.take_outgoing(now);
    now = now.later(secs(15));
    pair.b.tick(now);
    pair.b.take_outgoing(now);
    sleep_until(&mut pair.b, &mut now, resumed + secs(30));
    assert_eq!(pair.b.connection.fault(), timed_out(30, Waiting::Idle));
}

#[test]
fn a_peer_that_takes_nothing_is_dropped_and_one_that_is_slow_is_not() {
    let mut pair = Pair::open();
    let now = &mut pair.now;
    pair.a.connection.send(*now, 0, 0, &[3; 1000]).unwrap();
    pair.a.connection.pause_reading(*now, true);
    for _ in 0..10 {
        *now = now.later(secs(19));
        pair.a.tick(*now);
        pair.a.connection.written(*now, 1);
    }
    let last = now.mono.saturating_since(Instant::START);
    sleep_until(&mut pair.a, now, last + secs(20));
    assert_eq!(pair.a.fault(), timed_out(20, Waiting::Writing));
    assert!(pair.a.connection.outgoing().is_empty(), "nothing can reach it");
}

#[test]
fn pings_do_not_pile_up_at_a_peer_that_takes_nothing() {
    let mut pair = Pair::open();
    let (mut queued, mut written) = (None, 0);
    let mut now = pair.now;
    pair.a.connection.send(now, 0, 0, &[3; 1000]).unwrap();
    pair.a.connection.pause_reading(now, true);
    for _ in 0..10 {
        now = now.later(secs(15));
        pair.a.tick(now);
        pair.a.connection.written(now, 1);
        written += 1;
        let end = written + pair.a.connection.queued();
        assert_eq!(*queued.get_or_insert(end), end);
    }
}

#[test]
fn a_goodbye_that_nobody_takes_is_given_up() {
    let mut pair = Pair::open();
    pair.a.connection.disconnect(pair.now, DisconnectReason::Requested);
    assert_eq!(pair.a.connection.poll_timeout(), Some(pair.now.mono + secs(2)));
    pair.wait(secs(2) - TICK);
    pair.a.tick(pair.now);
    assert_eq!(pair.a.fault(), None);
    pair.wait(TICK);
    pair.a.tick(pair.now);
    assert_eq!(pair.a.fault(), local(DisconnectReason::Requested));
    assert_eq!(pair.a.connection.poll_timeout(), None);
    assert!(pair.a.connection.outgoing().is_empty());
}

#[test]
fn a_timeout_that_is_not_due_does_nothing() {
    let mut pair = Pair::open();
    let before = pair.a.connection.poll_timeout();
    pair.a.tick(pair.now);
    assert_eq!(pair.a.connection.poll_timeout(), before);
    assert!(pair.a.connection.outgoing().is_empty());
}
