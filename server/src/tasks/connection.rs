//! The task of one connection: moves bytes between a stream, the connection's machine and the lanes
//! of its protocols.
//!
//! It decides nothing: what bytes mean and when it is over is the machine's to say, whether to go
//! on is peering's. It is one hand-written poll function, because its parts have to make progress
//! independently: a peer that never reads stops writing, not reading, not the deadlines, not the
//! orders.

mod lanes;
mod leaving;
mod scratch;

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use peerage_machine::{Instant, Now, Seed};
use peerage_peering::envelope::ConnId;
use peerage_rlpx::{Config, Connection, DisconnectReason, Event, Fault, LocalFault, Role};
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
use crate::{channel::Message, dialer::BoxedStream};
use lanes::Lanes;
use leaving::Leaving;

pub(crate) use leaving::Places;

/// How much is read at once. Large enough that the system call costs little beside the cryptography
/// (some 10 us to 140), small enough to stay in the processor's cache.
const READ_SIZE: usize = 64 << 10;

/// How much is sealed before it is written.
const WRITE_SIZE: usize = 128 << 10;

/// How often a poll reads and writes before it lets other tasks run: about a millisecond's work.
const ROUNDS: usize = 8;

/// How long a connection keeps its buffers after it last had a use for them.
const COOL_DOWN: Duration = Duration::from_secs(1);

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
                    // Notice before the stream is gone: a peer that does not hang up holds no slot.
                    let _ = live.links.tell.send(Notice::Closed { conn: live.id, fault });
                    let Self::Live(live) = std::mem::replace(&mut *self, Self::Connecting(None))
                    else {
                        return Poll::Ready(());
                    };
                    if !live.identified || fault.reason_to_send().is_none() {
                        // No goodbye was written, so there is none to be waited for.
                        return Poll::Ready(());
                    }
                    match Leaving::new(
                        live.stream,
                        live.alarm,
                        &live.links.clock,
                        &live.links.places,
                    ) {
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
    machine: Connection,
    stream: BoxedStream,
    mailbox: Arc<Mailbox>,
    links: Arc<Links>,
    lanes: Lanes,
    /// Whether there are keys to say anything with.
    identified: bool,
    /// Whether a lane is full, so that nothing is read.
    paused: bool,
    /// Whether the stream takes nothing more.
    write_failed: bool,
    /// Rings at `alarm_at` or before; set anew only for something sooner, since every byte received
    /// moves the deadline on.
    alarm: Pin<Box<Sleep>>,
    alarm_at: Instant,
    warmth: Warmth,
}

/// Whether buffers are kept.
enum Warmth {
    /// There are none.
    Cold,
    /// There are some, used since the last look or not, to be looked at again at this time.
    Warm { used: bool, look_at: Instant },
}

impl Live {
    fn new(from: Connecting) -> Self {
        let links = from.links;
        let now = links.clock.now();
        let machine = Connection::new(links.config.clone(), from.role, now, from.seed);
        let alarm_at = machine.poll_timeout().unwrap_or(now.mono + COOL_DOWN);
        Self {
            id: from.conn,
            machine,
            stream: from.stream,
            alarm: Box::pin(links.clock.alarm(alarm_at)),
            alarm_at,
            mailbox: from.mailbox,
            links,
            lanes: Lanes::default(),
            identified: false,
            paused: false,
            write_failed: false,
            warmth: Warmth::Cold,
        }
    }

    /// Does what can be done now. Ready once the connection is over.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Fault> {
        let now = self.links.clock.now();
        self.obey(cx, now);
        self.keep_time(cx, now);
        for _ in 0..ROUNDS {
            if let Some(fault) = self.poll_events(now) {
                return Poll::Ready(fault);
            }
            let sent = self.poll_send(cx, now);
            let received = self.poll_receive(cx, now);
            if !self.machine.is_open() {
                // Protocols learn of the end while the goodbye is still on its way.
                self.lanes.close();
            }
            if let Some(fault) = self.poll_events(now) {
                return Poll::Ready(fault);
            }
            match (sent, received) {
                (Poll::Pending, Poll::Pending) => {
                    self.set_alarm(cx);
                    return Poll::Pending;
                }
                (_, Poll::Ready(Some(fault))) => return Poll::Ready(fault),
                _ => {}
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
            Some(Admission::Greet) => self.machine.admit(now),
            Some(Admission::Start(lanes)) => {
                self.machine.admit(now);
                if self.machine.is_open() {
                    self.lanes = Lanes::new(lanes);
                }
            }
            None => {}
        }
        if let Some(reason) = orders.disconnect {
            // What protocols have sent before goes before the goodbye.
            self.fill(cx, now, usize::MAX);
            self.machine.disconnect(now, reason);
        }
    }

    /// Seals messages that wait, then writes once.
    fn poll_send(&mut self, cx: &mut Context<'_>, now: Now) -> Poll<()> {
        self.fill(cx, now, WRITE_SIZE);
        if self.machine.queued() == 0 || self.write_failed {
            return Poll::Pending;
        }
        self.keep_warm(now);
        match ready!(Pin::new(&mut self.stream).poll_write(cx, self.machine.outgoing())) {
            // A stream that takes nothing of something never will.
            Ok(0) | Err(_) => self.write_failed = true,
            Ok(n) => self.machine.written(now, n),
        }
        Poll::Ready(())
    }

    /// Seals messages of the protocols in turn, until `enough` bytes wait to be written.
    fn fill(&mut self, cx: &mut Context<'_>, now: Now, enough: usize) {
        let Self { machine, lanes, .. } = self;
        if !machine.is_open() || machine.queued() >= enough {
            return;
        }
        let sealed = lanes.drain(cx, |lane, message| {
            if let Err(error) = machine.send(now, lane, message.code, &message.payload) {
                tracing::warn!(%error, "a protocol's message cannot be sent");
                return None;
            }
            Some(machine.queued() < enough)
        });
        if sealed.is_err() {
            // Leaving the message out would break the protocol in a way that nobody could explain.
            machine.disconnect(now, DisconnectReason::SubprotocolReason);
        }
    }

