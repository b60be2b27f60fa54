//! What a program on a host can do to its world: the only way out for nodes and adversaries.

use std::net::{IpAddr, SocketAddr};

use peerage_machine::{Instant, Now, Random};

use crate::{
    HostId,
    alarms::Alarms,
    clock::HostClock,
    event::{Event, HostEvent},
    ledger::Ledger,
    net::{Net, Read, Socket, up_to},
    node::Mail,
    queue::Queue,
    trace::{Kind, Trace},
    world::Settings,
};

/// A program on a host that is not one of the shipping machines: an adversary, a probe, a
/// researcher's own.
///
/// It is told what happens, and does what it likes by [`Io`]. It draws randomness from
/// [`Io::random`] only, and iterates over nothing that has no order, so that the same seed gives
/// the same trace.
pub trait Actor: std::fmt::Debug {
    /// The host has started, or started anew.
    fn on_start(&mut self, io: &mut Io<'_>);

    /// Something happened.
    fn on_event(&mut self, io: &mut Io<'_>, event: HostEvent);
}

/// The host's side of the world, for the length of one event.
#[derive(Debug)]
pub struct Io<'a> {
    pub(crate) at: Instant,
    pub(crate) host: HostId,
    pub(crate) epoch: u32,
    pub(crate) clock: HostClock,
    pub(crate) settings: &'a Settings,
    pub(crate) net: &'a mut Net,
    pub(crate) queue: &'a mut Queue<Event>,
    pub(crate) alarms: &'a mut Alarms,
    pub(crate) random: &'a mut Random,
    pub(crate) trace: &'a mut Trace,
    pub(crate) ledger: &'a mut Ledger,
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

    /// Sends a datagram.
    pub fn send(&mut self, to: SocketAddr, bytes: Vec<u8>) {
        self.net.send(self.at, self.queue, self.host, None, to, bytes);
    }

    /// Sends a datagram that seems to come from `from`, as a network without ingress filters lets
    /// it.
    pub fn send_as(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        self.net.send(self.at, self.queue, self.host, Some(from), to, bytes);
    }

    /// Opens a stream; [`HostEvent::Connected`] or [`HostEvent::ConnectFailed`] follows, or nothing
    /// if nobody answers.
    pub fn connect(&mut self, to: SocketAddr) -> Socket {
        self.net.connect(self.at, self.queue, self.host, to)
    }

    /// Accepts the stream that has waited longest: with where it comes from.
    pub fn accept(&mut self) -> Option<(Socket, SocketAddr)> {
        self.net.accept(self.host)
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

    /// Has a task of a node woken when the monotonic clock shows `due`, and at no other time;
    /// `None` is never.
    pub(crate) fn set_alarm(&mut self, task: u64, due: Option<Instant>) {
        let host = self.host;
        let Some(due) = due else { return self.alarms.cancel(host, task) };
        let at = self.clock.world(due).max(self.at);
        if self.alarms.set(host, task, at) {
            self.queue.plan(at, Event::Wake { host, task });
        }
    }

    /// Has a task of a node woken when the monotonic clock shows `due`, if it is not woken sooner.
    pub(crate) fn wake_by(&mut self, task: u64, due: Instant) {
        let at = self.clock.world(due);
        if self.alarms.due(self.host, task).is_none_or(|set| set > at) {
            self.set_alarm(task, Some(due));
        }
    }

    /// Passes a message between two tasks: it takes a random while, but does not overtake the one
    /// before on the same way, which arrives at `last`.
    pub(crate) fn mail(&mut self, last: &mut Instant, mail: Mail) {
        let delay = up_to(self.random, self.settings.task_delay);
        *last = (*last).max(self.at + delay);
        let (host, epoch) = (self.host, self.epoch);
        self.queue.plan(*last, Event::Mail { host, epoch, mail });
    }

    /// The addresses of a name.
    pub(crate) fn resolve(&self, name: &str) -> Vec<IpAddr> {
        self.settings.names.get(name).cloned().unwrap_or_default()
    }

    /// Notes something in the trace.
    pub(crate) fn note(&mut self, kind: Kind, numbers: &[u64], what: impl FnOnce() -> String) {
        self.trace.note(self.at, self.host.0, kind, numbers, &[], what);
    }
}
