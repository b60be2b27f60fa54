//! One RLPx connection from its first byte to its last: handshake, two verdicts, messages, goodbye
//! ([rlpx.md](https://github.com/ethereum/devp2p/blob/master/rlpx.md)).
//!
//! The composition of what else this crate has, for drivers that do not want its parts. Not here:
//! what the bytes look like (`handshake`, `frame`, `hello`), how an open connection reads and
//! writes (`incoming`, `outgoing`), or what the verdicts rest on (`peering`).
//!
//! ```text
//!   Shaking -keys-> Shaken -taken-> Identified -admit-> Greeting -Hello-> Ready -admit-> Open
//!      |               |                |                   |               |             |
//!      |               +------ disconnect, a fault of the peer, a deadline -+-------------+
//!      |                          |                      |
//!      | no keys yet              v                      v  the peer said Disconnect,
//!      +--> Ended              Closing                 Ended  or cannot be reached
//!                                 |  the reason was written, or its deadline passed
//!                                 +--> Ended -taken-> Closed
//! ```

mod ending;
mod event;
mod keyed;
mod memory;
mod shaking;
#[cfg(test)]
mod tests;
mod timeout;

use std::{mem, sync::Arc, time::Duration};

use peerage_machine::{Instant, Now, Seed};
use peerage_node::PublicKey;

use crate::{
    Config, DisconnectReason, Fault, Goodbye, Hello, Incoming, LocalFault, Outgoing,
    PeerIncompatible, PeerMisbehaved, Received, Role, Secrets, SendError, Shared, StepResult,
    Timeouts, code, disconnect,
    handshake::Stepped,
    hello::{self, P2P_VERSION},
    negotiate,
};
use ending::{Closing, End};
pub use event::Event;
use keyed::Keyed;
use shaking::Shaking;

/// The oldest version of the `p2p` protocol that we speak; 4 is 5 without snappy.
const MIN_VERSION: u64 = 4;

/// One end of an RLPx connection.
///
/// A driver passes bytes from the transport to [`receive`](Self::receive) and bytes from
/// [`outgoing`](Self::outgoing) to the transport, sends with [`send`](Self::send), and keeps time
/// with [`poll_timeout`](Self::poll_timeout) and [`handle_timeout`](Self::handle_timeout). After
/// each call it asks [`poll_event`](Self::poll_event), since every one of them may be the end of
/// the connection. Once it is open, it can be [taken apart](Self::split).
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
}

#[derive(Debug)]
enum State {
    /// Auth and ack are on their way.
    Shaking(Box<Shaking>),
    /// There are keys; nobody knows.
    Shaken { keyed: Box<Keyed>, deadline: Instant },
    /// We know who it is; the first verdict is awaited.
    Identified { keyed: Box<Keyed>, deadline: Instant },
    /// Our Hello is sent; the peer's is awaited.
    Greeting { keyed: Box<Keyed>, deadline: Instant },
    /// We know what it speaks; the second verdict is awaited.
    Ready { keyed: Box<Keyed>, shared: Arc<[Shared]> },
    /// Messages flow.
    Open(Box<Open>),
    /// It is over, but what there is to say has yet to be written.
    Closing(Box<Closing>),
    /// It is over; nobody knows.
    Ended(End),
    /// It is over, and was reported.
    Closed(End),
}

/// A connection that both ends have admitted.
#[derive(Debug)]
struct Open {
    remote: PublicKey,
    incoming: Incoming,
    outgoing: Outgoing,
}

impl Connection {
    /// A connection over a fresh transport. Everything random about it follows from `seed`, which
    /// must be used only once. An initiator has a [step](Event::Step) to be run at once.
    pub fn new(config: Arc<Config>, role: Role, now: Now, seed: Seed) -> Self {
        let shaking = Shaking::new(&config, role, now.mono, seed);
        Self { config, state: State::Shaking(Box::new(shaking)) }
    }

