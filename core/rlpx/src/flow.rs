//! A connection with its lanes: everything that a connection's task decides.
//!
//! Here: how much is sealed before it is written and read at once, when reading pauses, what goes
//! before a goodbye, when buffers are freed, and for whom a closed stream is kept a while. Not
//! here: sockets, timers, and how a protocol waits, which are the driver's; who may connect
//! (`peering`).
//!
//! ```text
//!   stream -- receive --> Flow -- Deliver, delivered ---> backlogs of the protocols
//!          <- outgoing ---     <- fill(fetch) -----------
//! ```

mod linger;
#[cfg(test)]
mod tests;
mod warmth;

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use peerage_machine::{Instant, Now, Seed};
use peerage_node::PublicKey;

use crate::{
    Config, Connection, DisconnectReason, Event, Fault, Hello, LaneLimits, Lanes, Message, Role,
    SendError, Shared, Step, StepResult, WhenFull,
};
pub use linger::Linger;
use warmth::Warmth;

/// A connection and its lanes, for a driver that moves bytes, timers and wakes and decides nothing.
///
/// A driver goes round: it [fills](Self::fill), writes [`outgoing`](Self::outgoing), reads at most
/// [`read_budget`](Self::read_budget), [receives](Self::receive), and deals with the events. After
/// [`ROUNDS`](Self::ROUNDS) of these it lets others have a turn.
#[derive(Debug)]
pub struct Flow {
    connection: Connection,
    /// None until the connection is open.
    lanes: Lanes,
    writing: Writing,
    warmth: Warmth,
    end: End,
}

/// What happened on a flow.
#[derive(Debug)]
pub enum FlowEvent {
    /// It is over; see [`Event::Closed`]. What had arrived before was delivered before.
    Closed {
        /// Why.
        fault: Fault,
    },
    /// Messages have arrived for a lane: they are to be taken out of
    /// [`delivered`](Flow::delivered), or this event comes again.
    Deliver {
        /// Index in [`shared`](Flow::shared).
        lane: usize,
    },
    /// See [`Event::Identified`].
    Identified {
        /// The key that the peer claims.
        key: PublicKey,
    },
    /// See [`Event::Ready`].
    Ready {
        /// What the peer says of itself.
        hello: Hello,
    },
    /// See [`Event::Step`].
    Step(Step),
}

/// Whether the stream takes anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Writing {
    Failed,
    Works,
}

/// Whether it is over, and whether the driver was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    NotYet,
    Told,
    Untold,
}

impl Flow {
    /// How much is read at once, at most. Large enough that the system call costs little beside the
    /// cryptography (some 10 us to 140), small enough to stay in the processor's cache.
    pub const READ_SIZE: usize = 64 << 10;

    /// How much is sealed before it is written.
    const WRITE_SIZE: usize = 128 << 10;

    /// How often a driver fills, writes and reads before it lets others have a turn: about a
    /// millisecond's work.
    pub const ROUNDS: usize = 8;

    /// A connection over a fresh stream: see [`Connection::new`].
    pub fn new(config: Arc<Config>, role: Role, now: Now, seed: Seed) -> Self {
        Self {
            connection: Connection::new(config, role, now, seed),
            lanes: Lanes::default(),
            writing: Writing::Works,
            warmth: Warmth::Cold,
            end: End::NotYet,
        }
    }

    /// Takes what was read from the stream, up to an event or the end of `input`; decrypts in
    /// place. `None` means that all of it was taken.
    ///
    /// # Panics
    ///
    /// If more was read than [`read_budget`](Self::read_budget).
    pub fn receive(&mut self, now: Now, input: &mut &mut [u8]) -> Option<FlowEvent> {
        self.warmth.on_use(now.mono);
        let mut payload = Vec::new();
        loop {
            match self.connection.receive(now, input, &mut payload) {
                Some(Event::Message { shared, code }) => {
                    let message = Message { code, payload: mem::take(&mut payload).into() };
                    if self.lanes.deliver(shared, message) {
                        return Some(FlowEvent::Deliver { lane: shared });
                    }
                }
                Some(event) => return self.on_event(event),
                None => return self.poll_event(),
            }
        }
    }

