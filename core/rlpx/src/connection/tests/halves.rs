//! Halves of open connections that go on without each other.

#![expect(clippy::disallowed_methods, reason = "a test moves a value to another thread and back")]

use std::time::Duration;

use peerage_machine::Now;

use super::pair::{Pair, remote, timed_out};
use crate::*;

/// The halves of both ends of an open connection.
struct Halves {
    a: (Incoming, Outgoing),
    b: (Incoming, Outgoing),
    now: Now,
}

impl Halves {
    fn new() -> Self {
        let Pair { a, b, now } = Pair::open();
        let (Ok(a), Ok(b)) = (a.connection.split(), b.connection.split()) else {
            panic!("because both are open")
        };
        Self { a, b, now }
    }
}

/// Passes everything that waits, and returns what came of it, with the payloads of messages.
fn pass(
    now: Now,
    from: &mut Outgoing,
    to: &mut Incoming,
) -> Result<Vec<(Received, Vec<u8>)>, Fault> {
    let mut bytes = from.waiting().to_vec();
    from.written(now, bytes.len());
    receive(now, &mut bytes, to)
}

fn receive(
    now: Now,
    mut bytes: &mut [u8],
    to: &mut Incoming,
) -> Result<Vec<(Received, Vec<u8>)>, Fault> {
    let (mut received, mut payload) = (Vec::new(), Vec::new());
    while let Some(what) = to.receive(now, &mut bytes, &mut payload)? {
        let is_message = matches!(what, Received::Message { .. });
        received.push((what, if is_message { payload.clone() } else { Vec::new() }));
    }
    Ok(received)
}

fn message(shared: usize, code: u64, payload: &[u8]) -> (Received, Vec<u8>) {
    (Received::Message { shared, code }, payload.to_vec())
}

#[test]
fn only_an_open_connection_can_be_taken_apart() {
    let mut pair = Pair::new();
    let whole = pair.a.connection.split().unwrap_err();
    pair.a.connection = whole;
    pair.settle();
    assert!(pair.a.connection.is_open(), "it is given back as it was");
    pair.a.connection.disconnect(pair.now, DisconnectReason::Requested);
    assert!(pair.a.connection.split().is_err());
}

#[test]
fn halves_can_live_on_threads_of_their_own() {
    let Halves { mut a, mut b, now } = Halves::new();
    let said = std::thread::scope(|scope| {
        let said = scope.spawn(move || {
            for n in 0..100_u8 {
                a.1.send(now, 0, 3, &[n; 100]).unwrap();
            }
            a.1.waiting().to_vec()
        });
        said.join().unwrap()
    });
    let heard = receive(now, &mut said.clone(), &mut b.0).unwrap();
    let expected: Vec<_> = (0..100_u8).map(|n| message(0, 3, &[n; 100])).collect();
    assert_eq!(heard, expected);
}

#[test]
fn what_is_written_before_the_split_is_not_lost() {
    let mut pair = Pair::open();
    pair.a.connection.send(pair.now, 1, 1, b"before").unwrap();
    let (_, mut outgoing) = pair.a.connection.split().unwrap();
    outgoing.send(pair.now, 0, 0, b"after").unwrap();
    let (mut incoming, _) = pair.b.connection.split().unwrap();
    let heard = pass(pair.now, &mut outgoing, &mut incoming).unwrap();
    assert_eq!(heard, [message(1, 1, b"before"), message(0, 0, b"after")]);
}

#[test]
fn a_sending_half_that_stands_still_does_not_stop_the_receiving_one() {
    let Halves { mut a, mut b, now } = Halves::new();
    // Nothing of what A sends is ever taken.
    a.1.send(now, 0, 0, &[9; 50_000]).unwrap();
    let late = now.later(Duration::from_secs(19));
    b.1.send(late, 0, 1, b"still heard").unwrap();
    assert_eq!(pass(late, &mut b.1, &mut a.0), Ok(vec![message(0, 1, b"still heard")]));
    let late = now.later(Duration::from_secs(20));
    assert_eq!(a.1.handle_timeout(late).err(), timed_out(20, Waiting::Writing));
    assert_eq!(a.0.handle_timeout(late), Ok(()), "the peer was heard");
}

