//! The task of one connection: moves bytes between a stream and the connection's machine, and
//! messages between that and its protocols.
//!
//! It decides nothing: what bytes mean, how much is read and written, who sends next and when it is
//! over is the machine's to say, whether to go on is peering's. It is one hand-written poll
//! function, because its parts have to make progress independently: a peer that never reads stops
//! writing, not reading, not the deadlines, not the orders.

mod ends;
mod leaving;
mod scratch;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use peerage_machine::{Instant, Now, Seed};
use peerage_peering::envelope::ConnId;
use peerage_rlpx::{Config, Fault, Flow, FlowEvent, LocalFault, Role, SendError};
use tokio::{
    io::{AsyncRead as _, AsyncWrite as _, ReadBuf},
    sync::mpsc,
    time::Sleep,
};

use super::{
    clock::Clock,
    mailbox::{Admission, Mailbox},
    notice::Notice,
};
use crate::dialer::BoxedStream;
use ends::Ends;
use leaving::Leaving;

pub(crate) use leaving::Places;

/// What a connection begins with.
pub(crate) struct Connecting {
    pub(crate) conn: ConnId,
    pub(crate) stream: BoxedStream,
    pub(crate) role: Role,
    pub(crate) seed: Seed,
    pub(crate) mailbox: Arc<Mailbox>,
    pub(crate) links: Arc<Links>,
}

/// What every connection of a server is tied to. Once for all of them, as there may be many.
pub(crate) struct Links {
    pub(crate) config: Arc<Config>,
    pub(crate) clock: Clock,
    pub(crate) tell: mpsc::UnboundedSender<Notice>,
    pub(crate) places: Places,
}

/// The task of a connection, from its first byte to its last.
pub(crate) enum Task {
    /// Not polled yet.
    Connecting(Option<Box<Connecting>>),
    /// The machine lives.
    Live(Live),
    /// The machine is gone, the stream is not.
    Leaving(Leaving),
}

impl Task {
    pub(crate) fn new(connecting: Connecting) -> Self {
        // The machine is made where it runs: an initiator's first packet costs two curve
        // operations, and the peering task has better things to do.
        Self::Connecting(Some(Box::new(connecting)))
    }
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match &mut *self {
                Self::Connecting(connecting) => match connecting.take() {
                    Some(connecting) => *self = Self::Live(Live::new(*connecting)),
                    None => return Poll::Ready(()),
                },
                Self::Live(live) => {
                    let polled = catch_unwind(AssertUnwindSafe(|| live.poll(cx)));
                    // Whoever panicked, the stream that a user brought or we: a connection whose
                    // end nobody hears of would hold its place for ever.
                    let fault = ready!(polled.unwrap_or_else(|_| {
                        tracing::error!("a connection panicked");
                        Poll::Ready(Fault::Local(LocalFault::Lost))
                    }));
                    // Told before the stream is gone: a peer that does not hang up holds no slot.
                    let _ = live.links.tell.send(Notice::Closed { conn: live.id, fault });
                    let Self::Live(live) = std::mem::replace(&mut *self, Self::Connecting(None))
                    else {
                        return Poll::Ready(());
                    };
                    match live.leave() {
                        Some(leaving) => *self = Self::Leaving(leaving),
                        None => return Poll::Ready(()),
                    }
                }
                Self::Leaving(leaving) => return leaving.poll(cx),
            }
        }
    }
}

/// A connection whose machine lives.
pub(crate) struct Live {
    id: ConnId,
    flow: Flow,
    stream: BoxedStream,
    mailbox: Arc<Mailbox>,
    links: Arc<Links>,
    ends: Ends,
    /// Rings at `alarm_at` or before; set anew only for something sooner, since every byte received
    /// moves the deadline on.
    alarm: Pin<Box<Sleep>>,
    alarm_at: Instant,
}

impl Live {
    fn new(from: Connecting) -> Self {
        let links = from.links;
        let now = links.clock.now();
        let flow = Flow::new(links.config.clone(), from.role, now, from.seed);
        let alarm_at = flow.poll_timeout().unwrap_or(now.mono);
        Self {
            id: from.conn,
            flow,
            stream: from.stream,
            alarm: Box::pin(links.clock.alarm(alarm_at)),
            alarm_at,
            mailbox: from.mailbox,
            links,
            ends: Ends::default(),
        }
    }

    /// Does what can be done now. Ready once the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        let now = self.links.clock.now();
        self.obey(cx, now);
        self.keep_time(cx, now);
        for _ in 0..Flow::ROUNDS {
            if let Some(fault) = self.poll_events(now) {
                return Poll::Ready(fault);
            }
            let sent = self.poll_send(cx, now);
            let received = self.poll_receive(cx, now);
            if !self.flow.is_open() {
                // Protocols learn of the end while the goodbye is still on its way.
                self.ends.close();
            }
            if let Poll::Ready(Some(fault)) = received {
                return Poll::Ready(fault);
            }
            if let Some(fault) = self.poll_events(now) {
                return Poll::Ready(fault);
            }
            if sent.is_pending() && received.is_pending() {
                self.set_alarm(cx);
                return Poll::Pending;
            }
        }
        self.set_alarm(cx);
        // There is more to do, but others have a turn first.
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does what was ordered from outside.
    fn obey(&mut self, cx: &mut Context<'_>, now: Now) {
        let orders = self.mailbox.take(cx);
        match orders.admit {
            Some(Admission::Greet) => self.flow.admit(now),
            Some(Admission::Start(lanes)) => {
                self.flow.admit(now);
                if self.flow.is_open() {
                    self.ends = Ends::new(lanes);
                }
            }
            None => {}
        }
        if let Some(reason) = orders.disconnect {
            warn_of(self.flow.disconnect(now, reason, self.ends.fetch(cx)));
        }
    }

