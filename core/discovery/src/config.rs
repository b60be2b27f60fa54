//! How discovery behaves, with a why per value: what holds for all versions, and which are on.

use std::time::Duration;

use peerage_node::{Node, Policy};

use crate::{LimiterConfig, TableConfig, v4};

/// Settings of discovery.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Nodes to begin with, and to come back to when no other is known. One that is known by name
    /// is resolved again and again.
    pub bootnodes: Vec<Node>,
    /// Who may be talked to.
    pub policy: Policy,
    /// The node table of each version. Which address families can be sent to, follows from where
    /// datagrams are taken.
    pub table: TableConfig,
    /// Packets per second, of all versions together.
    pub limiter: LimiterConfig,
    /// How long a node that proved its endpoint is left alone before it may be asked anything: it
    /// now has the word.
    pub settle: Duration,
    /// The longest time between two refreshes of a table, of which each comes at a random moment in
    /// the second half.
    pub refresh: Duration,
    /// The shortest time between two changes of our address by vote.
    pub vote_interval: Duration,
    /// Discovery v4; `None` is off.
    pub v4: Option<v4::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bootnodes: Vec::new(),
            policy: Policy::default(),
            table: TableConfig::default(),
            limiter: LimiterConfig::default(),
            settle: Duration::from_secs(1),
            refresh: Duration::from_secs(30 * 60),
            vote_interval: Duration::from_secs(10),
            v4: Some(v4::Config::default()),
        }
    }
}
