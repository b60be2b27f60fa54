//! When the bytes of streams arrive: dialing, segments, resets, and what becomes of half-open ends.

use std::{net::SocketAddr, time::Duration};

use peerage_machine::Instant;

use super::{
    BACKLOG, Net,
    link::{chance, transmit, up_to},
    nat::Transport,
    stream::{End, Piece, Read, Socket},
};
use crate::world::{
    HostId,
    event::{ConnectError, Event, HostEvent},
    faults::AcceptError,
    queue::Queue,
};

/// The first wait of a system that repeats the first packet of a stream; each further one is twice
/// as long.
const SYN_RETRY: Duration = Duration::from_secs(1);

/// How often it repeats it.
const SYN_TRIES: u32 = 6;

/// The first wait of a system that repeats a lost segment.
const RETRANSMIT: Duration = Duration::from_millis(200);

/// The longest wait between two tries while there is no way.
const RETRANSMIT_MAX: Duration = Duration::from_secs(8);

/// The most bytes that arrive at once: what a system reads in one go on a fast network.
const MAX_SEGMENT: usize = 16 << 10;

/// A system does not tell of less room than one segment ([RFC 9293,
/// 3.8.6.2.2](https://www.rfc-editor.org/rfc/rfc9293)): who reads a byte a second lets a segment
/// through every 24 minutes.
const SILLY: usize = 1_460;

/// Of IP and TCP.
const HEADERS: usize = 40;

impl Net {
    /// Opens a stream to `to`. The host hears that it is there or refused, or nothing.
    pub(crate) fn connect(
        &mut self,
        now: Instant,
        queue: &mut Queue<Event>,
        host: HostId,
        to: SocketAddr,
    ) -> Socket {
        self.stats.streams += 1;
        let stream = self.next_stream;
        self.next_stream += 1;
        let socket = Socket::dialer(stream);
        if let Err(why) = self.opens_stream(host) {
            let event = HostEvent::ConnectFailed { socket, why };
            queue.plan(now, Event::Host { host, epoch: self.epoch(host), event });
            return socket;
        }
        // The other end is a dead one until somebody accepts.
        let mut other = End::new(host, to);
        other.is_held = false;
        self.streams.insert(stream, [End::new(host, to), other]);
        self.stations[host.index()].sockets.insert(socket);
        self.take_descriptor(socket);
        if let Some((from, target)) = self.outbound(now, Transport::Tcp, host, to) {
            // A stream has a port of its own on its host.
            let port = 32_768 + u16::try_from(stream % 28_000).unwrap_or(0);
            let from = SocketAddr::new(from.ip(), port);
            let at = self.arrival(now, host, target);
            queue.plan(at, Event::Syn { socket, from, to, tries: 0 });
        }
        socket
    }

    /// A stream asks to be let in.
    pub(crate) fn on_syn(
        &mut self,
        now: Instant,
        queue: &mut Queue<Event>,
        (socket, from, to): (Socket, SocketAddr, SocketAddr),
        tries: u32,
    ) {
        let Some(dialer) = self.end_ref(socket).filter(|end| end.is_held) else { return };
        let (host, is_new) =
            (dialer.host, self.end_ref(socket.other()).is_some_and(|it| !it.is_held));
        let found = self.inbound(now, Transport::Tcp, host, from, to);
        let is_lost = chance(&mut self.random, self.link.loss);
        let Some((target, port)) = found.filter(|_| !is_lost && is_new) else {
            if tries < SYN_TRIES && is_new {
                let at = now + SYN_RETRY * 2_u32.pow(tries);
                queue.plan(at, Event::Syn { socket, from, to, tries: tries + 1 });
            }
            return;
        };
        let answered = self.arrival(now, target, host);
        let station = &mut self.stations[target.index()];
        if station.tcp != Some(port) {
            queue.plan(answered, Event::Answer { socket, is_refused: true });
            return;
        }
        if station.backlog.len() >= BACKLOG {
            // Not answered: the other system tries again.
            if tries < SYN_TRIES {
                let at = now + SYN_RETRY * 2_u32.pow(tries);
                queue.plan(at, Event::Syn { socket, from, to, tries: tries + 1 });
            }
            return;
        }
        let acceptor = socket.other();
        station.sockets.insert(acceptor);
        if let Some(end) = self.end_mut(acceptor) {
            *end = End::new(target, from);
        }
        queue.plan(answered, Event::Answer { socket, is_refused: false });
        let complete = self.arrival(answered, host, target);
        queue.plan(complete, Event::Backlog { socket: acceptor });
    }

    /// The answer to a dialed stream arrives.
    pub(crate) fn on_answer(
        &mut self,
        socket: Socket,
        is_refused: bool,
    ) -> Option<(HostId, HostEvent)> {
        let end = self.end_ref(socket).filter(|end| end.is_held)?;
        let (host, remote) = (end.host, end.remote);
        if is_refused {
            self.forget(socket);
            let why = ConnectError::Refused;
            return Some((host, HostEvent::ConnectFailed { socket, why }));
        }
        Some((host, HostEvent::Connected { socket, remote }))
    }

