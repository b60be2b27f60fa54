//! What a host is, and what runs on it.
//!
//! The world knows no more of a program than this trait says: a node, an adversary and a
//! researcher's own are alike to it.

use std::{any::Any, fmt, net::IpAddr};

use peerage_machine::{Now, Random};

use super::{
    clock::HostClock,
    event::{HostEvent, Mail},
    io::Io,
    net::Crash,
};

/// A host of a world, from 0 in the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostId(pub u32);

impl HostId {
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "h{}", self.0)
    }
}

/// What a host runs: a node, an adversary, a probe, a researcher's own.
///
/// It is told what happens, and does what it likes by [`Io`]. It draws randomness from
/// [`Io::random`] only, and iterates over nothing that has no order, so that the same seed gives
/// the same trace.
///
/// A program stays with its host while the host is down: what it keeps then is its disk. It drops
/// in [`on_down`](Self::on_down) what would have been its memory.
pub trait Program: Any + fmt::Debug {
    /// The host has started, or started anew.
    fn on_start(&mut self, io: &mut Io<'_>);

    /// Something happened.
    fn on_event(&mut self, io: &mut Io<'_>, event: HostEvent);

    /// Mail of this program to itself has arrived; see [`Io::mail`].
    fn on_mail(&mut self, io: &mut Io<'_>, mail: Box<dyn Mail>) {
        let _ = (io, mail);
    }

    /// The program is asked to stop, and calls [`Io::exit`] when it has: at once if nothing else is
    /// said.
    fn on_stop(&mut self, io: &mut Io<'_>) {
        io.exit();
    }

    /// The host is down: the program has exited or crashed, at this time of its clocks.
    fn on_down(&mut self, now: Now, how: Crash) {
        let _ = (now, how);
    }

    /// What a datagram is, for a line of the trace.
    fn describe(&self, datagram: &[u8]) -> String {
        format!("{} bytes", datagram.len())
    }
}

#[derive(Debug)]
pub(super) struct Host {
    pub(super) clock: HostClock,
    pub(super) random: Random,
    /// Where others reach it.
    pub(super) ip: IpAddr,
    pub(super) program: Box<dyn Program>,
    /// What came while the host stands still; `None` while it does not.
    pub(super) deferred: Option<Vec<Deferred>>,
    /// Whether the program has exited in the event that it is dealing with.
    pub(super) has_exited: bool,
}

/// Something that waits for a host which stands still.
#[derive(Debug)]
pub(super) enum Deferred {
    Event(HostEvent),
    Mail(Box<dyn Mail>),
    Stop,
}