    /// Notes that the stream has nothing to be read now, or may not be read: if it takes nothing
    /// either, that is its end. What had arrived before it broke was read before: it may have been
    /// the reason.
    pub fn receive_nothing(&mut self, now: Now) -> Option<FlowEvent> {
        match self.writing {
            Writing::Failed => self.receive_eof(now),
            Writing::Works => None,
        }
    }

    /// Notes that nothing more will be read: the peer has closed the stream, or it failed.
    pub fn receive_eof(&mut self, now: Now) -> Option<FlowEvent> {
        let event = match self.connection.receive_eof(now) {
            // A second call says that nothing can be written either.
            None if self.writing == Writing::Failed => self.connection.receive_eof(now),
            event => event,
        };
        event.and_then(|event| self.on_event(event))
    }

    /// Notes that what was [delivered](Self::delivered) has filled the backlog of its protocol.
    pub fn handle_full(&mut self, now: Now) {
        match self.lane_limits().when_full {
            WhenFull::PauseReading => self.connection.pause_reading(now, true),
        }
    }

    /// Notes that the backlogs of all protocols have room again.
    pub fn handle_room(&mut self, now: Now) {
        self.connection.pause_reading(now, false);
    }

    /// Takes the result of a step: see [`Connection::handle_step`].
    pub fn handle_step(&mut self, now: Now, result: StepResult) {
        self.connection.handle_step(now, result);
    }

    /// Does what is due. Harmless when nothing is.
    pub fn handle_timeout(&mut self, now: Now) {
        self.connection.handle_timeout(now);
        if self.warmth.look(now.mono) {
            self.connection.release();
            self.lanes.release();
        }
    }

    /// Gives the verdict that [`FlowEvent::Identified`] or [`FlowEvent::Ready`] asked for: go on.
    /// Messages flow after the second one.
    pub fn admit(&mut self, now: Now) {
        let was_open = self.connection.is_open();
        self.connection.admit(now);
        if self.connection.is_open() && !was_open {
            self.lanes = Lanes::new(self.connection.shared().len());
        }
    }

    /// Seals messages that wait on the lanes, which take turns, until enough is there for a write.
    ///
    /// `fetch` is asked for what waits in the backlog of a lane: see [`Lanes::next`].
    ///
    /// # Errors
    ///
    /// A message cannot be sent. Leaving it out would break its protocol in a way that nobody could
    /// explain, so the connection ends.
    pub fn fill(
        &mut self,
        now: Now,
        fetch: impl FnMut(usize, &mut VecDeque<Message>),
    ) -> Result<(), SendError> {
        self.fill_up_to(now, Self::WRITE_SIZE, fetch)
    }

    /// Ends the connection for a reason of ours. What protocols have sent before goes before the
    /// goodbye: all that each lane gives when it is asked, once. So a protocol that goes on sending
    /// meanwhile does not put the end off.
    ///
    /// # Errors
    ///
    /// As [`fill`](Self::fill). Then that is why the connection ends.
    pub fn disconnect(
        &mut self,
        now: Now,
        reason: DisconnectReason,
        mut fetch: impl FnMut(usize, &mut VecDeque<Message>),
    ) -> Result<(), SendError> {
        let mut asked = vec![false; self.shared().len()];
        let filled = self.fill_up_to(now, usize::MAX, |lane, batch| {
            if !mem::replace(&mut asked[lane], true) {
                fetch(lane, batch);
            }
        });
        self.connection.disconnect(now, reason);
        filled
    }

    /// Notes that the stream took the first `n` bytes of [`outgoing`](Self::outgoing).
    pub fn written(&mut self, now: Now, n: usize) {
        self.connection.written(now, n);
    }

    /// Notes that the stream takes nothing more. What has arrived is still to be read.
    pub const fn write_failed(&mut self) {
        self.writing = Writing::Failed;
    }