    /// An accepted stream is complete.
    pub(crate) fn on_backlog(&mut self, socket: Socket) -> Option<(HostId, HostEvent)> {
        let host = self.end_ref(socket).filter(|end| end.is_held && !end.is_reset)?.host;
        self.stations[host.index()].backlog.push_back(socket);
        Some((host, HostEvent::Acceptable))
    }

    /// Accepts the stream that has waited longest: with where it comes from.
    pub(crate) fn accept(&mut self, host: HostId) -> Result<(Socket, SocketAddr), AcceptError> {
        loop {
            let waiting = self.stations[host.index()].backlog.front();
            let socket = *waiting.ok_or(AcceptError::Nothing)?;
            if !self.has_descriptor(host) {
                return Err(AcceptError::TooManyOpen);
            }
            self.stations[host.index()].backlog.pop_front();
            if let Some(remote) = self.end_ref(socket).filter(|it| it.is_held).map(|it| it.remote) {
                self.take_descriptor(socket);
                return Ok((socket, remote));
            }
        }
    }

    /// Writes as much of `bytes` as there is room for: how much that was. `None` if the stream is
    /// broken.
    pub(crate) fn write(
        &mut self,
        now: Instant,
        queue: &mut Queue<Event>,
        socket: Socket,
        bytes: &[u8],
    ) -> Option<usize> {
        let room = self.end_ref(socket.other()).map_or(0, End::room);
        let end =
            self.end_mut(socket).filter(|end| end.is_held && !end.is_reset && !end.is_shut)?;
        let taken = if room < SILLY { 0 } else { room.min(bytes.len()) };
        end.is_blocked = taken < bytes.len();
        self.stats.stream_bytes += taken as u64;
        let mut rest = &bytes[..taken];
        while !rest.is_empty() {
            let whole = rest.len().min(MAX_SEGMENT);
            let cut = if whole > 1 && chance(&mut self.random, self.link.split) {
                1 + usize::try_from(self.random.below(whole as u64 - 1)).unwrap_or(0)
            } else {
                whole
            };
            let (piece, tail) = rest.split_at(cut);
            rest = tail;
            if chance(&mut self.random, self.link.reset) {
                self.reset(now, queue, socket);
                return None;
            }
            self.push(now, queue, socket.other(), Piece::Bytes(piece.to_vec()));
        }
        Some(taken)
    }

    /// Says that there is nothing more to say; what was written before arrives before.
    pub(crate) fn shutdown(&mut self, now: Instant, queue: &mut Queue<Event>, socket: Socket) {
        let Some(end) = self.end_mut(socket).filter(|end| !end.is_shut && !end.is_reset) else {
            return;
        };
        end.is_shut = true;
        self.push(now, queue, socket.other(), Piece::Fin);
    }

    /// Lets go of a stream. As with TCP, it is reset if something was not read.
    pub(crate) fn close(&mut self, now: Instant, queue: &mut Queue<Event>, socket: Socket) {
        let Some(end) = self.end_ref(socket).filter(|end| end.is_held) else { return };
        if end.unread.is_empty() {
            self.shutdown(now, queue, socket);
        } else {
            self.send_reset(now, queue, socket);
        }
        self.forget(socket);
    }

    /// Breaks a stream: this end knows at once, the other one later.
    pub(crate) fn reset(&mut self, now: Instant, queue: &mut Queue<Event>, socket: Socket) {
        if let Some(end) = self.end_mut(socket) {
            end.is_reset = true;
            end.unread.clear();
        }
        self.send_reset(now, queue, socket);
    }

    /// Reads at most `most` bytes.
    pub(crate) fn read(
        &mut self,
        now: Instant,
        queue: &mut Queue<Event>,
        socket: Socket,
        most: usize,
    ) -> Read {
        let Some(end) = self.end_mut(socket).filter(|end| end.is_held) else { return Read::End };
        if end.is_reset {
            return Read::End;
        }
        let taken = end.unread.len().min(most);
        if taken == 0 {
            return if end.is_eof && end.unread.is_empty() { Read::End } else { Read::Nothing };
        }
        let bytes: Vec<u8> = end.unread.drain(..taken).collect();
        if end.unread.is_empty() {
            // Idle ends hold nothing.
            end.unread.shrink_to_fit();
        }
        let (reader, is_open) = (end.host, end.room() >= SILLY);
        if !is_open {
            return Read::Bytes(bytes);
        }
        if let Some(writer) = self.end_ref(socket.other()).filter(|end| end.is_blocked) {
            let at = self.arrival(now, reader, writer.host);
            queue.plan(at, Event::Window { socket: socket.other() });
        }
        Read::Bytes(bytes)
    }

