//! The task of one connection: moves bytes between a stream and the connection's machine, and
//! messages between that and the protocols.
//!
//! It decides nothing: how much is read and written at once, who sends next, when reading pauses,
//! what goes before a goodbye and when buffers are freed is the machine's to say.

use peerage_machine::{Instant, Now};
use peerage_peering::envelope::{ConnId, Input};
use peerage_rlpx::{DisconnectReason, Fault, Flow, FlowEvent, Linger, Message, Role};

use super::{
    Mail, Node, NodeFact, Order, Peer,
    lane::{Lanes, OfferError},
    token,
};
use crate::world::{Io, Kind, Read, Socket, Way};

/// A connection, from accept or dial to its end.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) socket: Socket,
    /// `None` until peering lets the handshake begin, and once it is over.
    flow: Option<Box<Flow>>,
    /// While messages flow.
    lanes: Option<Lanes>,
    /// Of mail to peering, and from it.
    reports: Way,
    pub(super) orders: Way,
}

/// What a connection has come to.
#[derive(Debug)]
enum Turn {
    /// It is over.
    Closed(Fault),
    /// Messages have arrived for the protocol at this place of our configuration.
    Delivered(usize),
    /// Messages flow no more.
    Left,
    /// Messages flow from now on.
    Opened,
    /// Nothing moves.
    Rests,
    /// There is more to do, but others have a turn first.
    Yields,
}

/// What is kept from one turn to the next.
#[derive(Debug, Default)]
struct Turns {
    /// What was read, and how much of it has been dealt with.
    input: Option<(Vec<u8>, usize)>,
    /// How often it was written and read.
    rounds: usize,
}

impl Conn {
    pub(super) fn new(socket: Socket) -> Self {
        Self { socket, flow: None, lanes: None, reports: Way::default(), orders: Way::default() }
    }

    /// The peer, if it speaks the protocol at this place of our configuration.
    pub(super) fn peer_by(&self, local: usize) -> Option<Peer> {
        self.lanes.as_ref().filter(|lanes| lanes.has(local)).map(|lanes| lanes.peer)
    }

    /// The next message that has arrived for the protocol at `local`.
    pub(super) fn next_message(&mut self, local: usize) -> Option<(Peer, Message)> {
        let lanes = self.lanes.as_mut()?;
        lanes.next(local).map(|message| (lanes.peer, message))
    }

    /// Offers a message of the protocol at `local`.
    pub(super) fn offer(
        &mut self,
        local: usize,
        code: u64,
        payload: &[u8],
    ) -> Result<(), OfferError> {
        let is_open = self.flow.as_ref().is_some_and(|flow| flow.is_open());
        let lanes = self.lanes.as_mut().filter(|_| is_open).ok_or(OfferError::NoPeer)?;
        lanes.offer(local, code, payload)
    }

    /// Whether messages flow, and all that was offered has been sent.
    pub(super) fn is_idle(&self) -> bool {
        let flow = self.flow.as_ref().is_some_and(|flow| flow.is_open() && flow.is_idle());
        flow && self.lanes.as_ref().is_none_or(Lanes::is_silent)
    }

    /// The protocol at `local` ends the connection.
    pub(super) fn leave(&mut self, now: Now, local: usize, reason: DisconnectReason) {
        if let Some(lanes) = &mut self.lanes {
            lanes.abandon(local);
        }
        self.disconnect(now, reason);
    }

    fn disconnect(&mut self, now: Now, reason: DisconnectReason) {
        let Some(flow) = &mut self.flow else { return };
        let ended = match &mut self.lanes {
            Some(lanes) => flow.disconnect(now, reason, lanes.fetch()),
            None => flow.disconnect(now, reason, |_, _| {}),
        };
        debug_assert_eq!(ended, Ok(()), "because what cannot be sent was not taken");
    }
}

impl Node {
    /// The handshake may begin.
    pub(super) fn begin(&mut self, io: &mut Io<'_>, conn: ConnId, role: Role) {
        let seed = self.random.fork();
        let Some(found) = self.conns.get_mut(&conn) else { return };
        let flow = Flow::new(self.config.clone(), role, io.now(), seed);
        found.flow = Some(Box::new(flow));
        self.pump(io, conn);
    }

