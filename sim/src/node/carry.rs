//! The peering task of a node: what the machine wants done, done. One arm per output, as in the
//! server.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use peerage_machine::{Instant, Machine as _};
use peerage_node::PublicKey;
use peerage_peering::envelope::{ConnId, DialError, DialId, Input, Output};
use peerage_rlpx::Role;

use super::{Mail, Node, Order, Question, UNJUDGED, conn::Conn, token};
use crate::{io::Io, net::Socket, trace::Kind};

/// How much sooner an address is tried than the next one; as in the server.
const STAGGER: Duration = Duration::from_millis(250);

/// A dial under way: its addresses are raced.
#[derive(Debug)]
pub(super) struct Dialing {
    key: PublicKey,
    /// What is still to be tried, and when the next one is.
    addresses: VecDeque<SocketAddr>,
    pub(super) next: Option<Instant>,
    pub(super) until: Instant,
    sockets: Vec<Socket>,
}

impl Node {
    /// Somebody told peering something.
    pub(super) fn on_input(&mut self, io: &mut Io<'_>, input: Input) {
        if let Input::Accepted { .. } = input {
            self.unjudged -= 1;
        }
        let closed = match &input {
            Input::Closed { conn, .. } => Some(*conn),
            _ => None,
        };
        self.input(io, input);
        if let Some(conn) = closed {
            self.conns.remove(&conn);
            self.seen.closed += 1;
        }
        self.accept(io);
    }

    pub(super) fn drain_peering(&mut self, io: &mut Io<'_>) {
        while let Some(output) = self.peering.poll_output() {
            self.carry(io, output);
        }
        io.set_alarm(token::PEERING, self.peering.poll_timeout());
    }