    /// How many bytes may be read from the transport now. `usize::MAX` is as many as you like; 0 is
    /// none.
    ///
    /// Until the connection is open, this is what completes the unit at hand; nothing is to be read
    /// while a verdict or a step is awaited. Asked again after each read and each verdict, it lets
    /// nothing of a stranger pile up in the driver either. Once it is over, what is read is thrown
    /// away.
    pub fn read_budget(&self) -> usize {
        match &self.state {
            State::Shaking(shaking) => shaking.needs(),
            State::Greeting { keyed, .. } => keyed.ingress.needs(),
            State::Open(open) if !open.incoming.is_paused() => usize::MAX,
            // To see that the peer hangs up. A socket closed with bytes unread is reset, and the
            // reason that it had sent may be lost with it.
            State::Closing(closing) if closing.hears => usize::MAX,
            State::Shaken { .. }
            | State::Identified { .. }
            | State::Ready { .. }
            | State::Open(_)
            | State::Closing(_)
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
            State::Open(open) => match open.receive(now, input, payload) {
                Ok(None) => return None,
                Ok(Some((shared, code))) => return Some(Event::Message { shared, code }),
                Err(fault) => self.end(now, fault),
            },
            State::Closing(_) | State::Ended(_) | State::Closed(_) => {}
            State::Shaking(_)
            | State::Shaken { .. }
            | State::Identified { .. }
            | State::Greeting { .. }
            | State::Ready { .. } => {
                let budget = self.read_budget();
                assert!(input.len() <= budget, "{} bytes were read, of {budget}", input.len());
                match self.receive_early(input, payload) {
                    Ok(Some(event)) => return Some(event),
                    Ok(None) => return self.poll_event(),
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
            State::Closing(closing) if closing.hears => closing.hears = false,
            State::Closing(_) => self.finish(),
            State::Ended(_) | State::Closed(_) => {}
            _ => self.end(now, Fault::Local(LocalFault::Lost)),
        }
        self.poll_event()
    }

    /// Takes the result of the step that [`Event::Step`] asked for. What follows from it is an
    /// event. Ignored if the connection has ended meanwhile.
    pub fn handle_step(&mut self, now: Now, result: StepResult) {
        let State::Shaking(shaking) = &mut self.state else { return };
        match result.0 {
            _ if !shaking.is_away() => {}
            Ok(Stepped::Called { initiator, auth }) => shaking.call(now.mono, initiator, &auth),
            Ok(Stepped::Shaken { secrets, remote, reply }) => {
                shaking.out.push(now.mono, &reply);
                self.on_keys(secrets, remote);
            }
            Err(fault) => self.end(now, fault.into()),
        }
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
        match &mut self.state {
            State::Open(open) => open.outgoing.send(now, shared, code, payload),
            _ => Err(SendError::NotOpen),
        }
    }

    /// The bytes that wait for the transport. To be written in order; [`written`](Self::written)
    /// says how many were.
    pub fn outgoing(&self) -> &[u8] {
        match &self.state {
            State::Shaking(shaking) => shaking.out.waiting(),
            State::Shaken { keyed, .. }
            | State::Identified { keyed, .. }
            | State::Greeting { keyed, .. }
            | State::Ready { keyed, .. } => keyed.out.waiting(),
            State::Open(open) => open.outgoing.waiting(),
            State::Closing(closing) => closing.goodbye.waiting(),
            State::Ended(_) | State::Closed(_) => &[],
        }
    }

    /// How many bytes wait for the transport.
    pub fn queued(&self) -> usize {
        self.outgoing().len()
    }

    /// Notes that the transport took the first `n` bytes of [`outgoing`](Self::outgoing). Ignored
    /// once the connection is closed: what was waiting then is thrown away, and a write may cross
    /// with that.
    ///
    /// # Panics
    ///
    /// If there were fewer.
    pub fn written(&mut self, now: Now, n: usize) {
        match &mut self.state {
            State::Shaking(shaking) => shaking.out.written(now.mono, n),
            State::Shaken { keyed, .. }
            | State::Identified { keyed, .. }
            | State::Greeting { keyed, .. }
            | State::Ready { keyed, .. } => keyed.out.written(now.mono, n),
            State::Open(open) => open.outgoing.written(now, n),
            State::Closing(closing) => {
                closing.goodbye.written(now, n);
                if closing.goodbye.is_over(now) {
                    self.finish();
                }
            }
            State::Ended(_) | State::Closed(_) => {}
        }
    }

    /// Gives the verdict that [`Event::Identified`] or [`Event::Ready`] asked for: go on. Ignored
    /// when none is awaited, since the connection may just have ended.
    pub fn admit(&mut self, now: Now) {
        let config = self.config.clone();
        self.advance(|state| match state {
            State::Identified { mut keyed, deadline } => {
                keyed.greet(now, &hello_of(&config));
                State::Greeting { keyed, deadline }
            }
            State::Ready { keyed, shared } => {
                State::Open(Box::new(Open::new(now, config, *keyed, shared)))
            }
            state => state,
        });
    }

    /// Ends the connection for a reason of ours, and tells the peer if the encryption handshake is
    /// done; this is also the negative verdict. Ignored if it has ended already.
    pub fn disconnect(&mut self, now: Now, reason: DisconnectReason) {
        self.end(now, Fault::Local(LocalFault::Disconnected(reason)));
    }

    /// Notes that we do not read for a while, or read again: silence meanwhile is not the peer's
    /// fault.
    pub fn pause_reading(&mut self, now: Now, paused: bool) {
        if let State::Open(open) = &mut self.state {
            open.incoming.pause_reading(now, paused);
        }
    }

    /// Takes an open connection apart, into two halves that go on without each other; any other one
    /// is given back.
    ///
    /// The receiving half says what the sending one has to do: answer a [ping](Received::Ping),
    /// note a [pong](Received::Pong), or [disconnect](Outgoing::disconnect) for the reason of a
    /// fault.
    pub fn split(self) -> Result<(Incoming, Outgoing), Self> {
        match self.state {
            State::Open(open) => Ok((open.incoming, open.outgoing)),
            state => Err(Self { state, ..self }),
        }
    }

    /// Frees the buffers that hold nothing. For connections that idle; the next message makes them
    /// again.
    pub fn release(&mut self) {
        match &mut self.state {
            State::Shaken { keyed, .. }
            | State::Identified { keyed, .. }
            | State::Greeting { keyed, .. }
            | State::Ready { keyed, .. } => keyed.release(),
            State::Open(open) => {
                open.incoming.release();
                open.outgoing.release();
            }
            State::Shaking(_) | State::Closing(_) | State::Ended(_) | State::Closed(_) => {}
        }
    }

    /// What has happened and was not told yet. To be asked at the start, and after each call but
    /// [`receive`](Self::receive) and [`receive_eof`](Self::receive_eof), which tell it themselves.
    pub fn poll_event(&mut self) -> Option<Event> {
        match &mut self.state {
            State::Shaking(shaking) => shaking.poll_step().map(Event::Step),
            State::Shaken { keyed, .. } => {
                let key = keyed.remote;
                self.advance(|state| match state {
                    State::Shaken { keyed, deadline } => State::Identified { keyed, deadline },
                    state => state,
                });
                Some(Event::Identified { key })
            }
            State::Ended(end) => {
                let fault = end.fault;
                self.advance(|state| match state {
                    State::Ended(end) => State::Closed(end),
                    state => state,
                });
                Some(Event::Closed { fault })
            }
            _ => None,
        }
    }

    /// The capabilities in common, in the order of their names; empty before [`Event::Ready`] and
    /// after the end.
    pub fn shared(&self) -> &[Shared] {
        match &self.state {
            State::Ready { shared, .. } => shared,
            State::Open(open) => open.incoming.shared(),
            _ => &[],
        }
    }

    /// The peer's key, as soon as it is known: an initiator knows it from the start.
    pub fn remote(&self) -> Option<&PublicKey> {
        self.state.remote()
    }

    /// How long the last answered ping took; `None` before the first one.
    pub fn round_trip(&self) -> Option<Duration> {
        match &self.state {
            State::Open(open) => open.outgoing.round_trip(),
            _ => None,
        }
    }

    /// Why the connection ended, from the moment that it did: before [`Event::Closed`], while the
    /// reason is still being written.
    pub fn fault(&self) -> Option<Fault> {
        match &self.state {
            State::Closing(closing) => Some(closing.end.fault),
            State::Ended(end) | State::Closed(end) => Some(end.fault),
            _ => None,
        }
    }

    /// Whether messages flow.
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open(_))
    }

