//! One RLPx connection from its first byte to its last: handshake, two verdicts, messages, goodbye
//! ([rlpx.md](https://github.com/ethereum/devp2p/blob/master/rlpx.md)).
//!
//! Not here: what the bytes look like (`handshake`, `frame`, `hello`), or what the verdicts rest on
//! (`peering`).
//!
//! ```text
//!   Shaking --auth/ack--> Identified --admit--> Greeting --Hello--> Ready --admit--> Open
//!      |                      |                    |                  |               |
//!      |                      +---- disconnect, a fault of the peer, a deadline ------+
//!      |                      |                    |                                  |
//!      | no keys yet          v                    v  the peer said Disconnect,       v
//!      +--> Ended         Closing               Ended or cannot be reached        Closing
//!                            |  the reason was written, or its deadline passed
//!                            +--> Ended --the event was taken--> Closed
//! ```

mod config;
mod event;
mod machine;
mod outbox;
mod pulse;
mod session;
mod shaking;
#[cfg(test)]
mod tests;

use std::{collections::VecDeque, mem, sync::Arc, time::Duration};

use peerage_machine::{Instant, Now, Seed, deque_memory, list_bound, vec_memory};
use peerage_node::PublicKey;

pub use config::{Config, Role, Timeouts};
pub use event::{Event, Input, Output, SendError};

use crate::{
    DisconnectReason, Fault, Hello, Local, PeerIncompatible, PeerMisbehaved, Shared, code,
    disconnect,
    hello::{self, P2P_VERSION},
    negotiate,
};
use outbox::Outbox;
use pulse::Pulse;
use session::{Link, Open, Session};
use shaking::{Shaken, Shaking};

/// The oldest version of the `p2p` protocol that we speak; 4 is 5 without snappy.
const MIN_VERSION: u64 = 4;

/// The most bytes of buffer that a peer can make us hold before it is admitted, whatever it sends
/// and however little it reads. Our own Hello counts: it is taken to be below 512 bytes.
pub const MAX_UNADMITTED_BUFFER: usize = 4096;

/// One end of an RLPx connection.
///
/// A driver passes bytes from the transport to [`receive`](Self::receive) and bytes from
/// [`outgoing`](Self::outgoing) to the transport, sends with [`send`](Self::send), and keeps time
/// with [`poll_timeout`](peerage_machine::Machine::poll_timeout) and
/// [`handle_timeout`](peerage_machine::Machine::handle_timeout). After each call it asks
/// [`poll_event`](Self::poll_event), since every one of them may be the end of the connection. Or
/// it uses the connection as a [`Machine`](peerage_machine::Machine) and leaves all of that to its
/// inputs and outputs.
///
/// # Security
///
/// Before the second verdict, no byte is asked for beyond the unit at hand, so a peer that is not
/// admitted holds at most a Hello's 2 KiB here. After a fault, nothing more of the peer is looked
/// at.
#[derive(Debug)]
pub struct Connection {
    config: Arc<Config>,
    state: State,
    out: Outbox,
    /// When auth, ack and Hello must be done.
    deadline: Instant,
    /// What the driver of a machine has not polled yet.
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    /// Auth and ack are on their way.
    Shaking(Box<Shaking>),
    /// We know who it is; the first verdict is awaited.
    Identified(Box<Link>),
    /// Our Hello is sent; the peer's is awaited.
    Greeting(Box<Link>),
    /// We know what it speaks; the second verdict is awaited.
    Ready(Box<Session>),
    /// Messages flow.
    Open(Open),
    /// It is over, but what there is to say has yet to be written.
    Closing { end: End, deadline: Instant, eof: bool },
    /// It is over; nobody knows.
    Ended(End),
    /// It is over, and was reported.
    Closed(End),
}

/// What is left of a connection.
#[derive(Clone, Copy, Debug)]
struct End {
    fault: Fault,
    remote: Option<PublicKey>,
}

