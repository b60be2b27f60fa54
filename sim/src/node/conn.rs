//! The task of one connection: moves bytes between a stream and the machine, as in the server.

use peerage_machine::Now;
use peerage_node::NodeId;
use peerage_peering::envelope::{ConnId, Input};
use peerage_rlpx::{Connection, DisconnectReason, Event, Fault, Role};

use super::{
    Mail, Node, NodeFact, Order,
    protocol::{Talk, Wrong},
    token,
};
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
    /// The node that it leads to, from the second checkpoint on.
    pub(super) peer: Option<NodeId>,
    pub(super) talk: Talk,
    identified: bool,
    /// Of mail to peering, and from it.
    reports: Way,
    pub(super) orders: Way,
}

impl Conn {
    pub(super) fn new(socket: Socket) -> Self {
        Self {
            socket,
            machine: None,
            peer: None,
            talk: Talk::default(),
            identified: false,
            reports: Way::default(),
            orders: Way::default(),
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

    /// Does what can be done now.
    pub(super) fn pump(&mut self, io: &mut Io<'_>, conn: ConnId) {
        let now = io.now();
        let network = self.spec.network;
        let Some(found) = self.conns.get_mut(&conn) else { return };
        let end = found.pump(io, now, conn, network, &mut self.seen.messages);
        let Some(fault) = end else {
            if let Some(machine) = found.machine.as_ref().filter(|it| it.fault().is_none()) {
                let (bytes, is_open) = (machine.memory(), machine.is_open());
                io.report(&NodeFact::Holds { conn, bytes, is_open });
            }
            let due = found.machine.as_ref().and_then(|it| it.poll_timeout());
            return io.set_alarm(token::FIRST_CONN + conn.0, due);
        };
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
    /// Writes, reads and obeys until nothing moves. The fault at the end, once.
    fn pump(
        &mut self,
        io: &mut Io<'_>,
        now: Now,
        conn: ConnId,
        network: u64,
        messages: &mut u64,
    ) -> Option<Fault> {
        let machine = self.machine.as_mut()?;
        let mut write_failed = false;
        loop {
            if machine.is_open() && self.talk.greet(machine, now, network).is_err() {
                machine.disconnect(now, DisconnectReason::SubprotocolReason);
            }
            let mut moved = false;
            if machine.queued() > 0 && !write_failed {
                match io.write(self.socket, machine.outgoing()) {
                    Some(0) => {}
                    Some(n) => {
                        machine.written(now, n);
                        moved = true;
                    }
                    None => write_failed = true,
                }
            }
            match machine.poll_event() {
                Some(Event::Closed { fault }) => return Some(fault),
                Some(Event::Step(step)) => {
                    machine.handle_step(now, step.run());
                    continue;
                }
                _ => {}
            }
            let budget = machine.read_budget().min(READ_SIZE);
            if budget == 0 && !write_failed {
                if moved {
                    continue;
                }
                return None;
            }
            let closed = match io.read(self.socket, budget) {
                Read::Bytes(mut bytes) => {
                    let mut input = bytes.as_mut_slice();
                    let mut payload = Vec::new();
                    let mut closed = None;
                    while let Some(event) = machine.receive(now, &mut input, &mut payload) {
                        let told = match event {
                            Event::Identified { key } => {
                                self.identified = true;
                                Input::Identified { conn, key }
                            }
                            Event::Ready { .. } => {
                                Input::Ready { conn, shared: machine.shared().len() }
                            }
                            Event::Message { code, .. } => {
                                *messages += 1;
                                match self.talk.on_message(network, code, &payload) {
                                    Ok(()) => {}
                                    Err(wrong) => {
                                        if let (Wrong::Broken, Some(id)) = (wrong, self.peer) {
                                            io.report(&NodeFact::Garbled { id });
                                        }
                                        let reason = DisconnectReason::SubprotocolReason;
                                        machine.disconnect(now, reason);
                                    }
                                }
                                continue;
                            }
                            Event::Closed { fault } => {
                                closed = Some(fault);
                                break;
                            }
                            Event::Step(step) => {
                                machine.handle_step(now, step.run());
                                continue;
                            }
                        };
                        io.mail(&mut self.reports, Box::new(Mail::Peering(told)));
                    }
                    closed
                }
                Read::Nothing if !write_failed => {
                    if moved {
                        continue;
                    }
                    return None;
                }
                Read::Nothing | Read::End => {
                    let told = machine.receive_eof(now);
                    let told = match told {
                        None if write_failed => machine.receive_eof(now),
                        told => told,
                    };
                    match told {
                        Some(Event::Closed { fault }) => Some(fault),
                        _ if machine.queued() == 0 || write_failed => return None,
                        _ => None,
                    }
                }
            };
            if closed.is_some() {
                return closed;
            }
        }
    }
}
