//! How a [`V4`](crate::v4::V4) behaves, with a why per value; and the counters it keeps.

use std::time::Duration;

/// Settings of discovery v4, beside those of all versions.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// How long a reply may take. Half a second reaches around the world.
    pub reply_timeout: Duration,
    /// How long more packets of one answer are waited for after each: senders send them at once.
    pub neighbors_linger: Duration,
    /// For how long a packet is valid after it is made: much longer than its way, as clocks differ.
    pub expiration: Duration,
    /// How long an endpoint proof is good for.
    pub bond_lifetime: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            reply_timeout: Duration::from_millis(500),
            neighbors_linger: Duration::from_millis(100),
            expiration: Duration::from_secs(20),
            bond_lifetime: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Why a packet was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Its time had passed: it is old, or a clock is wrong.
    Expired,
    /// Not one that can be read, though its hash is right.
    Malformed,
    /// From a node that the policy forbids.
    NotAllowed,
    /// Signed with our own key.
    Own,
    /// One packet too many in too short a time.
    RateLimit,
    /// The signature was not valid.
    Signature,
    /// A question from an address that has not proved itself.
    Unproved,
    /// An answer that nobody asked for.
    Unsolicited,
    /// Of a type that is not known.
    UnknownType,
}

impl DropReason {
    /// All reasons, in their order.
    pub const ALL: [Self; 9] = [
        Self::Expired,
        Self::Malformed,
        Self::NotAllowed,
        Self::Own,
        Self::RateLimit,
        Self::Signature,
        Self::Unproved,
        Self::Unsolicited,
        Self::UnknownType,
    ];
}

/// What has been counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Packets of v4 that came in.
    pub received: u64,
    /// Packets that were sent.
    pub sent: u64,
    /// Requests that stayed without an answer.
    pub timeouts: u64,
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