    /// Pieces may have arrived at this end.
    pub(crate) fn on_arrive(
        &mut self,
        now: Instant,
        queue: &mut Queue<Event>,
        socket: Socket,
    ) -> Option<(HostId, HostEvent)> {
        let other = self.end_ref(socket.other())?.host;
        let host = self.end_ref(socket)?.host;
        let is_connected = self.is_connected(host, other);
        let is_powered = self.stations[host.index()].is_powered;
        let retry = up_to(&mut self.random, RETRANSMIT_MAX) + RETRANSMIT;
        let end = self.end_mut(socket)?;
        if end.flight.front().is_none_or(|(at, _)| *at > now) {
            return None;
        }
        if !is_connected || (!is_powered && end.is_held) {
            // The other system tries again for as long as its program waits.
            if let Some((at, _)) = end.flight.front_mut() {
                *at = now + retry;
            }
            queue.plan(now + retry, Event::Arrive { socket });
            return None;
        }
        if !end.is_held {
            end.flight.clear();
            end.in_flight = 0;
            if is_powered {
                // Nobody is there: the system says so.
                self.send_reset(now, queue, socket);
            }
            return None;
        }
        while end.flight.front().is_some_and(|(at, _)| *at <= now) {
            match end.flight.pop_front() {
                Some((_, Piece::Bytes(bytes))) => {
                    end.in_flight -= bytes.len();
                    if !end.is_reset {
                        end.unread.extend(bytes);
                    }
                }
                Some((_, Piece::Fin)) => end.is_eof = true,
                None => {}
            }
        }
        end.is_readable().then_some((host, HostEvent::Stream(socket)))
    }

    /// A reset arrives.
    pub(crate) fn on_reset(&mut self, socket: Socket) -> Option<(HostId, HostEvent)> {
        let end = self.end_mut(socket).filter(|end| end.is_held && !end.is_reset)?;
        end.is_reset = true;
        end.unread.clear();
        Some((end.host, HostEvent::Stream(socket)))
    }

    /// This end hears that there is room again.
    pub(crate) fn on_window(&mut self, socket: Socket) -> Option<(HostId, HostEvent)> {
        let end = self.end_mut(socket).filter(|end| end.is_held && end.is_blocked)?;
        end.is_blocked = false;
        Some((end.host, HostEvent::Stream(socket)))
    }

    /// The host lets go of its end.
    pub(super) fn forget(&mut self, socket: Socket) {
        let Some(end) = self.end_mut(socket) else { return };
        end.is_held = false;
        end.unread = Default::default();
        let host = end.host;
        self.free_descriptor(socket);
        self.stations[host.index()].sockets.remove(&socket);
        self.sweep(socket);
    }

    /// Removes a stream that nobody holds an end of.
    pub(super) fn sweep(&mut self, socket: Socket) {
        let stream = socket.0 / 2;
        if self.streams.get(&stream).is_some_and(|ends| ends.iter().all(|end| !end.is_held)) {
            self.streams.remove(&stream);
        }
    }

    fn send_reset(&mut self, now: Instant, queue: &mut Queue<Event>, socket: Socket) {
        let Some((host, other)) = self.end_ref(socket).zip(self.end_ref(socket.other())) else {
            return;
        };
        if !self.is_connected(host.host, other.host) {
            // Lost: the other end is half open.
            return;
        }
        let at = self.arrival(now, host.host, other.host);
        queue.plan(at, Event::Reset { socket: socket.other() });
    }

    /// Sends a piece towards an end, behind all that was sent before.
    fn push(&mut self, now: Instant, queue: &mut Queue<Event>, to: Socket, piece: Piece) {
        let Some((from, target)) = self.end_ref(to.other()).zip(self.end_ref(to)) else { return };
        let (from, target) = (from.host, target.host);
        let size = match &piece {
            Piece::Bytes(bytes) => bytes.len(),
            Piece::Fin => 0,
        };
        let bandwidth = self.link.bandwidth;
        let line = &mut self.stations[from.index()].line.up;
        // A stream waits where a datagram would be lost.
        let sent = transmit(line, now, size + HEADERS, bandwidth).unwrap_or(*line);
        let mut at = self.arrival(sent, from, target);
        let mut wait = RETRANSMIT;
        while chance(&mut self.random, self.link.loss) {
            at = at + wait;
            wait *= 2;
        }
        if chance(&mut self.random, self.link.stall) {
            at = at + up_to(&mut self.random, Duration::from_secs(2));
        }
        let Some(end) = self.end_mut(to) else { return };
        if let Some((last, _)) = end.flight.back() {
            at = at.max(*last);
        }
        end.in_flight += size;
        end.flight.push_back((at, piece));
        queue.plan(at, Event::Arrive { socket: to });
    }

    fn arrival(&mut self, now: Instant, from: HostId, to: HostId) -> Instant {
        now + self.link.latency(self.salt, from, to) + up_to(&mut self.random, self.link.jitter)
    }

    pub(super) fn end_ref(&self, socket: Socket) -> Option<&End> {
        self.streams.get(&(socket.0 / 2)).map(|ends| &ends[usize::from(socket.0 % 2 == 1)])
    }

    pub(super) fn end_mut(&mut self, socket: Socket) -> Option<&mut End> {
        self.streams.get_mut(&(socket.0 / 2)).map(|ends| &mut ends[usize::from(socket.0 % 2 == 1)])
    }
}
