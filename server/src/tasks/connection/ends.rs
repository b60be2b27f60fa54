//! The connection's ends of its protocols' channels.
//!
//! Not here: whose turn it is, and what becomes of a full one (`Flow`, in `peerage-rlpx`).

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use peerage_rlpx::Message;

use crate::channel::Lane;

/// The ends, by index of their shared capability.
#[derive(Default)]
pub(super) struct Ends(Box<[Lane]>);

impl Ends {
    pub(super) fn new(lanes: Vec<Lane>) -> Self {
        Self(lanes.into())
    }

    /// Takes what waits in the queue of a lane. If nothing does, the task will be woken by the next
    /// message.
    pub(super) fn fetch<'a>(
        &'a self,
        cx: &'a mut Context<'_>,
    ) -> impl FnMut(usize, &mut VecDeque<Message>) + 'a {
        |lane, batch| {
            if let Some(lane) = self.0.get(lane) {
                // Nothing there or nothing more to come: either way nothing is taken.
                let _ = lane.outgoing.poll_take(cx, batch);
            }
        }
    }

    /// Hands over what has arrived for a lane. Says whether its queue is full now.
    pub(super) fn hand_over(&self, lane: usize, arrived: &mut Vec<Message>) -> bool {
        match self.0.get(lane) {
            Some(lane) => lane.incoming.push_all(arrived),
            None => {
                arrived.clear();
                false
            }
        }
    }

    /// Ready when no queue is full.
    pub(super) fn poll_room(&self, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = self.0.iter().any(|lane| lane.incoming.poll_room(cx).is_pending());
        if waiting { Poll::Pending } else { Poll::Ready(()) }
    }

    /// Tells every protocol that the connection has ended.
    pub(super) fn close(&mut self) {
        self.0 = Box::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::channel::Channel;

    #[tokio::test]
    async fn messages_that_came_before_the_end_are_received_after_it() {
        let name = "test".parse().unwrap();
        let capability = peerage_rlpx::Capability { name, version: 1 };
        let (mut channel, lane) = Channel::connected(capability, 8, &Default::default());
        let mut ends = Ends::new(vec![lane]);
        let mut arrived = vec![Message::new(3, "last")];
        assert!(!ends.hand_over(0, &mut arrived));
        ends.close();
        assert_eq!(channel.recv().await.unwrap().code, 3);
        assert!(channel.recv().await.is_none());
        assert!(channel.send(0, "").await.is_err());
    }
}