    /// Whether messages flow, but nothing is read for a while.
    pub const fn is_paused(&self) -> bool {
        matches!(&self.state, State::Open(open) if open.incoming.is_paused())
    }

    /// Whether it is over: nothing is to be read or written any more.
    pub const fn is_closed(&self) -> bool {
        matches!(self.state, State::Ended(_) | State::Closed(_))
    }

    /// Whether it has ended, and the peer was told why, if the transport still took it.
    pub(crate) const fn has_said_goodbye(&self) -> bool {
        match &self.state {
            State::Closing(_) => true,
            State::Ended(end) | State::Closed(end) => end.was_said,
            _ => false,
        }
    }

    /// What it was given at its start.
    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// [`receive`](Self::receive) before the connection is open.
    fn receive_early(
        &mut self,
        input: &mut &mut [u8],
        payload: &mut Vec<u8>,
    ) -> Result<Option<Event>, Fault> {
        match &mut self.state {
            State::Shaking(shaking) => Ok(shaking.receive(&self.config, input)?.map(Event::Step)),
            State::Greeting { keyed, .. } => match keyed.ingress.open(input, payload)? {
                None => Ok(None),
                Some(code::HELLO) => self.on_hello(payload).map(Some),
                Some(code::DISCONNECT) => Err(Fault::Remote(disconnect::decode(payload))),
                Some(code) => Err(PeerMisbehaved::UnexpectedBeforeHello(code).into()),
            },
            _ => Ok(None),
        }
    }

    /// The encryption handshake is done.
    fn on_keys(&mut self, secrets: Secrets, remote: PublicKey) {
        self.advance(|state| match state {
            State::Shaking(shaking) => {
                let Shaking { deadline, out, .. } = *shaking;
                let (egress, ingress) = secrets.split();
                let keyed = Box::new(Keyed { remote, egress, ingress, out });
                State::Shaken { keyed, deadline }
            }
            state => state,
        });
    }