impl Connection {
    /// The most that [`memory`](Self::memory) is before the second verdict, with the outputs
    /// drained.
    ///
    /// Of the two parts of the state, the later is made while the earlier is still there. No call
    /// before that verdict puts out more than four things.
    pub const MAX_UNADMITTED: usize =
        MAX_UNADMITTED_BUFFER + size_of::<Link>() + size_of::<Session>() + list_bound::<Output>(4);

    /// A connection over a fresh transport. Everything random about it follows from `seed`, which
    /// must be used only once. An initiator's auth is in [`outgoing`](Self::outgoing) at once.
    pub fn new(config: Arc<Config>, role: Role, now: Now, seed: Seed) -> Self {
        let (shaking, auth) = Shaking::new(&config.key, role, seed);
        let mut out = Outbox::default();
        out.push(now.mono, &auth);
        let deadline = now.mono + config.timeouts.handshake;
        let state = State::Shaking(Box::new(shaking));
        Self { config, state, out, deadline, outputs: VecDeque::new() }
    }

    /// How many bytes may be read from the transport now. `usize::MAX` is as many as you like; 0 is
    /// none.
    ///
    /// Until the connection is open, this is what completes the unit at hand; nothing is to be read
    /// while a verdict is awaited. Asked again after each read and each verdict, it lets nothing of
    /// a stranger pile up in the driver either. Once it is over, what is read is thrown away.
    pub fn read_budget(&self) -> usize {
        match &self.state {
            State::Shaking(shaking) => shaking.needs(),
            State::Greeting(link) => link.ingress.needs(),
            State::Open(open) if !open.pulse.is_paused() => usize::MAX,
            // To see that the peer hangs up. A socket closed with bytes unread is reset, and the
            // reason that it had sent may be lost with it.
            State::Closing { eof: false, .. } => usize::MAX,
            State::Identified(_)
            | State::Ready(_)
            | State::Open(_)
            | State::Closing { .. }
            | State::Ended(_)
            | State::Closed(_) => 0,
        }
    }

    /// Takes bytes from the front of `input`, up to an event or the end of `input`; decrypts in
    /// place.
    ///
    /// With [`Event::Message`], `payload` holds the message in place of what it held before; call
    /// again with the rest of `input`. `None` means that all of `input` was taken.
    ///
    /// # Panics
    ///
    /// If `input` is longer than [`read_budget`](Self::read_budget) before the connection is open:
    /// there is no place for what is too much.
    pub fn receive(
        &mut self,
        now: Now,
        input: &mut &mut [u8],
        payload: &mut Vec<u8>,
    ) -> Option<Event> {
        match &mut self.state {
            State::Open(open) => {
                let timeouts = &self.config.timeouts;
                match open.receive(now, input, payload, &mut self.out, timeouts) {
                    Ok(None) => return None,
                    Ok(Some((shared, code))) => return Some(Event::Message { shared, code }),
                    Err(fault) => self.end(now, fault),
                }
            }
            State::Closing { .. } | State::Ended(_) | State::Closed(_) => {}
            State::Shaking(_) | State::Identified(_) | State::Greeting(_) | State::Ready(_) => {
                let budget = self.read_budget();
                assert!(input.len() <= budget, "{} bytes were read, of {budget}", input.len());
                match self.receive_early(now, input, payload) {
                    Ok(event) => return event,
                    Err(fault) => self.end(now, fault),
                }
            }
        }
        *input = &mut [];
        self.poll_event()
    }

    /// Notes that nothing more will come: the peer has closed the transport, or it failed.
    ///
    /// Once the connection is closing, the first call leaves it time to write what is waiting; a
    /// second one means that nothing can be written either.
    pub fn receive_eof(&mut self, now: Now) -> Option<Event> {
        match &mut self.state {
            State::Closing { eof: eof @ false, .. } => *eof = true,
            State::Closing { .. } => self.finish(),
            State::Ended(_) | State::Closed(_) => {}
            _ => self.end(now, Fault::Local(Local::Lost)),
        }
        self.poll_event()
    }