    fn carry(&mut self, io: &mut Io<'_>, output: Output) {
        match output {
            Output::Accepting(accepting) => {
                self.accepting = accepting;
                self.accept(io);
            }
            Output::Admit { conn } => self.order(io, conn, Order::Admit),
            Output::CancelDial { dial } => self.cancel_dial(io, dial),
            Output::Dial { dial, key, addresses } => self.dial(io, dial, key, addresses),
            Output::DialFailed { id, why, .. } => {
                self.seen.dials_failed += 1;
                io.note(Kind::Connection, &[0], || format!("dial of {id:?} failed: {why}"));
            }
            Output::Disconnect { conn, reason } | Output::Reject { conn, reason } => {
                self.order(io, conn, Order::Disconnect(reason));
            }
            Output::Locate { locate, key } => {
                self.ask_discovery(io, Question::Resolve { locate, key });
            }
            Output::PeerAdded { conn, id, slot } => {
                self.seen.added += 1;
                io.note(Kind::Peer, &[1, conn.0], || format!("added {id:?} c{} {slot:?}", conn.0));
                let before = self.peers.insert(id, (conn, slot));
                io.ledger.on_added(io.at, io.host, id, before.map(|(conn, _)| conn));
                if let Some(conn) = self.conns.get_mut(&conn) {
                    conn.peer = Some(id);
                }
            }
            Output::PeerDropped { conn, id, fault } => {
                self.seen.dropped += 1;
                io.note(Kind::Peer, &[2, conn.0], || {
                    format!("dropped {id:?} c{}: {fault}", conn.0)
                });
                if self.peers.get(&id).is_some_and(|(of, _)| *of == conn) {
                    self.peers.remove(&id);
                    io.ledger.on_dropped(io.at, io.host, id);
                }
            }
            Output::Proceed { conn } => self.begin(io, conn, Role::Recipient),
            Output::Refuse { conn, .. } => {
                self.seen.refused += 1;
                if let Some(conn) = self.conns.remove(&conn) {
                    self.sockets.remove(&conn.socket);
                    io.close(conn.socket);
                }
            }
            Output::Resolve { resolve, host } => self.resolve(io, resolve, &host),
            Output::SlotChanged { id, slot, .. } => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.1 = slot;
                }
            }
            Output::Stopped => {
                self.has_stopped = true;
                // Those that peering has not heard of are refused when it does.
                let known = self.conns.len() - self.unjudged;
                io.ledger.on_stopped(io.at, io.host, known, self.dials.len());
            }
            Output::WantCandidates { count } => {
                self.ask_discovery(io, Question::Want(count));
            }
            other => io.ledger.break_rule(io.at, io.host, || {
                format!("peering wants something that no driver knows: {other:?}")
            }),
        }
    }

    fn ask_discovery(&mut self, io: &mut Io<'_>, question: Question) {
        let mut last = self.to_discovery;
        io.mail(&mut last, Mail::Discovery(question));
        self.to_discovery = last;
    }

    pub(super) fn mail_peering(&mut self, io: &mut Io<'_>, input: Input) {
        let mut last = self.sent_in;
        io.mail(&mut last, Mail::Peering(Box::new(input)));
        self.sent_in = last;
    }

    fn order(&mut self, io: &mut Io<'_>, conn: ConnId, order: Order) {
        if let Some(found) = self.conns.get_mut(&conn) {
            io.mail(&mut found.ordered, Mail::Conn { conn, order });
        }
    }

    /// Takes streams out of the backlog while peering lets them in.
    pub(super) fn accept(&mut self, io: &mut Io<'_>) {
        while self.accepting && self.unjudged < UNJUDGED {
            let Some((socket, remote)) = io.accept() else { return };
            self.unjudged += 1;
            let conn = self.add_conn(io, socket);
            self.mail_peering(io, Input::Accepted { conn, remote });
        }
    }

    fn add_conn(&mut self, io: &mut Io<'_>, socket: Socket) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.seen.connections += 1;
        self.conns.insert(conn, Conn::new(socket, io.at));
        self.sockets.insert(socket, conn);
        conn
    }

    fn dial(&mut self, io: &mut Io<'_>, dial: DialId, key: PublicKey, addresses: Vec<SocketAddr>) {
        let now = io.now().mono;
        let dialing = Dialing {
            key,
            addresses: addresses.into(),
            next: Some(now),
            until: now + self.spec.dial_timeout,
            sockets: Vec::new(),
        };
        self.dials.insert(dial, dialing);
        self.race_dials(io);
        io.wake_by(token::HOUSE, now + STAGGER);
    }

    /// Tries the next address of each dial whose turn has come.
    pub(super) fn race_dials(&mut self, io: &mut Io<'_>) {
        let now = io.now().mono;
        for (dial, dialing) in &mut self.dials {
            if dialing.next.is_none_or(|at| at > now) {
                continue;
            }
            if let Some(address) = dialing.addresses.pop_front() {
                let socket = io.connect(address);
                dialing.sockets.push(socket);
                self.dialed.insert(socket, *dial);
            }
            dialing.next = (!dialing.addresses.is_empty()).then(|| now + STAGGER);
        }
    }

    pub(super) fn on_connected(&mut self, io: &mut Io<'_>, socket: Socket, remote: SocketAddr) {
        let Some(dial) = self.dialed.get(&socket).copied() else { return io.close(socket) };
        let Some(Dialing { key, sockets, .. }) = self.dials.remove(&dial) else { return };
        for other in sockets {
            self.dialed.remove(&other);
            if other != socket {
                io.close(other);
            }
        }
        let conn = self.add_conn(io, socket);
        self.input(io, Input::DialSucceeded { dial, conn, remote });
        self.begin(io, conn, Role::Initiator { remote: key });
    }

    pub(super) fn on_connect_failed(&mut self, io: &mut Io<'_>, socket: Socket, why: DialError) {
        let Some(dial) = self.dialed.remove(&socket) else { return };
        let Some(dialing) = self.dials.get_mut(&dial) else { return };
        dialing.sockets.retain(|it| *it != socket);
        if !dialing.addresses.is_empty() {
            dialing.next = Some(io.now().mono);
            self.race_dials(io);
        } else if dialing.sockets.is_empty() {
            self.end_dial(io, dial, why);
        }
    }

    pub(super) fn end_dial(&mut self, io: &mut Io<'_>, dial: DialId, why: DialError) {
        let Some(dialing) = self.dials.remove(&dial) else { return };
        for socket in dialing.sockets {
            self.dialed.remove(&socket);
            io.close(socket);
        }
        self.input(io, Input::DialFailed { dial, why });
    }

    fn cancel_dial(&mut self, io: &mut Io<'_>, dial: DialId) {
        let Some(dialing) = self.dials.remove(&dial) else { return };
        for socket in dialing.sockets {
            self.dialed.remove(&socket);
            io.close(socket);
        }
        let now = io.now();
        self.peering.handle_input(now, Input::DialFailed { dial, why: DialError::Cancelled });
    }
}
