//! The lists of nodes that a user keeps.

/// The lists that a user keeps at run time. They neither age nor yield to other nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum List {
    /// Nodes to be connected to, always.
    Static,
    /// Nodes that are let in when all slots are taken.
    Trusted,
}

impl List {
    /// Every list.
    pub const ALL: [Self; 2] = [Self::Static, Self::Trusted];

    /// How many nodes a list may have: more than anybody types, and what a program that adds nodes
    /// without end may cost (2 MB).
    pub const MAX: usize = 4096;

    /// A name for it in a file, which no version changes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Static => "static",
            Self::Trusted => "trusted",
        }
    }
}