    /// The peer's Hello is complete.
    fn on_hello(&mut self, payload: &[u8]) -> Result<Event, Fault> {
        let State::Greeting { keyed, .. } = &mut self.state else {
            unreachable!("because only greeting waits for Hello")
        };
        // First, so that the reason for a refusal below goes out as the peer expects it.
        keyed.upgrade(hello::version(payload));
        let hello = Hello::decode(payload)?;
        if hello.version < MIN_VERSION {
            let fault = PeerIncompatible::Version(hello.version);
            return Err(Fault::PeerIncompatible(fault));
        }
        if hello.identity != keyed.remote {
            return Err(PeerMisbehaved::UnexpectedIdentity.into());
        }
        let shared = negotiate(&self.config.capabilities, &hello.capabilities).into();
        self.advance(|state| match state {
            State::Greeting { keyed, .. } => State::Ready { keyed, shared },
            state => state,
        });
        Ok(Event::Ready { hello })
    }

    /// Ends the connection: at once, or after the reason has been written if there is one to send.
    /// Does nothing if it has ended already.
    fn end(&mut self, now: Now, fault: Fault) {
        if self.fault().is_some() {
            return;
        }
        let config = self.config.clone();
        self.advance(|state| {
            let remote = state.remote().copied().map(Box::new);
            let goodbye = fault
                .reason_to_send()
                .and_then(|reason| state.disconnect(now, reason, &config.timeouts));
            let end = End { fault, remote, was_said: goodbye.is_some() };
            match goodbye {
                Some(goodbye) => State::Closing(Box::new(Closing { end, goodbye, hears: true })),
                None => State::Ended(end),
            }
        });
    }

    /// Ends the closing: whatever still waits is thrown away.
    fn finish(&mut self) {
        self.advance(|state| match state {
            State::Closing(closing) => State::Ended(closing.end),
            state => state,
        });
    }

    /// Puts the connection into the state that `next` makes of the one it is in. If `next`
    /// panicked, the connection would be closed.
    fn advance(&mut self, next: impl FnOnce(State) -> State) {
        let state = mem::replace(&mut self.state, State::Closed(End::UNKNOWN));
        self.state = next(state);
    }
}

impl State {
    /// Ends a connection for `reason`, if there are keys to say so with.
    fn disconnect(
        self,
        now: Now,
        reason: DisconnectReason,
        timeouts: &Timeouts,
    ) -> Option<Goodbye> {
        match self {
            Self::Shaken { keyed, .. }
            | Self::Identified { keyed, .. }
            | Self::Greeting { keyed, .. }
            | Self::Ready { keyed, .. } => Some(keyed.disconnect(now, reason, timeouts)),
            Self::Open(open) => Some(open.outgoing.disconnect(now, reason)),
            Self::Shaking(_) | Self::Closing(_) | Self::Ended(_) | Self::Closed(_) => None,
        }
    }

    fn remote(&self) -> Option<&PublicKey> {
        match self {
            Self::Shaking(shaking) => shaking.remote(),
            Self::Shaken { keyed, .. }
            | Self::Identified { keyed, .. }
            | Self::Greeting { keyed, .. }
            | Self::Ready { keyed, .. } => Some(&keyed.remote),
            Self::Open(open) => Some(&open.remote),
            Self::Closing(closing) => closing.end.remote.as_deref(),
            Self::Ended(end) | Self::Closed(end) => end.remote.as_deref(),
        }
    }
}

impl Open {
    fn new(now: Now, config: Arc<Config>, keyed: Keyed, shared: Arc<[Shared]>) -> Self {
        let Keyed { remote, egress, ingress, out } = keyed;
        Self {
            remote,
            incoming: Incoming::new(now.mono, config.clone(), ingress, shared.clone()),
            outgoing: Outgoing::new(now.mono, config, egress, out, shared),
        }
    }

    /// Takes bytes up to the end of a capability's message or of `input`, and passes to the sending
    /// half what concerns it.
    fn receive(
        &mut self,
        now: Now,
        input: &mut &mut [u8],
        payload: &mut Vec<u8>,
    ) -> Result<Option<(usize, u64)>, Fault> {
        loop {
            match self.incoming.receive(now, input, payload)? {
                Some(Received::Message { shared, code }) => return Ok(Some((shared, code))),
                Some(Received::Ping) => self.outgoing.pong(now),
                Some(Received::Pong) => self.outgoing.on_pong(now),
                None => return Ok(None),
            }
        }
    }
}

/// The Hello that we say.
fn hello_of(config: &Config) -> Hello {
    Hello {
        version: P2P_VERSION,
        client: config.client.clone(),
        capabilities: config.capabilities.iter().map(|local| local.capability).collect(),
        listen_port: config.listen_port,
        identity: *config.key.public(),
    }
}
