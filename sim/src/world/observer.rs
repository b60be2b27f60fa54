//! Who looks at a world from outside, what there is to see, and the first breach of a rule.

use std::{any::Any, fmt, net::SocketAddr};

use peerage_machine::Instant;

use super::{
    event::HostEvent,
    host::{HostId, Program},
};

/// Somebody who looks at a world from outside and changes nothing in it.
///
/// An observer has no [`Io`](crate::Io) and no randomness, so a world goes the same way with it and
/// without it. It may find that a rule is broken, which ends the run.
pub trait Observer: Any + fmt::Debug {
    /// Something is known of a host.
    fn on_fact(&mut self, verdict: &mut Verdict, at: Instant, host: HostId, fact: &Fact<'_>) {
        let _ = (verdict, at, host, fact);
    }

    /// A host has dealt with an event, and rests; this is its program.
    fn on_rest(&mut self, verdict: &mut Verdict, at: Instant, host: HostId, program: &dyn Program) {
        let _ = (verdict, at, host, program);
    }

    /// It is this late: after each event of the world.
    fn on_time(&mut self, verdict: &mut Verdict, at: Instant) {
        let _ = (verdict, at);
    }
}

/// What can be known of a host.
#[derive(Debug)]
#[non_exhaustive]
pub enum Fact<'a> {
    /// It is down: its program has exited or crashed.
    Down,
    /// It goes on after it stood still.
    GoesOn,
    /// Its program says something of itself, which it names. See [`reported`](Self::reported).
    Reported(&'a dyn Any),
    /// Its program sends a datagram, which its system may not take.
    Sent {
        /// Where to.
        to: SocketAddr,
        /// All of it.
        bytes: &'a [u8],
    },
    /// It stands still.
    StandsStill,
    /// Its program is about to start.
    Starts,
    /// It is told of an event.
    Told(&'a HostEvent),
}

impl<'a> Fact<'a> {
    /// What a program says of itself, if it is of this type.
    pub fn reported<T: Any>(&self) -> Option<&'a T> {
        match self {
            Self::Reported(fact) => fact.downcast_ref(),
            _ => None,
        }
    }
}

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("at {at} host {host} broke a rule: {what}")]
pub struct Violation {
    /// When, in the world.
    pub at: Instant,
    /// Which host.
    pub host: HostId,
    /// What it did.
    pub what: String,
}

/// Whether a rule has been broken.
#[derive(Debug, Default)]
pub struct Verdict(Option<Violation>);

impl Verdict {
    /// A host has broken a rule, as `what` says. The first breach counts.
    pub fn break_rule(&mut self, at: Instant, host: HostId, what: impl FnOnce() -> String) {
        if self.0.is_none() {
            self.0 = Some(Violation { at, host, what: what() });
        }
    }

    /// The first breach since the last call.
    pub fn take(&mut self) -> Option<Violation> {
        self.0.take()
    }
}

/// All observers of a world.
#[derive(Debug, Default)]
pub(crate) struct Observers {
    all: Vec<Box<dyn Observer>>,
    pub(crate) verdict: Verdict,
}

impl Observers {
    pub(crate) fn add(&mut self, observer: Box<dyn Observer>) {
        self.all.push(observer);
    }

    /// The first observer of this type.
    pub(crate) fn get<T: Observer>(&self) -> Option<&T> {
        self.all.iter().find_map(|it| (it.as_ref() as &dyn Any).downcast_ref())
    }

    /// The first observer of this type, to be told something.
    pub(crate) fn get_mut<T: Observer>(&mut self) -> Option<&mut T> {
        self.all.iter_mut().find_map(|it| (it.as_mut() as &mut dyn Any).downcast_mut())
    }

    pub(crate) fn on_fact(&mut self, at: Instant, host: HostId, fact: &Fact<'_>) {
        for observer in &mut self.all {
            observer.on_fact(&mut self.verdict, at, host, fact);
        }
    }

    pub(crate) fn on_rest(&mut self, at: Instant, host: HostId, program: &dyn Program) {
        for observer in &mut self.all {
            observer.on_rest(&mut self.verdict, at, host, program);
        }
    }

    pub(crate) fn on_time(&mut self, at: Instant) {
        for observer in &mut self.all {
            observer.on_time(&mut self.verdict, at);
        }
    }
}
