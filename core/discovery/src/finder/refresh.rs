//! When the table is refreshed: often while there is hardly a node in it, and else twice an hour.

use std::time::Duration;

use peerage_machine::{Instant, Random};

use crate::CLOSEST;

/// The first time between two refreshes of a table with few nodes; it doubles as long as there are
/// no more. Nodes of a new network that start together find each other by that.
const SPARSE: Duration = Duration::from_secs(5);

/// The longest time between two refreshes of an empty table.
const EMPTY_MAX: Duration = Duration::from_secs(60);

/// The time of the next refresh, and what it follows from.
#[derive(Debug)]
pub(super) struct Refresh {
    next: Instant,
    /// The longest time between two of a table with many nodes.
    longest: Duration,
    /// How many nodes the table had at the last one.
    nodes: usize,
    /// Refreshes in a row that brought no more nodes.
    vain: u32,
}

impl Refresh {
    /// The first one is due at `first`.
    pub(super) const fn new(first: Instant, longest: Duration) -> Self {
        Self { next: first, longest, nodes: 0, vain: 0 }
    }

    /// Plans the refresh after one that found `nodes` nodes in the table.
    pub(super) fn plan(&mut self, now: Instant, nodes: usize, random: &mut Random) {
        self.vain = if nodes > self.nodes { 0 } else { self.vain.saturating_add(1) };
        self.nodes = nodes;
        let half = self.longest / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        let regular = half + Duration::from_nanos(random.below(nanos));
        // At most 2^16 times as long: past every sensible interval.
        let sparse = SPARSE * 2_u32.pow(self.vain.min(16));
        self.next = now
            + match nodes {
                0 => sparse.min(EMPTY_MAX),
                1..CLOSEST => sparse.min(regular),
                _ => regular,
            };
    }

    /// The table has lost its last node.
    pub(super) fn on_empty(&mut self, now: Instant) {
        self.nodes = 0;
        self.next = self.next.min(now + SPARSE);
    }

    /// When the next one is due.
    pub(super) const fn next(&self) -> Instant {
        self.next
    }
}