    /// Sends message `code` of the capability at index `shared` of [`shared`](Self::shared):
    /// appends it to [`outgoing`](Self::outgoing). While that has room, nothing is allocated.
    ///
    /// How much may be waiting is the caller's to bound, by [`queued`](Self::queued).
    pub fn send(
        &mut self,
        now: Now,
        shared: usize,
        code: u64,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let State::Open(Open { session, .. }) = &mut self.state else {
            return Err(SendError::NotOpen);
        };
        let offset = match session.shared.get(shared) {
            Some(capability) if code < capability.length => capability.offset,
            _ => return Err(SendError::OutOfRange { shared, code }),
        };
        self.out
            .seal(now.mono, &mut session.link.egress, offset + code, payload)
            .map_err(|too_large| SendError::TooLarge(too_large.0))
    }

    /// The bytes that wait for the transport. To be written in order; [`written`](Self::written)
    /// says how many were.
    pub fn outgoing(&self) -> &[u8] {
        self.out.waiting()
    }

    /// How many bytes wait for the transport.
    pub fn queued(&self) -> usize {
        self.out.len()
    }

    /// Notes that the transport took the first `n` bytes of [`outgoing`](Self::outgoing). Ignored
    /// once the connection is closed: what was waiting then is thrown away, and a write may cross
    /// with that.
    ///
    /// # Panics
    ///
    /// If there were fewer.
    pub fn written(&mut self, now: Now, n: usize) {
        if self.is_closed() {
            return;
        }
        self.out.written(now.mono, n);
        if self.out.is_empty() && matches!(self.state, State::Closing { .. }) {
            self.finish();
        }
    }

    /// Gives the verdict that [`Event::Identified`] or [`Event::Ready`] asked for: go on. Ignored
    /// when none is awaited, since the connection may just have ended.
    pub fn admit(&mut self, now: Now) {
        match self.take_state() {
            State::Identified(mut link) => {
                let mut payload = Vec::new();
                self.hello_to_send().encode(&mut payload);
                self.out
                    .seal(now.mono, &mut link.egress, code::HELLO, &payload)
                    .expect("because nobody's name and capabilities take 16 MiB");
                self.state = State::Greeting(link);
            }
            State::Ready(session) => {
                let pulse = Pulse::new(now.mono, &self.config.timeouts);
                self.state = State::Open(Open { session, pulse });
            }
            state => self.state = state,
        }
    }

    /// Ends the connection for a reason of ours, and tells the peer if the encryption handshake is
    /// done; this is also the negative verdict. Ignored if it has ended already.
    pub fn disconnect(&mut self, now: Now, reason: DisconnectReason) {
        self.end(now, Fault::Local(Local::Disconnected(reason)));
    }

    /// Notes that we do not read for a while, or read again: silence meanwhile is not the peer's
    /// fault.
    pub fn pause_reading(&mut self, now: Now, paused: bool) {
        if let State::Open(open) = &mut self.state {
            open.pulse.pause(now.mono, paused);
        }
    }

    /// Frees the buffers that hold nothing. For connections that idle; the next message makes them
    /// again.
    pub fn release(&mut self) {
        self.out.release();
        self.outputs.shrink_to_fit();
        if let Some(link) = self.state.link_mut() {
            link.ingress.release();
            link.egress.release();
        }
    }

    /// The end of the connection, if it has come and was not told yet. To be asked after each
    /// direct call but [`receive`](Self::receive) and [`receive_eof`](Self::receive_eof), which
    /// tell it themselves.
    pub fn poll_event(&mut self) -> Option<Event> {
        let State::Ended(end) = self.state else { return None };
        self.state = State::Closed(end);
        Some(Event::Closed { fault: end.fault })
    }

    /// The bytes held, estimated from capacities; without the size of the value itself and the
    /// shared settings. The state is counted as it lies on the heap.
    ///
    /// Cheap enough to be asked for after each event, once the outputs are drained.
    pub fn memory(&self) -> usize {
        self.buffers() + deque_memory(&self.outputs) + self.state.boxed()
    }

