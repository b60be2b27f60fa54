//! The task of one connection: moves bytes between a stream and the machine, as in the server.

use peerage_machine::Now;
use peerage_peering::envelope::{ConnId, Input};
use peerage_rlpx::{Connection, DisconnectReason, Event, Fault, Role, SendError};

use super::{Mail, Node, NodeFact, Order, Peer, token};
use crate::world::{Io, Kind, Read, Socket, Way};

/// How much is read at once; as in the server.
const READ_SIZE: usize = 64 << 10;

/// How long a stream is kept whose goodbye is written, at most; as in the server.
pub(super) const LINGER: std::time::Duration = std::time::Duration::from_secs(2);

/// A connection, from accept or dial to its end.
#[derive(Debug)]
pub(super) struct Conn {
    pub(super) socket: Socket,
    /// `None` until peering lets the handshake begin, and once it is over.
    pub(super) machine: Option<Box<Connection>>,
    /// From when messages flow: the node that it leads to, and by what they share the places of
    /// protocols in our configuration.
    open: Option<(Peer, Vec<usize>)>,
    identified: bool,
    /// Of mail to peering, and from it.
    reports: Way,
    pub(super) orders: Way,
}

/// What a connection has come to.
#[derive(Debug)]
enum Turn {
    /// It is over.
    Closed(Fault),
    /// A message has arrived, of the protocol at the first number.
    Message(usize, u64),
    /// Messages flow from now on.
    Opened,
    /// Nothing moves.
    Rests,
}

/// What is kept from one turn to the next.
#[derive(Debug, Default)]
struct Turns {
    /// What was read, and how much of it has been dealt with.
    input: Option<(Vec<u8>, usize)>,
    /// The message that arrived.
    payload: Vec<u8>,
    /// Whether the stream takes nothing any more.
    write_failed: bool,
}

impl Conn {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            machine: None,
            open: None,
            identified: false,
            reports: Way::default(),
            orders: Way::default(),
        }
    }

    /// The peer, if it speaks the protocol at this place of our configuration.
    pub(super) fn peer_by(&self, local: usize) -> Option<Peer> {
        self.open.as_ref().filter(|(_, locals)| locals.contains(&local)).map(|(peer, _)| *peer)
    }

    /// Offers a message of the protocol at `local`.
    pub(super) fn offer(
        &mut self,
        now: Now,
        local: usize,
        code: u64,
        payload: &[u8],
    ) -> Result<(), SendError> {
        let locals = self.open.as_ref().map(|(_, locals)| locals.iter());
        let shared = locals.and_then(|mut it| it.position(|it| *it == local));
        let shared = shared.ok_or(SendError::NotOpen)?;
        let machine = self.machine.as_mut().ok_or(SendError::NotOpen)?;
        machine.send(now, shared, code, payload)
    }

    /// Whether messages flow, and all that was offered has been sent.
    pub(super) fn is_idle(&self) -> bool {
        self.machine.as_ref().is_some_and(|it| it.is_open() && it.queued() == 0)
    }

    pub(super) fn disconnect(&mut self, now: Now, reason: DisconnectReason) {
        if let Some(machine) = &mut self.machine {
            machine.disconnect(now, reason);
        }
    }
}

impl Node {
    /// The handshake may begin.
    pub(super) fn begin(&mut self, io: &mut Io<'_>, conn: ConnId, role: Role) {
        let seed = self.random.fork();
        let Some(found) = self.conns.get_mut(&conn) else { return };
        let machine = Connection::new(self.config.clone(), role, io.now(), seed);
        found.machine = Some(Box::new(machine));
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
        let Some(machine) = self.conns.get_mut(&conn).and_then(|it| it.machine.as_mut()) else {
            return;
        };
        let now = io.now();
        match order {
            Order::Admit => machine.admit(now),
            Order::Disconnect(reason) => machine.disconnect(now, reason),
        }
        self.pump(io, conn);
    }

