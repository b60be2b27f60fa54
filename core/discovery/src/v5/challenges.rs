//! WHOAREYOUs that wait for their answer.
//!
//! # Security
//!
//! While one waits, the same is sent again and nothing new is made: whoever forges many packets of
//! a node cannot make the handshake of that node fail.

use std::time::Duration;

use peerage_machine::{ExpiringMap, Instant};
use peerage_node::Node;

use super::{
    packet::{ChallengeData, MIN_PACKET_SIZE},
    sessions::Remote,
};

/// How many wait at a time: as many as strangers may make us send in a second.
const MAX_CHALLENGES: usize = 2048;

/// How many wrong answers a challenge bears: one may be forged by whoever has seen nothing but the
/// address.
const MAX_FAILURES: u8 = 3;

/// A WHOAREYOU that was sent.
#[derive(Clone, Debug)]
pub(super) struct Challenge {
    /// As it was sent.
    pub(super) packet: [u8; MIN_PACKET_SIZE],
    /// What the answer is bound to.
    pub(super) data: ChallengeData,
    /// Whom we asked, as far as we know: its record was left out of the answer if it is no newer.
    pub(super) node: Option<Node>,
    failures: u8,
}

impl Challenge {
    pub(super) const fn new(
        packet: [u8; MIN_PACKET_SIZE],
        data: ChallengeData,
        node: Option<Node>,
    ) -> Self {
        Self { packet, data, node, failures: 0 }
    }
}

/// All of them.
#[derive(Debug)]
pub(super) struct Challenges {
    timeout: Duration,
    map: ExpiringMap<Remote, Challenge>,
}

impl Challenges {
    pub(super) fn new(timeout: Duration) -> Self {
        Self { timeout, map: ExpiringMap::new(MAX_CHALLENGES) }
    }

    pub(super) fn insert(&mut self, now: Instant, remote: Remote, challenge: Challenge) {
        self.map.tidy(now);
        self.map.insert(remote, challenge, now + self.timeout);
    }

    pub(super) fn get(&self, now: Instant, remote: &Remote) -> Option<&Challenge> {
        self.map.get(remote, now)
    }

    /// It was answered.
    pub(super) fn remove(&mut self, remote: &Remote) {
        self.map.remove(remote);
    }

    /// It was answered wrongly.
    pub(super) fn on_failure(&mut self, now: Instant, remote: &Remote) {
        let Some(challenge) = self.map.get_mut(remote, now) else { return };
        challenge.failures += 1;
        if challenge.failures >= MAX_FAILURES {
            self.map.remove(remote);
        }
    }

    /// The bytes held.
    pub(super) fn memory(&self) -> usize {
        self.map.memory() + self.map.len() * Node::MAX_HEAP
    }

    /// The most bytes held.
    pub(super) const fn memory_bound() -> usize {
        ExpiringMap::<Remote, Challenge>::memory_bound(MAX_CHALLENGES)
            + MAX_CHALLENGES * Node::MAX_HEAP
    }
}
