//! How discovery behaves, with a why per value: what holds for all versions, and which are on.

use std::time::Duration;

use peerage_node::{Node, Policy, Source};

use crate::{LimiterConfig, TableConfig, Version, v4, v5};

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
    /// Discovery v5; `None` is off.
    pub v5: Option<v5::Config>,
}

impl Config {
    /// Switches on these versions, with their defaults where they were off, and no others.
    #[must_use]
    pub fn with_versions(mut self, versions: &[Version]) -> Self {
        let is_on = |version| versions.contains(&version);
        self.v4 = is_on(Version::V4).then(|| self.v4.unwrap_or_default());
        self.v5 = is_on(Version::V5).then(|| self.v5.unwrap_or_default());
        self
    }

    /// The versions that are on.
    pub fn versions(&self) -> Vec<Version> {
        let v4 = self.v4.is_some().then_some(Version::V4);
        v4.into_iter().chain(self.v5.is_some().then_some(Version::V5)).collect()
    }

    /// The versions that are on, as sources of candidates.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        self.versions().into_iter().map(Version::source)
    }
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
            v5: Some(v5::Config::default()),
        }
    }
}