    /// What of [`memory`](Self::memory) is buffers: what grows and shrinks with what is said.
    fn buffers(&self) -> usize {
        let pending = |output: &Output| match output {
            Output::Message { payload, .. } => vec_memory(payload),
            Output::Ready { hello } => hello.client.capacity() + vec_memory(&hello.capabilities),
            Output::Write(bytes) => vec_memory(bytes),
            Output::Closed { .. } | Output::Identified { .. } => 0,
        };
        self.state.buffers() + self.out.memory() + self.outputs.iter().map(pending).sum::<usize>()
    }

    /// The capabilities in common, in the order of their names; empty before [`Event::Ready`] and
    /// after the end.
    pub fn shared(&self) -> &[Shared] {
        self.session().map_or(&[], |session| &session.shared)
    }

    /// The peer's key, as soon as it is known: an initiator knows it from the start.
    pub fn remote(&self) -> Option<&PublicKey> {
        match &self.state {
            State::Shaking(shaking) => shaking.remote(),
            State::Identified(link) | State::Greeting(link) => Some(&link.remote),
            State::Ready(session) => Some(&session.link.remote),
            State::Open(open) => Some(&open.session.link.remote),
            State::Closing { end, .. } | State::Ended(end) | State::Closed(end) => {
                end.remote.as_ref()
            }
        }
    }

    /// How long the last answered ping took; `None` before the first one.
    pub fn round_trip(&self) -> Option<Duration> {
        match &self.state {
            State::Open(open) => open.pulse.round_trip(),
            _ => None,
        }
    }

    /// Why the connection ended, from the moment that it did: before [`Event::Closed`], while the
    /// reason is still being written.
    pub fn fault(&self) -> Option<Fault> {
        match &self.state {
            State::Closing { end, .. } | State::Ended(end) | State::Closed(end) => Some(end.fault),
            _ => None,
        }
    }