    /// Reads once, and deals with what was read. `Ready(Some)` is the end.
    fn poll_receive(&mut self, cx: &mut Context<'_>, now: Now) -> Poll<Option<Fault>> {
        if self.paused && self.lanes.poll_room(cx).is_ready() {
            self.paused = false;
            self.machine.pause_reading(now, false);
        }
        let budget = self.machine.read_budget().min(READ_SIZE);
        let mut scratch = scratch::take();
        if scratch.len() < budget {
            scratch.resize(READ_SIZE, 0);
        }
        let mut buffer = ReadBuf::new(&mut scratch[..budget]);
        let read = match budget {
            0 => Poll::Pending,
            _ => Pin::new(&mut self.stream).poll_read(cx, &mut buffer),
        };
        let result = match read {
            Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                let fault = self.take_in(now, buffer.filled_mut());
                Poll::Ready(fault)
            }
            Poll::Ready(Ok(()) | Err(_)) => Poll::Ready(self.end_of_stream(now)),
            // What had arrived before the stream broke has been read: it may have been the reason.
            Poll::Pending if self.write_failed => Poll::Ready(self.end_of_stream(now)),
            Poll::Pending => Poll::Pending,
        };
        scratch::give_back(scratch);
        result
    }

    /// Gives `input` to the machine, and what it makes of it to whom it may concern.
    fn take_in(&mut self, now: Now, mut input: &mut [u8]) -> Option<Fault> {
        let mut payload = Vec::new();
        let mut end = None;
        while let Some(event) = self.machine.receive(now, &mut input, &mut payload) {
            end = self.on_event(now, event, &mut payload);
            if end.is_some() {
                break;
            }
        }
        if self.lanes.flush() && !self.paused {
            self.paused = true;
            self.machine.pause_reading(now, true);
        }
        if let Some(round_trip) = self.machine.round_trip() {
            self.mailbox.set_round_trip(round_trip);
        }
        self.keep_warm(now);
        end
    }

    /// Deals with what the machine has to tell besides what was read. The fault is the end.
    fn poll_events(&mut self, now: Now) -> Option<Fault> {
        while let Some(event) = self.machine.poll_event() {
            let end = self.on_event(now, event, &mut Vec::new());
            if end.is_some() {
                return end;
            }
        }
        None
    }

    /// Deals with an event; a message is taken out of `payload`. The fault is the end.
    fn on_event(&mut self, now: Now, event: Event, payload: &mut Vec<u8>) -> Option<Fault> {
        match event {
            Event::Closed { fault } => return Some(fault),
            Event::Identified { key } => {
                self.identified = true;
                let _ = self.links.tell.send(Notice::Identified { conn: self.id, key });
            }
            Event::Message { shared, code } => {
                let payload = Bytes::from(std::mem::take(payload));
                self.lanes.deliver(shared, Message { code, payload });
            }
            Event::Ready { hello } => {
                let (hello, shared) = (Box::new(hello), self.machine.shared().into());
                let _ = self.links.tell.send(Notice::Ready { conn: self.id, hello, shared });
            }
            Event::Step(step) => self.machine.handle_step(now, step.run()),
        }
        None
    }

    /// The stream gives nothing more, or takes nothing more.
    fn end_of_stream(&mut self, now: Now) -> Option<Fault> {
        let told = self.machine.receive_eof(now);
        let told = match told {
            // A second call says that nothing can be written either.
            None if self.write_failed => self.machine.receive_eof(now),
            told => told,
        };
        match told {
            Some(Event::Closed { fault }) => Some(fault),
            _ => None,
        }
    }

    fn keep_time(&mut self, cx: &mut Context<'_>, now: Now) {
        if self.alarm.as_mut().poll(cx).is_pending() {
            return;
        }
        if self.machine.poll_timeout().is_some_and(|at| at <= now.mono) {
            self.machine.handle_timeout(now);
        }
        match &mut self.warmth {
            Warmth::Warm { look_at, .. } if *look_at > now.mono => {}
            Warmth::Warm { used: used @ true, look_at } => {
                *used = false;
                *look_at = now.mono + COOL_DOWN;
            }
            Warmth::Warm { used: false, .. } => {
                self.machine.release();
                self.lanes.release();
                self.warmth = Warmth::Cold;
            }
            Warmth::Cold => {}
        }
        // Rung: whatever comes next is set anew.
        self.alarm_at = Instant::from_nanos(u64::MAX);
    }

    fn keep_warm(&mut self, now: Now) {
        match &mut self.warmth {
            Warmth::Warm { used, .. } => *used = true,
            Warmth::Cold => {
                self.warmth = Warmth::Warm { used: false, look_at: now.mono + COOL_DOWN };
            }
        }
    }

    /// Sets the alarm if anything is due before it rings.
    fn set_alarm(&mut self, cx: &mut Context<'_>) {
        let look_at = match self.warmth {
            Warmth::Warm { look_at, .. } => Some(look_at),
            Warmth::Cold => None,
        };
        let Some(at) = self.machine.poll_timeout().into_iter().chain(look_at).min() else { return };
        if at >= self.alarm_at {
            return;
        }
        self.alarm_at = at;
        self.alarm.as_mut().reset(self.links.clock.tokio(at));
        if self.alarm.as_mut().poll(cx).is_ready() {
            // Due already: the next poll sees to it.
            cx.waker().wake_by_ref();
        }
    }
}
