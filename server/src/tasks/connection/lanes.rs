//! The connection's ends of its protocols' channels: who sends next, and what has arrived for whom.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use crate::channel::{Lane, Message};

/// How many payload bytes a lane may send before it is another one's turn.
const QUANTUM: isize = 16 << 10;

/// How many messages are handed over at once, at most: so that the protocol may begin while the
/// connection still decrypts.
const BATCH: usize = 32;

/// All lanes of a connection, by index of their shared capability.
#[derive(Default)]
pub(super) struct Lanes {
    lanes: Vec<End>,
    /// Whose turn it is to send.
    turn: usize,
    /// Whether a lane was found full since the last [`flush`](Self::flush).
    full: bool,
}

struct End {
    lane: Lane,
    /// Taken from the protocol's queue, to be sent.
    outgoing: VecDeque<Message>,
    /// Received, to be put into the protocol's queue.
    incoming: Vec<Message>,
    /// Payload bytes that may be sent now. In debt after a large message, for as many turns of the
    /// others as it was worth (deficit round robin), so that one protocol's blocks do not hold up
    /// another's pings.
    credit: isize,
}

/// A message could not be sent.
pub(super) struct Unsendable;

impl Lanes {
    pub(super) fn new(lanes: Vec<Lane>) -> Self {
        let end =
            |lane| End { lane, outgoing: VecDeque::new(), incoming: Vec::new(), credit: QUANTUM };
        Self { lanes: lanes.into_iter().map(end).collect(), turn: 0, full: false }
    }

    /// Passes waiting messages to `send`, the lanes taking turns, until `send` says `Some(false)`
    /// (that was enough) or nothing waits. Then the task will be woken by the next message.
    pub(super) fn drain(
        &mut self,
        cx: &mut Context<'_>,
        mut send: impl FnMut(usize, &Message) -> Option<bool>,
    ) -> Result<(), Unsendable> {
        let mut silent = 0;
        while silent < self.lanes.len() {
            let turn = self.turn;
            let end = &mut self.lanes[turn];
            silent += 1;
            while end.credit > 0 {
                if end.outgoing.is_empty()
                    && !matches!(
                        end.lane.outgoing.poll_take(cx, &mut end.outgoing),
                        Poll::Ready(Ok(()))
                    )
                {
                    break;
                }
                let Some(message) = end.outgoing.pop_front() else { break };
                silent = 0;
                end.credit -= isize::try_from(message.payload.len()).unwrap_or(isize::MAX);
                if !send(turn, &message).ok_or(Unsendable)? {
                    return Ok(());
                }
            }
            if end.credit <= 0 {
                // Not silent, but in debt: it has its turn again when the others have had theirs.
                silent = 0;
            }
            end.credit = end.credit.saturating_add(QUANTUM).min(QUANTUM);
            self.turn = (turn + 1) % self.lanes.len();
        }
        Ok(())
    }

    /// Takes a message for the lane at index `shared`. Its protocol has it after
    /// [`flush`](Self::flush) at the latest.
    pub(super) fn deliver(&mut self, shared: usize, message: Message) {
        let Some(end) = self.lanes.get_mut(shared) else { return };
        end.incoming.push(message);
        if end.incoming.len() >= BATCH {
            self.full |= end.lane.incoming.push_all(&mut end.incoming);
        }
    }

    /// Hands over everything. Says whether a lane is full, so that nothing more should be read.
    pub(super) fn flush(&mut self) -> bool {
        let mut full = std::mem::take(&mut self.full);
        for end in &mut self.lanes {
            if !end.incoming.is_empty() {
                full |= end.lane.incoming.push_all(&mut end.incoming);
            }
        }
        full
    }

    /// Ready when no lane is full.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = self.lanes.iter().any(|end| end.lane.incoming.poll_room(cx).is_pending());
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Tells every protocol that the connection has ended.
    pub(super) fn close(&mut self) {
        if !self.lanes.is_empty() {
            self.flush();
            self.lanes = Vec::new();
        }
    }

    /// Frees the buffers that hold nothing.
    pub(super) fn release(&mut self) {
        for end in &mut self.lanes {
            end.outgoing.shrink_to_fit();
            end.incoming.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::channel::Channel;

    /// Two lanes, and their protocols' ends.
    fn two() -> (Lanes, [Channel; 2]) {
        let (name, length) = ("test".parse().unwrap(), 8);
        let make = |version| Channel::connected(peerage_rlpx::Capability { name, version }, length);
        let ((one, first), (two, second)) = (make(1), make(2));
        (Lanes::new(vec![first, second]), [one, two])
    }

    /// What is sent next, as lane and payload size, until the lanes are silent.
    fn order(lanes: &mut Lanes) -> Vec<(usize, usize)> {
        let mut sent = Vec::new();
        let result = lanes.drain(&mut Context::from_waker(Waker::noop()), |lane, message| {
            sent.push((lane, message.payload.len()));
            Some(true)
        });
        assert!(result.is_ok());
        sent
    }

    #[tokio::test]
    async fn blocks_of_one_protocol_do_not_hold_up_the_messages_of_another() {
        let (mut lanes, [blocks, small]) = two();
        for _ in 0..3 {
            blocks.send(0, vec![0; 80_000]).await.unwrap();
        }
        for _ in 0..300 {
            small.send(0, vec![0; 500]).await.unwrap();
        }
        let order = order(&mut lanes);
        assert_eq!(order.len(), 303);
        let second_block = order.iter().skip(1).position(|(lane, _)| *lane == 0).unwrap();
        // 80,000 bytes against 500: fair is 160, give or take a turn.
        assert!((120..200).contains(&second_block), "{second_block}");
    }

    #[tokio::test]
    async fn a_lane_alone_is_not_held_up_by_its_own_debt() {
        let (mut lanes, [blocks, _]) = two();
        for _ in 0..3 {
            blocks.send(0, vec![0; 80_000]).await.unwrap();
        }
        assert_eq!(order(&mut lanes), [(0, 80_000); 3]);
    }

    #[tokio::test]
    async fn messages_that_came_before_the_end_are_received_after_it() {
        let (mut lanes, [mut channel, _]) = two();
        lanes.deliver(0, Message { code: 3, payload: "last".into() });
        lanes.close();
        assert_eq!(channel.recv().await.unwrap().code, 3);
        assert!(channel.recv().await.is_none());
        assert!(channel.send(0, "").await.is_err());
    }
}
