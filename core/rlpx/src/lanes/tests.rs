//! Lanes that share a connection: who is sent next, and that nothing is lost or changes its order.

use proptest::prelude::*;

use super::*;

fn message(code: u64, size: usize) -> Message {
    Message { code, payload: vec![0; size].into() }
}

/// Backlogs of protocols that fill the lanes.
struct Protocols(Vec<Backlog>);

impl Protocols {
    fn new<const N: usize>(messages: [Vec<Message>; N]) -> Self {
        let backlog = |messages: Vec<Message>| {
            let mut backlog = Backlog::new(1 << 20);
            messages.into_iter().for_each(|message| backlog.push(message));
            backlog
        };
        Self(messages.into_iter().map(backlog).collect())
    }

    fn fetch(&mut self) -> impl FnMut(usize, &mut VecDeque<Message>) {
        |lane, batch| {
            self.0[lane].take(batch);
        }
    }

    /// What is sent next, as lane and payload size, until nothing waits.
    fn order(&mut self, lanes: &mut Lanes) -> Vec<(usize, usize)> {
        let mut fetch = self.fetch();
        let next = || lanes.next(&mut fetch).map(|(lane, message)| (lane, message.payload.len()));
        std::iter::from_fn(next).collect()
    }
}

#[test]
fn blocks_of_one_protocol_do_not_hold_up_the_messages_of_another() {
    let mut protocols = Protocols::new([vec![message(0, 80_000); 3], vec![message(0, 500); 300]]);
    let order = protocols.order(&mut Lanes::new(2));
    assert_eq!(order.len(), 303);
    let second_block = order.iter().skip(1).position(|(lane, _)| *lane == 0).unwrap();
    // 80,000 bytes against 500: fair is 160, give or take a turn.
    assert!((120..200).contains(&second_block), "{second_block}");
}

#[test]
fn a_lane_alone_is_not_held_up_by_its_own_debt() {
    let mut protocols = Protocols::new([vec![message(0, 80_000); 3], vec![]]);
    assert_eq!(protocols.order(&mut Lanes::new(2)), [(0, 80_000); 3]);
}

#[test]
fn what_comes_while_another_lane_has_its_turn_is_fetched_at_the_next() {
    let mut protocols = Protocols::new([vec![message(0, 1)], vec![message(0, 2); 3]]);
    let mut lanes = Lanes::new(2);
    let mut sent = Vec::new();
    while let Some((lane, message)) = lanes.next(protocols.fetch()) {
        sent.push((lane, message.payload.len()));
        if sent.len() == 2 {
            protocols.0[0].push(self::message(0, 3));
        }
    }
    assert_eq!(sent, [(0, 1), (1, 2), (1, 2), (1, 2), (0, 3)]);
}

#[test]
fn what_arrives_is_handed_over_by_batches_or_when_all_is_read() {
    let mut lanes = Lanes::new(3);
    assert_eq!(lanes.poll_delivered(), None);
    for n in 1..BATCH as u64 {
        assert!(!lanes.deliver(1, message(n, 1)));
    }
    assert!(!lanes.deliver(2, message(0, 1)));
    assert!(lanes.deliver(1, message(BATCH as u64, 1)));
    assert_eq!(lanes.poll_delivered(), Some(1));
    let codes: Vec<u64> = lanes.delivered(1).drain(..).map(|message| message.code).collect();
    assert!(codes.into_iter().eq(1..=BATCH as u64));
    assert_eq!(lanes.poll_delivered(), Some(2));
    assert_eq!(lanes.delivered(2).drain(..).count(), 1);
    assert_eq!(lanes.poll_delivered(), None);
    assert!(!lanes.deliver(3, message(0, 1)), "there is no such lane");
}

#[test]
fn released_lanes_hold_nothing() {
    let mut lanes = Lanes::new(2);
    let before = lanes.memory();
    let mut protocols = Protocols::new([vec![message(0, 1000); 3], vec![]]);
    protocols.order(&mut lanes);
    lanes.deliver(0, message(0, 1000));
    assert!(lanes.memory() > before + 1000);
    lanes.delivered(0).clear();
    lanes.release();
    assert_eq!(lanes.memory(), before);
}

proptest! {
    #[test]
    fn every_message_is_sent_once_and_in_the_order_of_its_lane_and_none_waits_for_long(
        sizes in proptest::collection::vec((0usize..3, 0usize..60_000), 0..120),
    ) {
        let mut messages = [const { Vec::new() }; 3];
        for (n, (lane, size)) in sizes.iter().enumerate() {
            messages[*lane].push(message(n as u64, *size));
        }
        let mut protocols = Protocols::new(messages.clone());
        let mut lanes = Lanes::new(3);
        let mut sent = [const { Vec::new() }; 3];
        let mut others = [0_usize; 3];
        while let Some((lane, message)) = lanes.next(protocols.fetch()) {
            for other in (0..3).filter(|other| *other != lane) {
                others[other] += message.payload.len();
            }
            others[lane] = 0;
            // What waits on a lane whose own messages are as large: its debt, for each of the
            // others, and a turn of theirs.
            let waits = |lane: &usize| sent[*lane].len() < messages[*lane].len();
            for waiting in (0..3).filter(waits) {
                prop_assert!(others[waiting] <= 2 * (60_000 + 60_000 + 2 * 16_384), "{}", others[waiting]);
            }
            sent[lane].push(message);
        }
        prop_assert_eq!(sent, messages);
        prop_assert!(lanes.is_silent());
    }
}