#[test]
fn a_receiving_half_that_is_not_read_does_not_stop_the_sending_one() {
    let Halves { mut a, mut b, now } = Halves::new();
    a.0.pause_reading(now, true);
    assert_eq!(a.0.poll_timeout(), None);
    for n in 0..10_u8 {
        let now = now.later(Duration::from_secs(30 * u64::from(n)));
        a.1.send(now, 0, 0, &[n]).unwrap();
        assert_eq!(pass(now, &mut a.1, &mut b.0).unwrap().last(), Some(&message(0, 0, &[n])));
        assert_eq!((a.0.handle_timeout(now), a.1.handle_timeout(now)), (Ok(()), Ok(())));
    }
}

#[test]
fn one_half_tells_the_other_of_pings_and_pongs() {
    let Halves { mut a, mut b, now } = Halves::new();
    let now = now.later(Duration::from_secs(15));
    a.1.handle_timeout(now).unwrap();
    assert_eq!(pass(now, &mut a.1, &mut b.0), Ok(vec![(Received::Ping, vec![])]));
    assert!(b.1.waiting().is_empty(), "the halves have not spoken yet");
    b.1.pong(now);
    let now = now.later(Duration::from_millis(40));
    assert_eq!(pass(now, &mut b.1, &mut a.0), Ok(vec![(Received::Pong, vec![])]));
    assert_eq!(a.1.round_trip(), None);
    a.1.on_pong(now);
    assert_eq!(a.1.round_trip(), Some(Duration::from_millis(40)));
}

#[test]
fn a_fault_that_one_half_finds_is_told_to_the_peer_by_the_other() {
    let Halves { mut a, mut b, now } = Halves::new();
    b.1.send(now, 0, 0, b"message").unwrap();
    let mut bytes = b.1.waiting().to_vec();
    bytes[0] ^= 1;
    let fault = receive(now, &mut bytes, &mut a.0).unwrap_err();
    assert_eq!(fault, PeerMisbehaved::BadHeaderMac.into());
    a.1.send(now, 0, 0, b"last words").unwrap();
    let mut goodbye = a.1.disconnect(now, fault.reason_to_send().unwrap());
    assert!(!goodbye.is_over(now));
    let mut bytes = goodbye.waiting().to_vec();
    goodbye.written(now, bytes.len());
    assert!(goodbye.is_over(now));
    let (mut rest, mut payload) = (&mut bytes[..], Vec::new());
    let first = b.0.receive(now, &mut rest, &mut payload);
    assert_eq!(first, Ok(Some(Received::Message { shared: 0, code: 0 })));
    let end = b.0.receive(now, &mut rest, &mut payload);
    assert_eq!(end.err(), remote(DisconnectReason::BreachOfProtocol));
}

#[test]
fn a_goodbye_of_a_half_that_nobody_takes_is_given_up() {
    let Halves { a, now, .. } = Halves::new();
    let goodbye = a.1.disconnect(now, DisconnectReason::Requested);
    assert_eq!(goodbye.deadline(), now.mono + Duration::from_secs(2));
    assert!(!goodbye.is_over(now.later(Duration::from_millis(1_999))));
    assert!(goodbye.is_over(now.later(Duration::from_secs(2))));
}

#[test]
fn one_payload_is_compressed_once_and_sealed_for_many_together() {
    let mut all: Vec<Halves> = (0..5).map(|_| Halves::new()).collect();
    let payload = Compressor::new().compress(vec![7; 10_000]).unwrap();
    assert!(payload.compressed_len() < 1_000);
    // What was sent before stays before it, and what comes after behind it.
    let now = all[0].now;
    all[2].a.1.send(now, 1, 0, b"before").unwrap();
    let frames: Vec<_> =
        all.iter_mut().map(|it| it.a.1.encrypt(it.now, 0, 2, &payload).unwrap()).collect();
    seal_all(frames);
    all[3].a.1.send(now, 1, 1, b"after").unwrap();
    for (n, it) in all.iter_mut().enumerate() {
        let mut expected = vec![message(0, 2, &[7; 10_000])];
        match n {
            2 => expected.insert(0, message(1, 0, b"before")),
            3 => expected.push(message(1, 1, b"after")),
            _ => {}
        }
        assert_eq!(pass(it.now, &mut it.a.1, &mut it.b.0).unwrap(), expected);
    }
}

#[test]
fn a_compressed_payload_goes_only_where_a_message_of_that_id_exists() {
    let Halves { mut a, now, .. } = Halves::new();
    let payload = Compressor::new().compress(&b"x"[..]).unwrap();
    let refused = a.1.encrypt(now, 0, 4, &payload).map(Unsealed::seal);
    assert_eq!(refused, Err(SendError::OutOfRange { shared: 0, code: 4 }));
    assert!(a.1.waiting().is_empty());
}