    /// What has happened and was not told yet. To be asked at the start, and after each call.
    pub fn poll_event(&mut self) -> Option<FlowEvent> {
        if let Some(lane) = self.lanes.poll_delivered() {
            return Some(FlowEvent::Deliver { lane });
        }
        if self.end == End::Untold {
            self.end = End::Told;
            return self.connection.fault().map(|fault| FlowEvent::Closed { fault });
        }
        let event = self.connection.poll_event()?;
        self.on_event(event)
    }

    /// When to call [`handle_timeout`](Self::handle_timeout) next; `None` is never.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.connection.poll_timeout().into_iter().chain(self.warmth.look_at()).min()
    }

    /// The messages that have arrived for a lane: to be drained into the backlog of its protocol.
    ///
    /// # Panics
    ///
    /// If there is no such lane.
    pub fn delivered(&mut self, lane: usize) -> &mut Vec<Message> {
        self.lanes.delivered(lane)
    }

    /// How many bytes may be read from the stream now.
    pub fn read_budget(&self) -> usize {
        self.connection.read_budget().min(Self::READ_SIZE)
    }

    /// The bytes that wait for the stream, to be written in order; none once it takes nothing.
    pub fn outgoing(&self) -> &[u8] {
        match self.writing {
            Writing::Failed => &[],
            Writing::Works => self.connection.outgoing(),
        }
    }

    /// The wait for the peer to hang up, if the connection is over and its goodbye was said: there
    /// is nothing to be waited for otherwise.
    pub fn linger(&self, now: Now) -> Option<Linger> {
        self.connection.has_said_goodbye().then(|| Linger::new(now))
    }

    /// The capabilities in common: see [`Connection::shared`].
    pub fn shared(&self) -> &[Shared] {
        self.connection.shared()
    }

    /// How much may wait on each lane, as the settings have it.
    pub fn lane_limits(&self) -> &LaneLimits {
        &self.connection.config().lanes
    }

    /// The peer's key, as soon as it is known.
    pub fn remote(&self) -> Option<&PublicKey> {
        self.connection.remote()
    }

    /// How long the last answered ping took; `None` before the first one.
    pub fn round_trip(&self) -> Option<Duration> {
        self.connection.round_trip()
    }

    /// Why the connection ended, from the moment that it did.
    pub fn fault(&self) -> Option<Fault> {
        self.connection.fault()
    }

    /// Whether messages flow.
    pub const fn is_open(&self) -> bool {
        self.connection.is_open()
    }

    /// Whether nothing is read because a protocol does not take what has arrived.
    pub const fn is_paused(&self) -> bool {
        self.connection.is_paused()
    }

    /// Whether nothing that was fetched or sealed waits to be written. What was fetched and not
    /// sealed when the connection ends is forgotten.
    pub fn is_idle(&self) -> bool {
        self.connection.queued() == 0 && self.lanes.is_silent()
    }

    /// The bytes held: see [`Connection::memory`].
    pub fn memory(&self) -> usize {
        self.connection.memory() + self.lanes.memory()
    }

    fn fill_up_to(
        &mut self,
        now: Now,
        enough: usize,
        mut fetch: impl FnMut(usize, &mut VecDeque<Message>),
    ) -> Result<(), SendError> {
        while self.connection.is_open() && self.connection.queued() < enough {
            let Some((lane, message)) = self.lanes.next(&mut fetch) else { break };
            let sent = self.connection.send(now, lane, message.code, &message.payload);
            if sent.is_err() {
                self.connection.disconnect(now, DisconnectReason::SubprotocolReason);
                return sent;
            }
        }
        if !self.outgoing().is_empty() {
            self.warmth.on_use(now.mono);
        }
        Ok(())
    }

    /// Something other than a message came of the connection: what is to be told first.
    fn on_event(&mut self, event: Event) -> Option<FlowEvent> {
        match event {
            Event::Closed { .. } => {
                self.lanes.forget_outgoing();
                self.end = End::Untold;
                self.poll_event()
            }
            Event::Identified { key } => Some(FlowEvent::Identified { key }),
            Event::Message { .. } => unreachable!("because only what was read has messages in it"),
            Event::Ready { hello } => Some(FlowEvent::Ready { hello }),
            Event::Step(step) => Some(FlowEvent::Step(step)),
        }
    }
}