    pub(super) fn on_stream(&mut self, io: &mut Io<'_>, socket: Socket) {
        if self.leaving.contains_key(&socket) {
            return self.on_leaving(io, socket);
        }
        if let Some(conn) = self.sockets.get(&socket).copied() {
            self.pump(io, conn);
        }
    }

    pub(super) fn on_order(&mut self, io: &mut Io<'_>, conn: ConnId, order: Order) {
        let Some(found) = self.conns.get_mut(&conn) else { return };
        let Some(flow) = &mut found.flow else { return };
        match order {
            Order::Admit => flow.admit(io.now()),
            Order::Disconnect(reason) => found.disconnect(io.now(), reason),
        }
        self.pump(io, conn);
    }

    pub(super) fn on_conn_wake(&mut self, io: &mut Io<'_>, conn: ConnId) {
        if let Some(flow) = self.conns.get_mut(&conn).and_then(|it| it.flow.as_mut()) {
            flow.handle_timeout(io.now());
            self.pump(io, conn);
        }
    }

    /// Does what can be done now, on this connection and on those to which its messages lead.
    pub(super) fn pump(&mut self, io: &mut Io<'_>, conn: ConnId) {
        self.pump_one(io, conn);
        self.pump_touched(io);
    }

    pub(super) fn pump_one(&mut self, io: &mut Io<'_>, conn: ConnId) {
        let now = io.now();
        let mut turns = Turns::default();
        let fault = loop {
            let Some(found) = self.conns.get_mut(&conn) else { return };
            match found.turn(io, now, conn, &mut turns) {
                Turn::Closed(fault) => break fault,
                Turn::Delivered(local) => self.listen(io, conn, local),
                Turn::Left => self.on_left(io, conn),
                Turn::Opened => self.on_open(io, conn),
                Turn::Rests => return found.rest(io, conn, None),
                Turn::Yields => return found.rest(io, conn, Some(now.mono)),
            }
        };
        self.on_left(io, conn);
        let Some(found) = self.conns.get_mut(&conn) else { return };
        let linger = found.flow.take().and_then(|flow| flow.linger(now));
        let socket = found.socket;
        io.note(Kind::CONNECTION, &[1, conn.0], || format!("c{} closed: {fault}", conn.0));
        io.mail(&mut found.reports, Box::new(Mail::Peering(Input::Closed { conn, fault })));
        self.sockets.remove(&socket);
        io.set_alarm(token::FIRST_CONN + conn.0, None);
        match linger.filter(|_| self.leaving.len() < Linger::MOST) {
            Some(linger) => {
                io.shutdown(socket);
                io.wake_by(token::HOUSE, linger.deadline());
                self.leaving.insert(socket, linger);
                self.on_leaving(io, socket);
            }
            None => io.close(socket),
        }
    }

    /// No messages flow on a connection any more, if they did. What has arrived is still heard.
    fn on_left(&mut self, io: &mut Io<'_>, conn: ConnId) {
        let Some(lanes) = self.conns.get_mut(&conn).and_then(|found| found.lanes.take()) else {
            return;
        };
        self.left.insert(conn, lanes);
        for local in 0..self.protocols.len() {
            self.hear_out(io, conn, local);
        }
    }

    /// Reads and throws away what a leaving stream brings, until the peer hangs up or it is enough.
    pub(super) fn on_leaving(&mut self, io: &mut Io<'_>, socket: Socket) {
        let now = io.now();
        let Some(linger) = self.leaving.get_mut(&socket) else { return };
        while !linger.is_over(now) {
            match io.read(socket, linger.read_budget()) {
                Read::Bytes(bytes) => linger.on_read(bytes.len()),
                Read::Nothing => return,
                Read::End => break,
            }
        }
        self.leaving.remove(&socket);
        io.close(socket);
    }
}

