//! How a [`V5`](crate::v5::V5) behaves, with a why per value; and the counters it keeps.

use std::time::Duration;

use crate::Rate;

/// Settings of discovery v5, beside those of all versions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How long a response, or a part of one, may take. A request without one is repeated once
    /// after this time, which leaves a second between two handshakes with one node.
    pub reply_timeout: Duration,
    /// How long a handshake that a stranger has to begin may take. Until then it gets the same
    /// WHOAREYOU again and again.
    pub challenge_timeout: Duration,
    /// How long a session is kept after it was used last. Losing one costs a handshake.
    pub session_lifetime: Duration,
    /// Requests of our own accord to one address. All clients bear this much from a node that they
    /// do not know: Lighthouse bans an address for the ninth packet in a second.
    pub pace: Rate,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reply_timeout: Duration::from_secs(1),
            challenge_timeout: Duration::from_secs(1),
            session_lifetime: Duration::from_secs(12 * 60 * 60),
            pace: Rate { per_second: 1, burst: 4 },
        }
    }
}

/// Why a packet was ignored, or answered with a WHOAREYOU only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Not one that can be read, though its header is right.
    Malformed,
    /// From a node that the policy forbids.
    NotAllowed,
    /// In our own name.
    Own,
    /// It does not prove that its sender is who it says.
    Proof,
    /// One packet too many in too short a time.
    RateLimit,
    /// It came before.
    Replayed,
    /// A response or a challenge that nobody asked for, or a handshake that nobody challenged.
    Unsolicited,
    /// Of a type that is not known.
    UnknownType,
    /// Of no session that we have: its sender is asked who it is.
    Unopened,
}

impl DropReason {
    /// All reasons, in their order.
    pub const ALL: [Self; 9] = [
        Self::Malformed,
        Self::NotAllowed,
        Self::Own,
        Self::Proof,
        Self::RateLimit,
        Self::Replayed,
        Self::Unsolicited,
        Self::UnknownType,
        Self::Unopened,
    ];
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Packets of v5 that came in.
    pub received: u64,
    /// Packets that were sent.
    pub sent: u64,
    /// Requests that stayed without an answer, repetitions included.
    pub timeouts: u64,
    /// Handshakes that were completed, in either role.
    pub handshakes: u64,
    /// Signatures of records that were verified: those of records that were not known.
    pub verified: u64,
    /// Packets that were ignored, by reason.
    dropped: [u64; DropReason::ALL.len()],
}

impl Stats {
    /// How many packets were ignored for `reason`.
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(super) const fn count(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}
