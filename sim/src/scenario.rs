//! Scenarios, as data: who is there, what happens to them, and what is measured.
//!
//! Not here: how a scenario is run ([`Run`]), and pictures of it (`peerage sim`).

mod all;
mod measure;
mod run;
mod series;
mod steps;

use std::time::Duration;

pub use measure::{Measure, Row};
pub use run::{Options, OptionsError, Outcome, Run};
pub use series::Series;

use crate::{
    Bounds, Crash, Faults, LinkProfile, NodeSpec, Place, Resolver, adversary::AdversaryKind,
};

/// A scenario. Times are in thousandths of its span, so that it can be run for longer or shorter.
#[derive(Debug)]
pub struct Scenario {
    /// Its name on a command line.
    pub name: &'static str,
    /// What happens, in a sentence or two.
    pub about: &'static str,
    /// How many nodes there are, if nothing else is said.
    pub nodes: u32,
    /// How long it takes, in virtual time, if nothing else is said.
    pub span: Duration,
    /// Whether its cryptography is a cheap stand-in, if nothing else is said.
    pub stand_in: bool,
    /// How the network behaves.
    pub link: fn() -> LinkProfile,
    /// Who is there.
    pub groups: &'static [Group],
    /// What happens when.
    pub acts: &'static [Act],
    /// What is measured at the end.
    pub rows: &'static [Measure],
}

/// Nodes that are alike.
#[derive(Debug)]
pub struct Group {
    /// What acts call it.
    pub name: &'static str,
    /// How many there are.
    pub size: Size,
    /// Where they are: each takes the next place.
    pub places: &'static [Place],
    /// When they start: each at some moment between these, in thousandths of the span; `None` is
    /// not by itself.
    pub starts: Option<(u32, u32)>,
    /// Whom they know to begin with.
    pub knows: Knows,
    /// What is special about them.
    pub tune: fn(&mut NodeSpec),
}

/// How many nodes a group has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// This many.
    Exactly(u32),
    /// This share of all, in thousandths, at least one.
    Share(u32),
    /// Whoever is left.
    Rest,
}

/// Whom the nodes of a group know to begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Knows {
    /// The nodes of this group are their boot nodes.
    Boot(&'static str),
    /// The nodes of `group` are static nodes whose addresses are names, and `boot` are boot nodes.
    Named {
        /// Those to stay connected to.
        group: &'static str,
        /// The boot nodes.
        boot: &'static str,
    },
    /// Each has the other one of its pair as a static node.
    Partner,
    /// The nodes of `group` are static nodes, and `boot` are boot nodes.
    Static {
        /// Those to stay connected to.
        group: &'static str,
        /// The boot nodes.
        boot: &'static str,
    },
    /// The nodes of `group` are trusted, and `boot` are boot nodes.
    Trusted {
        /// Those to be let in.
        group: &'static str,
        /// The boot nodes.
        boot: &'static str,
    },
}

/// Something that happens, in thousandths of the span.
#[derive(Debug)]
pub struct Act {
    /// When.
    pub at: u32,
    /// What.
    pub what: What,
}

/// What can happen.
#[derive(Debug)]
pub enum What {
    /// This many adversaries come, in hundredths of the number of nodes; they are after the first
    /// node of a group.
    Adversaries {
        /// What they do.
        kind: AdversaryKind,
        /// How many, in hundredths of all nodes.
        percent: u32,
        /// Whom they are after.
        after: &'static str,
    },
    /// From now to a later moment, nodes of a group are replaced by new ones, evenly.
    Churn {
        /// Whose.
        group: &'static str,
        /// The end.
        until: u32,
        /// How many of them in all, in hundredths of the group.
        percent: u32,
    },
    /// All nodes of a group go down.
    Crash(&'static str, Crash),
    /// From now on the systems of all nodes of a group lack this.
    Faults(&'static str, Faults),
    /// The wall clocks of every nth node of a group jump.
    JumpClocks {
        /// Whose.
        group: &'static str,
        /// One in this many.
        one_in: u32,
        /// How far, in seconds.
        seconds: i64,
    },
    /// The network is whole again.
    Heal,
    /// Something is measured now, and reported under this name.
    Measure(&'static str, &'static [Measure]),
    /// From now on names are resolved like this.
    Resolve(Resolver),
    /// All nodes of a group start, or start again.
    Start(&'static str),
    /// The network falls into two halves.
    Split,
    /// All nodes of a group stand still for so many thousandths of the span.
    Suspend(&'static str, u32),
}

impl Scenario {
    /// All of them.
    pub const fn all() -> &'static [Self] {
        all::SCENARIOS
    }

    /// The scenario of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        Self::all().iter().find(|scenario| scenario.name == name)
    }

    /// How it runs if nothing else is said.
    pub const fn options(&self, seed: u64) -> Options {
        Options {
            nodes: self.nodes,
            seed,
            span: self.span,
            adversaries: Vec::new(),
            stand_in: self.stand_in,
            agreement: Bounds::AGREEMENT,
        }
    }
}