    pub(super) fn on_conn_wake(&mut self, io: &mut Io<'_>, conn: ConnId) {
        let now = io.now();
        if let Some(machine) = self.conns.get_mut(&conn).and_then(|it| it.machine.as_mut()) {
            machine.handle_timeout(now);
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
                Turn::Message(local, code) => {
                    self.on_message(io, conn, (local, code), &turns.payload);
                }
                Turn::Opened => self.on_open(io, conn),
                Turn::Rests => {
                    if let Some(machine) = found.machine.as_ref().filter(|it| it.fault().is_none())
                    {
                        let (bytes, is_open) = (machine.memory(), machine.is_open());
                        io.report(&NodeFact::Holds { conn, bytes, is_open });
                    }
                    let due = found.machine.as_ref().and_then(|it| it.poll_timeout());
                    return io.set_alarm(token::FIRST_CONN + conn.0, due);
                }
            }
        };
        self.on_end(io, conn);
        let Some(found) = self.conns.get_mut(&conn) else { return };
        found.machine = None;
        let (socket, identified) = (found.socket, found.identified);
        io.note(Kind::CONNECTION, &[1, conn.0], || format!("c{} closed: {fault}", conn.0));
        io.mail(&mut found.reports, Box::new(Mail::Peering(Input::Closed { conn, fault })));
        self.sockets.remove(&socket);
        io.set_alarm(token::FIRST_CONN + conn.0, None);
        if identified && fault.reason_to_send().is_some() {
            // The goodbye is on its way: whoever hangs up at once may take it back.
            io.shutdown(socket);
            let until = now.mono + LINGER;
            self.leaving.insert(socket, until);
            self.on_leaving(io, socket);
            io.wake_by(token::HOUSE, until);
        } else {
            io.close(socket);
        }
    }
}

impl Conn {
    /// Writes, reads and obeys until there is something to tell, or nothing moves.
    fn turn(&mut self, io: &mut Io<'_>, now: Now, conn: ConnId, turns: &mut Turns) -> Turn {
        loop {
            if let Some(turn) = self.receive(io, now, conn, turns) {
                return turn;
            }
            let Some(machine) = self.machine.as_mut() else { return Turn::Rests };
            if let (None, true, Some(key)) = (&self.open, machine.is_open(), machine.remote()) {
                let locals = machine.shared().iter().map(|it| it.local).collect();
                self.open = Some((Peer { conn, id: key.id() }, locals));
                return Turn::Opened;
            }
            let mut has_written = false;
            if machine.queued() > 0 && !turns.write_failed {
                match io.write(self.socket, machine.outgoing()) {
                    Some(0) => {}
                    Some(n) => {
                        machine.written(now, n);
                        has_written = true;
                    }
                    None => turns.write_failed = true,
                }
            }
            match machine.poll_event() {
                Some(Event::Closed { fault }) => return Turn::Closed(fault),
                Some(Event::Step(step)) => {
                    machine.handle_step(now, step.run());
                    continue;
                }
                _ => {}
            }
            let budget = machine.read_budget().min(READ_SIZE);
            if budget == 0 && !turns.write_failed {
                if has_written {
                    continue;
                }
                return Turn::Rests;
            }
            match io.read(self.socket, budget) {
                Read::Bytes(bytes) => turns.input = Some((bytes, 0)),
                Read::Nothing if !turns.write_failed => {
                    if has_written {
                        continue;
                    }
                    return Turn::Rests;
                }
                Read::Nothing | Read::End => {
                    let told = match machine.receive_eof(now) {
                        None if turns.write_failed => machine.receive_eof(now),
                        told => told,
                    };
                    match told {
                        Some(Event::Closed { fault }) => return Turn::Closed(fault),
                        _ if machine.queued() == 0 || turns.write_failed => return Turn::Rests,
                        _ => {}
                    }
                }
            }
        }
    }

    /// Deals with what was read.
    fn receive(
        &mut self,
        io: &mut Io<'_>,
        now: Now,
        conn: ConnId,
        turns: &mut Turns,
    ) -> Option<Turn> {
        let machine = self.machine.as_mut()?;
        let (bytes, done) = turns.input.as_mut()?;
        let length = bytes.len();
        let mut input = &mut bytes[*done..];
        while let Some(event) = machine.receive(now, &mut input, &mut turns.payload) {
            let told = match event {
                Event::Identified { key } => {
                    self.identified = true;
                    Input::Identified { conn, key }
                }
                Event::Ready { .. } => Input::Ready { conn, shared: machine.shared().len() },
                Event::Message { shared, code } => {
                    *done = length - input.len();
                    let local = self.open.as_ref().and_then(|(_, locals)| locals.get(shared));
                    return Some(Turn::Message(*local.unwrap_or(&usize::MAX), code));
                }
                Event::Closed { fault } => return Some(Turn::Closed(fault)),
                Event::Step(step) => {
                    machine.handle_step(now, step.run());
                    continue;
                }
            };
            io.mail(&mut self.reports, Box::new(Mail::Peering(told)));
        }
        turns.input = None;
        None
    }
}
