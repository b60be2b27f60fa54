//! Who finds the nodes that are dialed.

use std::fmt;

/// A source of candidates: a discovery protocol, the embedding program, or anything else that finds
/// nodes. Named, not numbered, so that one that nobody here has heard of takes no change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(&'static str);

impl Source {
    /// Node discovery v4.
    pub const DISCOVERY_V4: Self = Self::new("discovery v4");
    /// Node discovery v5.
    pub const DISCOVERY_V5: Self = Self::new("discovery v5");
    /// Trees of node lists in DNS.
    pub const DNS: Self = Self::new("DNS");
    /// The embedding program, which names nodes of its own accord.
    pub const USER: Self = Self::new("user");

    /// The source of this name. Two with one name are one.
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.0
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}
