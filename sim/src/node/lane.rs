//! What stands between a connection of a node and the protocols that both ends speak.

use std::collections::VecDeque;

use peerage_rlpx::{Backlog, LaneLimits, Message, Shared, Unsendable};

use super::Peer;

/// Why a message was not taken. Nothing of it will be sent, and the connection is as it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OfferError {
    /// What the peer was offered before has to leave first.
    #[error("too much waits to be sent to this peer")]
    Full,
    /// The peer is gone, or does not speak the protocol.
    #[error("there is no such peer")]
    NoPeer,
    /// No connection carries such a message.
    #[error(transparent)]
    Unsendable(#[from] Unsendable),
}

/// The lanes of a connection on which messages flow, by index of their shared capability.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) peer: Peer,
    lanes: Vec<Lane>,
}

#[derive(Debug)]
struct Lane {
    /// The protocol's place in the node's configuration.
    local: usize,
    /// How many message ids it has.
    length: u64,
    outgoing: Backlog,
    /// `None` once the protocol has had enough.
    incoming: Option<Incoming>,
}

/// What has arrived for a protocol.
#[derive(Debug)]
struct Incoming {
    backlog: Backlog,
    /// Taken out of the backlog together.
    batch: VecDeque<Message>,
}

impl Lanes {
    pub(super) fn new(peer: Peer, shared: &[Shared], limits: &LaneLimits) -> Self {
        let lane = |shared: &Shared| Lane {
            local: shared.local,
            length: shared.length,
            outgoing: Backlog::new(limits.outgoing),
            incoming: Some(Incoming {
                backlog: Backlog::new(limits.incoming),
                batch: VecDeque::new(),
            }),
        };
        Self { peer, lanes: shared.iter().map(lane).collect() }
    }

    /// A message of the protocol at `local`, for the peer.
    pub(super) fn offer(
        &mut self,
        local: usize,
        code: u64,
        payload: &[u8],
    ) -> Result<(), OfferError> {
        let lane = self.lanes.iter_mut().find(|lane| lane.local == local);
        let lane = lane.ok_or(OfferError::NoPeer)?;
        Unsendable::check(lane.length, code, payload.len())?;
        if !lane.outgoing.has_room() {
            return Err(OfferError::Full);
        }
        lane.outgoing.push(Message::new(code, payload.to_vec()));
        Ok(())
    }

    /// Passes on what protocols have offered: for [`Flow::fill`](peerage_rlpx::Flow::fill).
    pub(super) fn fetch(&mut self) -> impl FnMut(usize, &mut VecDeque<Message>) {
        |lane, batch| {
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.outgoing.take(batch);
            }
        }
    }

    /// What has arrived on a lane. Says whether that has filled it.
    pub(super) fn hand_over(&mut self, lane: usize, arrived: &mut Vec<Message>) -> bool {
        let incoming = self.lanes.get_mut(lane).and_then(|lane| lane.incoming.as_mut());
        let Some(incoming) = incoming else {
            arrived.clear();
            return false;
        };
        arrived.drain(..).for_each(|message| incoming.backlog.push(message));
        !incoming.backlog.has_room()
    }

    /// The next message that has arrived for the protocol at `local`.
    pub(super) fn next(&mut self, local: usize) -> Option<Message> {
        let lane = self.lanes.iter_mut().find(|lane| lane.local == local)?;
        let Incoming { backlog, batch } = lane.incoming.as_mut()?;
        if batch.is_empty() {
            backlog.take(batch);
        }
        batch.pop_front()
    }

    /// The place of the protocol of a lane.
    pub(super) fn local(&self, lane: usize) -> Option<usize> {
        self.lanes.get(lane).map(|lane| lane.local)
    }

    /// The protocol at `local` takes nothing more.
    pub(super) fn abandon(&mut self, local: usize) {
        for lane in self.lanes.iter_mut().filter(|lane| lane.local == local) {
            lane.incoming = None;
        }
    }

    /// Takes the lane of the protocol at `local` away: whether there was one.
    pub(super) fn remove(&mut self, local: usize) -> bool {
        let before = self.lanes.len();
        self.lanes.retain(|lane| lane.local != local);
        self.lanes.len() < before
    }

    /// Whether there is no lane.
    pub(super) const fn is_empty(&self) -> bool {
        self.lanes.is_empty()
    }

    /// Whether the protocol at `local` is spoken.
    pub(super) fn has(&self, local: usize) -> bool {
        self.lanes.iter().any(|lane| lane.local == local)
    }

    /// Whether nothing is full of what has arrived.
    pub(super) fn has_room(&self) -> bool {
        let has_room = |lane: &Lane| lane.incoming.as_ref().is_none_or(|it| it.backlog.has_room());
        self.lanes.iter().all(has_room)
    }

    /// Whether nothing waits to be passed on.
    pub(super) fn is_silent(&self) -> bool {
        self.lanes.iter().all(|lane| lane.outgoing.is_empty())
    }
}
