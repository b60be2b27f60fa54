//! Who means harm: hosts that break what they can.
//!
//! Each is an [`Actor`] with a key of its own, told of some honest nodes to begin with.

use std::{fmt, str::FromStr};

use peerage_node::{Node, NodeId, SecretKey};

use crate::Actor;

/// What an adversary does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum AdversaryKind {
    /// Holds many ids in few subnets, tells only of its own, and fills tables and slots.
    Eclipse,
}

impl AdversaryKind {
    /// All of them.
    pub const ALL: [Self; 1] = [Self::Eclipse];

    /// Its name on a command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eclipse => "eclipse",
        }
    }

    /// What it does, in one sentence.
    pub const fn about(self) -> &'static str {
        match self {
            Self::Eclipse => {
                "holds many ids in few subnets, tells only of its own, and fills tables and slots"
            }
        }
    }
}

impl fmt::Display for AdversaryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for AdversaryKind {
    type Err = UnknownAdversary;

    fn from_str(text: &str) -> Result<Self, UnknownAdversary> {
        Self::ALL.into_iter().find(|kind| kind.name() == text).ok_or(UnknownAdversary)
    }
}

/// The text names no adversary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no such adversary; `peerage sim list` names them")]
pub struct UnknownAdversary;

/// What adversaries of one kind know to begin with.
#[derive(Clone, Debug, Default)]
pub struct Accomplices {
    /// Honest nodes that they are after; the first one above all.
    pub targets: Vec<Node>,
    /// All adversaries of the kind, by what they are called.
    pub all: Vec<Node>,
}

/// Makes one adversary with this key.
pub fn adversary(kind: AdversaryKind, key: SecretKey, knows: Accomplices) -> Box<dyn Actor> {
    let _ = (kind, key, knows);
    unreachable!("because this is the next commit")
}

/// The id that an adversary with this key is known by.
pub fn id(key: &SecretKey) -> NodeId {
    key.public().id()
}
