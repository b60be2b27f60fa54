//! Two connections and the wires between them, in virtual time.

use std::{sync::Arc, time::Duration};

use peerage_machine::Now;
use peerage_node::{PublicKey, SecretKey};

use crate::*;

pub(super) fn key(byte: u8) -> SecretKey {
    SecretKey::from_bytes(&[byte; 32]).unwrap()
}

pub(super) fn capability(name: &str, version: u64, length: u64) -> LocalCapability {
    let name = CapabilityName::new(name).unwrap();
    LocalCapability { capability: Capability { name, version }, length }
}

pub(super) fn config(byte: u8, capabilities: &[LocalCapability]) -> Arc<Config> {
    Arc::new(crate::fuzzing::config(byte, capabilities))
}

/// What a driver saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    Closed(Fault),
    Identified(PublicKey),
    Message(usize, u64, Vec<u8>),
    Ready(Hello),
}

/// A connection with its driver.
pub(super) struct Side {
    pub(super) connection: Connection,
    /// Bytes of the other end that were not read yet.
    pub(super) wire: Vec<u8>,
    /// How many bytes were read.
    pub(super) read: usize,
    /// No read crosses these positions of the stream.
    pub(super) cuts: Vec<usize>,
    /// The reasons for which this end says no at the two checkpoints.
    pub(super) verdicts: [Option<DisconnectReason>; 2],
    /// Whether verdicts are given at all.
    pub(super) decides: bool,
    pub(super) seen: Vec<Seen>,
    /// All bytes that were ever written.
    pub(super) sent: Vec<u8>,
}

impl Side {
    pub(super) fn new(config: Arc<Config>, role: Role, seed: u8) -> Self {
        let mut side = Self {
            connection: Connection::new(config, role, Now::default(), [seed; 32]),
            wire: Vec::new(),
            read: 0,
            cuts: Vec::new(),
            verdicts: [None, None],
            decides: true,
            seen: Vec::new(),
            sent: Vec::new(),
        };
        side.poll(Now::default());
        side
    }

    /// One read and everything that follows from it. Returns whether there was something to read.
    pub(super) fn read(&mut self, now: Now) -> bool {
        let to_cut = self.cuts.iter().map(|cut| cut.saturating_sub(self.read)).find(|n| *n > 0);
        let n =
            self.connection.read_budget().min(self.wire.len()).min(to_cut.unwrap_or(usize::MAX));
        let mut bytes: Vec<u8> = self.wire.drain(..n).collect();
        self.read += n;
        let mut input = &mut bytes[..];
        let mut payload = vec![0xee; 7];
        while let Some(event) = self.connection.receive(now, &mut input, &mut payload) {
            self.on_event(now, event, &payload);
        }
        assert!(input.is_empty(), "because None says that all was taken");
        n > 0
    }

    /// Passes everything that waits to `other`. Returns whether that was anything.
    pub(super) fn write(&mut self, now: Now, other: &mut Self) -> bool {
        let bytes = self.take_outgoing(now);
        other.wire.extend_from_slice(&bytes);
        !bytes.is_empty()
    }

    pub(super) fn take_outgoing(&mut self, now: Now) -> Vec<u8> {
        let bytes = self.connection.outgoing().to_vec();
        self.connection.written(now, bytes.len());
        self.sent.extend_from_slice(&bytes);
        self.poll(now);
        bytes
    }

    pub(super) fn poll(&mut self, now: Now) {
        while let Some(event) = self.connection.poll_event() {
            self.on_event(now, event, &[]);
        }
    }

    pub(super) fn tick(&mut self, now: Now) {
        self.connection.handle_timeout(now);
        self.poll(now);
    }

    pub(super) fn on_event(&mut self, now: Now, event: Event, payload: &[u8]) {
        assert!(self.fault().is_none(), "{event:?} came after the end");
        let verdict = match event {
            Event::Closed { fault } => {
                self.seen.push(Seen::Closed(fault));
                return;
            }
            Event::Identified { key } => {
                self.seen.push(Seen::Identified(key));
                self.verdicts[0]
            }
            Event::Message { shared, code } => {
                self.seen.push(Seen::Message(shared, code, payload.to_vec()));
                return;
            }
            Event::Ready { hello } => {
                self.seen.push(Seen::Ready(hello));
                self.verdicts[1]
            }
            Event::Step(step) => {
                self.connection.handle_step(now, step.run());
                return;
            }
        };
        match verdict {
            _ if !self.decides => {}
            None => self.connection.admit(now),
            Some(reason) => self.connection.disconnect(now, reason),
        }
    }

    pub(super) fn messages(&self) -> Vec<(usize, u64, &[u8])> {
        self.seen
            .iter()
            .filter_map(|seen| match seen {
                Seen::Message(shared, code, payload) => Some((*shared, *code, &payload[..])),
                _ => None,
            })
            .collect()
    }

    /// The fault in the last event, if that was the end.
    pub(super) fn fault(&self) -> Option<Fault> {
        match self.seen.last() {
            Some(Seen::Closed(fault)) => Some(*fault),
            _ => None,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        self.seen.iter().any(|seen| matches!(seen, Seen::Ready(_)))
    }
}

/// An initiator and the recipient it calls.
pub(super) struct Pair {
    pub(super) a: Side,
    pub(super) b: Side,
    pub(super) now: Now,
}

impl Pair {
    /// A pair that speaks `aaa` (4 messages) and `bbb` (2 messages), nothing said yet.
    pub(super) fn new() -> Self {
        let capabilities = [capability("bbb", 1, 2), capability("aaa", 2, 4)];
        let (a, b) = (config(1, &capabilities), config(2, &capabilities));
        let role = Role::Initiator { remote: *b.key.public() };
        Self {
            a: Side::new(a, role, 0xa),
            b: Side::new(b, Role::Recipient, 0xb),
            now: Now::default(),
        }
    }

    /// A pair that is open at both ends.
    pub(super) fn open() -> Self {
        let mut pair = Self::new();
        pair.settle();
        assert!(pair.a.connection.is_open() && pair.b.connection.is_open());
        pair
    }

    /// Lets bytes flow until none do.
    pub(super) fn settle(&mut self) {
        loop {
            let Self { a, b, now } = self;
            let moved = [a.write(*now, b), b.write(*now, a), a.read(*now), b.read(*now)];
            if moved == [false; 4] {
                return;
            }
        }
    }

    pub(super) fn wait(&mut self, span: Duration) {
        self.now = self.now.later(span);
    }

    pub(super) fn faults(&self) -> (Option<Fault>, Option<Fault>) {
        (self.a.fault(), self.b.fault())
    }
}

/// The fault of an event that can only be the end, if there is one.
pub(super) fn end_of(event: Option<Event>) -> Option<Fault> {
    match event? {
        Event::Closed { fault } => Some(fault),
        other => panic!("{other:?} is not the end"),
    }
}

pub(super) fn local(reason: DisconnectReason) -> Option<Fault> {
    Some(Fault::Local(LocalFault::Disconnected(reason)))
}

pub(super) fn remote(reason: DisconnectReason) -> Option<Fault> {
    Some(Fault::Remote(reason))
}

pub(super) fn timed_out(secs: u64, waiting: Waiting) -> Option<Fault> {
    Some(PeerMisbehaved::TimedOut(Duration::from_secs(secs), waiting).into())
}