impl Conn {
    /// Writes, reads and obeys until there is something to tell, or nothing moves.
    fn turn(&mut self, io: &mut Io<'_>, now: Now, conn: ConnId, turns: &mut Turns) -> Turn {
        loop {
            if let Some(turn) = self.receive(io, now, conn, turns) {
                return turn;
            }
            let Some(flow) = &mut self.flow else { return Turn::Rests };
            if let Some(event) = flow.poll_event() {
                match self.on_event(io, now, conn, event) {
                    Some(turn) => return turn,
                    None => continue,
                }
            }
            match (&self.lanes, flow.is_open(), flow.remote()) {
                (None, true, Some(key)) => {
                    let peer = Peer { conn, id: key.id() };
                    self.lanes = Some(Lanes::new(peer, flow.shared(), flow.lane_limits()));
                    return Turn::Opened;
                }
                (Some(_), false, _) => return Turn::Left,
                _ => {}
            }
            if turns.rounds == Flow::ROUNDS {
                return Turn::Yields;
            }
            turns.rounds += 1;
            let has_written = self.write(io, now);
            let Some(flow) = &mut self.flow else { return Turn::Rests };
            if flow.is_paused() && self.lanes.as_ref().is_none_or(Lanes::has_room) {
                flow.handle_room(now);
            }
            let read = match flow.read_budget() {
                0 => Read::Nothing,
                budget => io.read(self.socket, budget),
            };
            let event = match read {
                Read::Bytes(bytes) => {
                    turns.input = Some((bytes, 0));
                    continue;
                }
                Read::End => flow.receive_eof(now),
                Read::Nothing => match flow.receive_nothing(now) {
                    None if !has_written => return Turn::Rests,
                    event => event,
                },
            };
            if let Some(turn) = event.and_then(|event| self.on_event(io, now, conn, event)) {
                return turn;
            }
        }
    }

    /// Has messages sealed that wait, and writes once: whether anything was taken, or ever will be.
    fn write(&mut self, io: &mut Io<'_>, now: Now) -> bool {
        let Some(flow) = &mut self.flow else { return false };
        if let Some(lanes) = &mut self.lanes {
            let filled = flow.fill(now, lanes.fetch());
            debug_assert_eq!(filled, Ok(()), "because what cannot be sent was not taken");
        }
        if flow.outgoing().is_empty() {
            return false;
        }
        match io.write(self.socket, flow.outgoing()) {
            Some(0) => return false,
            Some(n) => flow.written(now, n),
            None => flow.write_failed(),
        }
        true
    }

    /// Deals with what was read.
    fn receive(
        &mut self,
        io: &mut Io<'_>,
        now: Now,
        conn: ConnId,
        turns: &mut Turns,
    ) -> Option<Turn> {
        while let (Some(flow), Some((bytes, done))) = (&mut self.flow, &mut turns.input) {
            let length = bytes.len();
            let mut input = &mut bytes[*done..];
            let event = flow.receive(now, &mut input);
            *done = length - input.len();
            match event {
                Some(event) => {
                    let turn = self.on_event(io, now, conn, event);
                    if turn.is_some() {
                        return turn;
                    }
                }
                None => turns.input = None,
            }
        }
        None
    }

    fn on_event(
        &mut self,
        io: &mut Io<'_>,
        now: Now,
        conn: ConnId,
        event: FlowEvent,
    ) -> Option<Turn> {
        let flow = self.flow.as_mut()?;
        let told = match event {
            FlowEvent::Closed { fault } => return Some(Turn::Closed(fault)),
            FlowEvent::Deliver { lane } => {
                let arrived = flow.delivered(lane);
                let Some(lanes) = &mut self.lanes else {
                    arrived.clear();
                    return None;
                };
                if lanes.hand_over(lane, arrived) {
                    flow.handle_full(now);
                }
                return lanes.local(lane).map(Turn::Delivered);
            }
            FlowEvent::Identified { key } => Input::Identified { conn, key },
            FlowEvent::Ready { .. } => Input::Ready { conn, shared: flow.shared().len() },
            FlowEvent::Step(step) => {
                flow.handle_step(now, step.run());
                return None;
            }
        };
        io.mail(&mut self.reports, Box::new(Mail::Peering(told)));
        None
    }

    /// Waits for something to happen, or until `at`.
    fn rest(&self, io: &mut Io<'_>, conn: ConnId, at: Option<Instant>) {
        let Some(flow) = &self.flow else { return };
        if flow.fault().is_none() {
            let (bytes, is_open) = (flow.memory(), flow.is_open());
            io.report(&NodeFact::Holds { conn, bytes, is_open });
        }
        io.set_alarm(token::FIRST_CONN + conn.0, at.or_else(|| flow.poll_timeout()));
    }
}
