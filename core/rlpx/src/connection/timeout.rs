//! The deadlines of a connection.

use peerage_machine::{Instant, Now};

use super::{Connection, State};
use crate::{Fault, PeerMisbehaved, Waiting, outgoing::Outbox};

impl Connection {
    /// Does what is due: ends the connection, or sends a ping. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Now) {
        let timeouts = &self.config.timeouts;
        let passed = |deadline: Instant| deadline <= now.mono;
        let late = |after, waiting| Err(PeerMisbehaved::TimedOut(after, waiting).into());
        let stalled = |out: &Outbox| out.deadline(timeouts.write).is_some_and(passed);
        let result: Result<(), Fault> = match &mut self.state {
            State::Shaking(shaking) if passed(shaking.deadline) => {
                late(timeouts.handshake, Waiting::Handshaking)
            }
            State::Shaken { deadline, .. }
            | State::Identified { deadline, .. }
            | State::Greeting { deadline, .. }
                if passed(*deadline) =>
            {
                late(timeouts.handshake, Waiting::Handshaking)
            }
            State::Shaking(shaking) if stalled(&shaking.out) => {
                late(timeouts.write, Waiting::Writing)
            }
            State::Shaken { keyed, .. }
            | State::Identified { keyed, .. }
            | State::Greeting { keyed, .. }
            | State::Ready { keyed, .. }
                if stalled(&keyed.out) =>
            {
                late(timeouts.write, Waiting::Writing)
            }
            State::Open(open) => {
                open.incoming.handle_timeout(now).and_then(|()| open.outgoing.handle_timeout(now))
            }
            State::Closing(closing) if closing.goodbye.is_over(now) => return self.finish(),
            _ => Ok(()),
        };
        if let Err(fault) = result {
            self.end(now, fault);
        }
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; `None` is never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let write = self.config.timeouts.write;
        let earlier = |one: Option<Instant>, other| one.into_iter().chain(other).min();
        match &self.state {
            State::Shaking(shaking) => earlier(Some(shaking.deadline), shaking.out.deadline(write)),
            State::Shaken { keyed, deadline }
            | State::Identified { keyed, deadline }
            | State::Greeting { keyed, deadline } => {
                earlier(Some(*deadline), keyed.out.deadline(write))
            }
            State::Ready { keyed, .. } => keyed.out.deadline(write),
            State::Open(open) => {
                earlier(open.incoming.poll_timeout(), open.outgoing.poll_timeout())
            }
            State::Closing(closing) => Some(closing.goodbye.deadline()),
            State::Ended(_) | State::Closed(_) => None,
        }
    }
}