    /// Has messages sealed that wait, then writes once.
    fn poll_send(&mut self, cx: &mut Context<'_>, now: Now) -> Poll<()> {
        warn_of(self.flow.fill(now, self.ends.fetch(cx)));
        if self.flow.outgoing().is_empty() {
            return Poll::Pending;
        }
        match ready!(Pin::new(&mut self.stream).poll_write(cx, self.flow.outgoing())) {
            // A stream that takes nothing of something never will.
            Ok(0) | Err(_) => self.flow.write_failed(),
            Ok(n) => self.flow.written(now, n),
        }
        Poll::Ready(())
    }

    /// Reads once, and deals with what was read. `Ready(Some)` is the end.
    fn poll_receive(&mut self, cx: &mut Context<'_>, now: Now) -> Poll<Option<Fault>> {
        if self.flow.is_paused() && self.ends.poll_room(cx).is_ready() {
            self.flow.handle_room(now);
        }
        let budget = self.flow.read_budget();
        let mut scratch = scratch::take();
        if scratch.len() < budget {
            scratch.resize(Flow::READ_SIZE, 0);
        }
        let mut buffer = ReadBuf::new(&mut scratch[..budget]);
        let read = match budget {
            0 => Poll::Pending,
            _ => Pin::new(&mut self.stream).poll_read(cx, &mut buffer),
        };
        let received = match read {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                Poll::Ready(self.take_in(now, buffer.filled_mut()))
            }
            Poll::Ready(Ok(()) | Err(_)) => {
                let event = self.flow.receive_eof(now);
                Poll::Ready(event.and_then(|event| self.on_event(now, event)))
            }
            Poll::Pending => match self.flow.receive_nothing(now) {
                Some(event) => Poll::Ready(self.on_event(now, event)),
                None => Poll::Pending,
            },
        };
        scratch::give_back(scratch);
        received
    }

    /// Gives `input` to the machine, and what it makes of it to whom it may concern.
    fn take_in(&mut self, now: Now, mut input: &mut [u8]) -> Option<Fault> {
        while let Some(event) = self.flow.receive(now, &mut input) {
            let end = self.on_event(now, event);
            if end.is_some() {
                return end;
            }
        }
        if let Some(round_trip) = self.flow.round_trip() {
            self.mailbox.set_round_trip(round_trip);
        }
        None
    }

    /// Deals with what the machine has to tell besides what was read. The fault is the end.
    fn poll_events(&mut self, now: Now) -> Option<Fault> {
        while let Some(event) = self.flow.poll_event() {
            let end = self.on_event(now, event);
            if end.is_some() {
                return end;
            }
        }
        None
    }

    /// Deals with an event. The fault is the end.
    fn on_event(&mut self, now: Now, event: FlowEvent) -> Option<Fault> {
        match event {
            FlowEvent::Closed { fault } => return Some(fault),
            FlowEvent::Deliver { lane } => {
                if self.ends.hand_over(lane, self.flow.delivered(lane)) {
                    self.flow.handle_full(now);
                }
            }
            FlowEvent::Identified { key } => {
                let _ = self.links.tell.send(Notice::Identified { conn: self.id, key });
            }
            FlowEvent::Ready { hello } => {
                let (hello, shared) = (Box::new(hello), self.flow.shared().into());
                let _ = self.links.tell.send(Notice::Ready { conn: self.id, hello, shared });
            }
            FlowEvent::Step(step) => self.flow.handle_step(now, step.run()),
        }
        None
    }

    fn keep_time(&mut self, cx: &mut Context<'_>, now: Now) {
        if self.alarm.as_mut().poll(cx).is_ready() {
            self.flow.handle_timeout(now);
            // Rung: whatever comes next is set anew.
            self.alarm_at = Instant::from_nanos(u64::MAX);
        }
    }

    /// Sets the alarm if anything is due before it rings.
    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        let Some(at) = self.flow.poll_timeout().filter(|at| *at < self.alarm_at) else { return };
        self.alarm_at = at;
        self.alarm.as_mut().reset(self.links.clock.tokio(at));
        if self.alarm.as_mut().poll(cx).is_ready() {
            // Due already: the next poll sees to it.
            cx.waker().wake_by_ref();
        }
    }

    /// What follows the end: nothing, or a wait for the peer to hang up.
    fn leave(self) -> Option<Leaving> {
        let Links { clock, places, .. } = &*self.links;
        let linger = self.flow.linger(clock.now())?;
        Leaving::new(self.stream, self.alarm, linger, clock, places)
    }
}

/// A message that could not be sent has ended its connection: people are told.
fn warn_of(sent: Result<(), SendError>) {
    if let Err(error) = sent {
        tracing::warn!(%error, "a protocol's message cannot be sent");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_task_is_small_as_there_is_one_for_every_idle_peer() {
        assert!(size_of::<Task>() <= 192, "{}", size_of::<Task>());
    }
}