    /// Whether messages flow.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether it is over: nothing is to be read or written any more.
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Closed(_))
    }

    /// [`receive`](Self::receive) before the connection is open.
    fn receive_early(
        &mut self,
        now: Now,
        input: &mut &mut [u8],
        payload: &mut Vec<u8>,
    ) -> Result<Option<Event>, Fault> {
        match &mut self.state {
            State::Shaking(shaking) => {
                if !shaking.receive(input)? {
                    return Ok(None);
                }
                self.on_packet(now).map(Some)
            }
            State::Greeting(link) => match link.ingress.open(input, payload)? {
                None => Ok(None),
                Some(code::HELLO) => self.on_hello(payload).map(Some),
                Some(code::DISCONNECT) => Err(Fault::Remote(disconnect::decode(payload))),
                Some(code) => Err(PeerMisbehaved::UnexpectedBeforeHello(code).into()),
            },
            _ => Ok(None),
        }
    }

    /// The peer's handshake packet is complete.
    fn on_packet(&mut self, now: Now) -> Result<Event, Fault> {
        let State::Shaking(shaking) = self.take_state() else {
            unreachable!("because only the handshake waits for a packet")
        };
        let remote = shaking.remote().copied();
        let Shaken { secrets, remote, reply } =
            shaking.finish(&self.config.key).inspect_err(|fault| {
                self.out.clear();
                self.state = State::Ended(End { fault: (*fault).into(), remote });
            })?;
        self.out.push(now.mono, &reply);
        let (egress, ingress) = secrets.split();
        self.state = State::Identified(Box::new(Link { remote, egress, ingress }));
        Ok(Event::Identified { key: remote })
    }

    /// The peer's Hello is complete.
    fn on_hello(&mut self, payload: &[u8]) -> Result<Event, Fault> {
        let State::Greeting(link) = &mut self.state else {
            unreachable!("because only greeting waits for Hello")
        };
        // First, so that the reason for a refusal below goes out as the peer expects it.
        link.upgrade(hello::version(payload));
        let hello = Hello::decode(payload)?;
        if hello.version < MIN_VERSION {
            let fault = PeerIncompatible::Version(hello.version);
            return Err(Fault::PeerIncompatible(fault));
        }
        if hello.identity != link.remote {
            return Err(PeerMisbehaved::UnexpectedIdentity.into());
        }
        let State::Greeting(link) = self.take_state() else {
            unreachable!("because it was greeting above")
        };
        let shared = negotiate(&self.config.capabilities, &hello.capabilities);
        let session = Session { link: *link, shared };
        self.state = State::Ready(Box::new(session));
        Ok(Event::Ready { hello })
    }

    fn hello_to_send(&self) -> Hello {
        Hello {
            version: P2P_VERSION,
            client: self.config.client.clone(),
            capabilities: self.config.capabilities.iter().map(|local| local.capability).collect(),
            listen_port: self.config.listen_port,
            identity: *self.config.key.public(),
        }
    }

    /// Ends the connection: at once, or after the reason has been written if there is one to send.
    /// Does nothing if it has ended already.
    fn end(&mut self, now: Now, fault: Fault) {
        if self.fault().is_some() {
            return;
        }
        let end = End { fault, remote: self.remote().copied() };
        if let Some((reason, link)) = fault.reason_to_send().zip(self.state.link_mut()) {
            let payload = disconnect::encode(reason);
            self.out
                .seal(now.mono, &mut link.egress, code::DISCONNECT, &payload)
                .expect("because a frame has room for three bytes");
            let deadline = now.mono + self.config.timeouts.close;
            self.state = State::Closing { end, deadline, eof: false };
        } else {
            self.out.clear();
            self.state = State::Ended(end);
        }
    }

    /// Ends the closing: whatever still waits is thrown away.
    fn finish(&mut self) {
        if let State::Closing { end, .. } = self.state {
            self.out.clear();
            self.state = State::Ended(end);
        }
    }

    /// When auth, ack and Hello must be done, while they are not.
    fn handshake_deadline(&self) -> Option<Instant> {
        let shaking =
            matches!(self.state, State::Shaking(_) | State::Identified(_) | State::Greeting(_));
        shaking.then_some(self.deadline)
    }

    /// When the peer has been silent for too long.
    fn idle_deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Open(open) => open.pulse.idle_deadline(&self.config.timeouts),
            _ => None,
        }
    }

    /// When the transport has stood still for too long.
    fn write_deadline(&self) -> Option<Instant> {
        self.out.deadline(self.config.timeouts.write)
    }

    fn session(&self) -> Option<&Session> {
        match &self.state {
            State::Ready(session) | State::Open(Open { session, .. }) => Some(session),
            _ => None,
        }
    }

    /// The state, to be taken apart; a new one must be put in its place.
    fn take_state(&mut self) -> State {
        let end = End { fault: Fault::Local(Local::Lost), remote: None };
        mem::replace(&mut self.state, State::Closed(end))
    }
}

impl State {
    /// The bytes of the state that lie on the heap.
    const fn boxed(&self) -> usize {
        match self {
            Self::Shaking(_) => size_of::<Shaking>(),
            Self::Identified(_) | Self::Greeting(_) => size_of::<Link>(),
            Self::Ready(_) | Self::Open(_) => size_of::<Session>(),
            Self::Closing { .. } | Self::Ended(_) | Self::Closed(_) => 0,
        }
    }

    /// The bytes of its buffers.
    fn buffers(&self) -> usize {
        match self {
            Self::Shaking(shaking) => shaking.memory(),
            Self::Identified(link) | Self::Greeting(link) => link.memory(),
            Self::Ready(session) | Self::Open(Open { session, .. }) => {
                session.link.memory() + vec_memory(&session.shared)
            }
            Self::Closing { .. } | Self::Ended(_) | Self::Closed(_) => 0,
        }
    }

    /// Both directions, while they are of use.
    fn link_mut(&mut self) -> Option<&mut Link> {
        match self {
            Self::Identified(link) | Self::Greeting(link) => Some(link),
            Self::Ready(session) | Self::Open(Open { session, .. }) => Some(&mut session.link),
            Self::Shaking(_) | Self::Closing { .. } | Self::Ended(_) | Self::Closed(_) => None,
        }
    }
}
