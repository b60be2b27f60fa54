//! How a [`V4`](crate::v4::V4) behaves, with a why per value; and the counters it keeps.

use std::time::Duration;

use peerage_node::{Node, Policy};

use crate::{LimiterConfig, TableConfig};

/// Settings of discovery v4.
#[derive(Clone, Debug)]
pub struct Config {
    /// Nodes to begin with, and to come back to when no other is known. Names are resolved by the
    /// driver.
    pub bootnodes: Vec<Node>,
    /// Who may be talked to.
    pub policy: Policy,
    /// The node table, and which address families the driver can send to.
    pub table: TableConfig,
    /// Packets per second.
    pub limiter: LimiterConfig,
    /// How long a reply may take. Half a second reaches around the world.
    pub reply_timeout: Duration,
    /// How long more packets of one answer are waited for after each: senders send them at once.
    pub neighbors_linger: Duration,
    /// For how long a packet is valid after it is made: much longer than its way, as clocks differ.
    pub expiration: Duration,
    /// How long an endpoint proof is good for.
    pub bond_lifetime: Duration,
    /// How long a node that proved its endpoint is left alone before it may be asked anything: it
    /// now has the word.
    pub settle: Duration,
    /// The longest time between two refreshes of the table, of which each comes at a random moment
    /// in the second half.
    pub refresh: Duration,
    /// The shortest time between two changes of our address by vote.
    pub vote_interval: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bootnodes: Vec::new(),
            policy: Policy::default(),
            table: TableConfig::default(),
            limiter: LimiterConfig::default(),
            reply_timeout: Duration::from_millis(500),
            neighbors_linger: Duration::from_millis(100),
            expiration: Duration::from_secs(20),
            bond_lifetime: Duration::from_secs(24 * 60 * 60),
            settle: Duration::from_secs(1),
            refresh: Duration::from_secs(30 * 60),
            vote_interval: Duration::from_secs(10),
        }
    }
}

/// Why a datagram was ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DropReason {
    /// Its time had passed: it is old, or a clock is wrong.
    Expired,
    /// Not a packet that can be read, though its hash is right.
    Malformed,
    /// Not of discovery v4.
    NotV4,
    /// From an address where nobody can be, or a node that the policy forbids.
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
    pub const ALL: [Self; 10] = [
        Self::Expired,
        Self::Malformed,
        Self::NotV4,
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
pub struct Stats {
    /// Datagrams that came in.
    pub received: u64,
    /// Datagrams that were sent.
    pub sent: u64,
    /// Requests that stayed without an answer.
    pub timeouts: u64,
    /// Datagrams that were ignored, by reason.
    dropped: [u64; DropReason::ALL.len()],
}

impl Stats {
    /// How many datagrams were ignored for `reason`.
    pub const fn dropped(&self, reason: DropReason) -> u64 {
        self.dropped[reason as usize]
    }

    pub(super) const fn count(&mut self, reason: DropReason) {
        self.dropped[reason as usize] += 1;
    }
}
