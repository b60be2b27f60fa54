//! What a program can do to its world: its only way out.

use std::{
    any::Any,
    net::{IpAddr, SocketAddr},
};

use peerage_machine::{Instant, Now, Random};

use super::{
    Settings,
    alarms::Alarms,
    clock::HostClock,
    event::{Event, HostEvent, Mail},
    faults::{AcceptError, SendError},
    host::HostId,
    net::{Net, Read, Socket, up_to},
    observer::{Fact, Observers},
    queue::Queue,
    trace::{Kind, Trace},
};

/// The host's side of the world, for the length of one event.
#[derive(Debug)]
pub struct Io<'a> {
    pub(super) at: Instant,
    pub(super) host: HostId,
    pub(super) epoch: u32,
    pub(super) clock: HostClock,
    pub(super) settings: &'a Settings,
    pub(super) net: &'a mut Net,
    pub(super) queue: &'a mut Queue<Event>,
    pub(super) alarms: &'a mut Alarms,
    pub(super) random: &'a mut Random,
    pub(super) trace: &'a mut Trace,
    pub(super) observers: &'a mut Observers,
    pub(super) has_exited: &'a mut bool,
}

/// The way of mail from one task of a program to another one: what is sent on it arrives in its
/// order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Way {
    /// When the last mail on it arrives.
    last: Instant,
}

impl Io<'_> {
    /// Both clocks of the host.
    pub fn now(&self) -> Now {
        self.clock.now(self.at)
    }

    /// The host.
    pub const fn host(&self) -> HostId {
        self.host
    }

    /// The host's generator.
    pub const fn random(&mut self) -> &mut Random {
        self.random
    }

    /// The host's own addresses, private ones behind a translator.
    pub fn ips(&self) -> &[IpAddr] {
        self.net.ips(self.host)
    }

    /// Opens a port for datagrams and one for streams; the last ones count, and `None` closes it.
    pub fn listen(&mut self, udp: Option<u16>, tcp: Option<u16>) {
        self.net.listen(self.host, udp, tcp);
    }

    /// Sends a datagram. An error is of the host's own system; whether it arrives is never known.
    pub fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) -> Result<(), SendError> {
        self.send_from(None, to, bytes)
    }

    /// Sends a datagram that seems to come from `from`, as a network without ingress filters lets
    /// it.
    pub fn send_as(
        &mut self,
        from: SocketAddr,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) -> Result<(), SendError> {
        self.send_from(Some(from), to, bytes)
    }

    fn send_from(
        &mut self,
        from: Option<SocketAddr>,
        to: SocketAddr,
        bytes: Vec<u8>,
    ) -> Result<(), SendError> {
        self.observers.on_fact(self.at, self.host, &Fact::Sent { to, bytes: &bytes });
        let sent = self.net.send(self.at, self.queue, self.host, from, to, bytes);
        if let Err(error) = sent {
            self.note(Kind::FAULT, &[1], || format!("cannot send to {to}: {error}"));
        }
        sent
    }

    /// Opens a stream; [`HostEvent::Connected`] or [`HostEvent::ConnectFailed`] follows, or nothing
    /// if nobody answers.
    pub fn connect(&mut self, to: SocketAddr) -> Socket {
        self.net.connect(self.at, self.queue, self.host, to)
    }

    /// Accepts the stream that has waited longest: with where it comes from.
    pub fn accept(&mut self) -> Result<(Socket, SocketAddr), AcceptError> {
        let accepted = self.net.accept(self.host);
        if let Err(error @ AcceptError::TooManyOpen) = accepted {
            self.note(Kind::FAULT, &[2], || format!("cannot accept: {error}"));
        }
        accepted
    }

    /// Writes what there is room for: how much that was. `None` if the stream is broken.
    ///
    /// Where it is less than all, [`HostEvent::Stream`] tells of room.
    pub fn write(&mut self, socket: Socket, bytes: &[u8]) -> Option<usize> {
        self.net.write(self.at, self.queue, socket, bytes)
    }

    /// Reads at most `most` bytes.
    pub fn read(&mut self, socket: Socket, most: usize) -> Read {
        self.net.read(self.at, self.queue, socket, most)
    }

    /// Says that there is nothing more to say.
    pub fn shutdown(&mut self, socket: Socket) {
        self.net.shutdown(self.at, self.queue, socket);
    }

    /// Lets go of a stream.
    pub fn close(&mut self, socket: Socket) {
        self.net.close(self.at, self.queue, socket);
    }

    /// Breaks a stream.
    pub fn reset(&mut self, socket: Socket) {
        self.net.reset(self.at, self.queue, socket);
        self.net.close(self.at, self.queue, socket);
    }

    /// Asks for [`HostEvent::Wake`] when the monotonic clock shows `at`, or now if it is later.
    pub fn wake(&mut self, at: Instant, token: u64) {
        let at = self.clock.world(at).max(self.at);
        let (host, epoch) = (self.host, self.epoch);
        self.queue.plan(at, Event::Host { host, epoch, event: HostEvent::Wake(token) });
    }

    /// Has a task woken when the monotonic clock shows `due`, and at no other time; `None` is
    /// never. A task is a number that the program chose: [`HostEvent::Wake`] gives it back.
    pub fn set_alarm(&mut self, task: u64, due: Option<Instant>) {
        let host = self.host;
        let Some(due) = due else { return self.alarms.cancel(host, task) };
        let at = self.clock.world(due).max(self.at);
        if self.alarms.set(host, task, at) {
            self.queue.plan(at, Event::Wake { host, task });
        }
    }

    /// Has a task woken when the monotonic clock shows `due`, if it is not woken sooner.
    pub fn wake_by(&mut self, task: u64, due: Instant) {
        let at = self.clock.world(due);
        if self.alarms.due(self.host, task).is_none_or(|set| set > at) {
            self.set_alarm(task, Some(due));
        }
    }

    /// Passes a message between two tasks of the program, which comes back by
    /// [`Program::on_mail`](crate::Program::on_mail): it takes a random while, but does not
    /// overtake the one before on the same way.
    pub fn mail(&mut self, way: &mut Way, mail: Box<dyn Mail>) {
        let delay = up_to(self.random, self.settings.task_delay);
        way.last = way.last.max(self.at + delay);
        let (host, epoch) = (self.host, self.epoch);
        self.queue.plan(way.last, Event::Mail { host, epoch, mail });
    }

    /// Asks for the addresses of a name. [`HostEvent::Resolved`] follows with the number of the
    /// question, or nothing.
    pub fn resolve(&mut self, question: u64, name: &str) {
        self.note(Kind::NAME, &[question], || format!("asks for {name}, question {question}"));
        let addresses = self.settings.names.get(name);
        let answer = self.settings.resolver.answer(self.random, addresses);
        let Some((delay, answer)) = answer else { return };
        let (host, epoch, at) = (self.host, self.epoch, self.at + delay);
        let event = HostEvent::Resolved { question, answer };
        self.queue.plan(at, Event::Host { host, epoch, event });
    }

    /// Ends the program, after this event: the system closes what it has open.
    pub const fn exit(&mut self) {
        *self.has_exited = true;
    }

    /// Says something of the program to all [observers](crate::Observer).
    pub fn report<T: Any>(&mut self, fact: &T) {
        self.observers.on_fact(self.at, self.host, &Fact::Reported(fact));
    }

    /// The program finds that a rule is broken on its host, which ends the run.
    pub fn break_rule(&mut self, what: impl FnOnce() -> String) {
        self.observers.verdict.break_rule(self.at, self.host, what);
    }

    /// Notes something in the trace. `numbers` are what its hash is told; `what` is for people, and
    /// has to follow from the same.
    pub fn note(&mut self, kind: Kind, numbers: &[u64], what: impl FnOnce() -> String) {
        self.trace.note(self.at, self.host.0, kind, numbers, &[], what);
    }
}
