//! The peering task of a node: what the machine wants done, done. One arm per output.

use std::net::{IpAddr, SocketAddr};

use peerage_discovery::candidates::{Input as Mixed, Output as MixedOutput};
use peerage_machine::Machine as _;
use peerage_peering::{
    ACCEPT_PAUSE, NamesInput, Peer, Race, RaceInput, RaceOutput, UNJUDGED,
    envelope::{ConnId, DialError, DialId, Input, Output, ResolveId, Skip},
};

use super::{
    CANDIDATE, Keep, Mail, Node, NodeFact, Order, PEER, Question, conn::Conn, question, token,
};
use crate::world::{AcceptError, ConnectError, Io, Kind, Socket};

/// A dial under way: the race of its addresses.
#[derive(Debug)]
pub(super) struct Dialing {
    pub(super) race: Race,
    /// The streams that are being tried, with the address of each.
    tries: Vec<(Socket, SocketAddr)>,
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
        loop {
            if let Some(output) = self.peering.poll_output() {
                self.carry(io, output);
            } else if let Some(output) = self.candidates.poll_output() {
                self.carry_mixed(io, output);
            } else {
                break;
            }
        }
        let due = [self.peering.poll_timeout(), self.candidates.poll_timeout()];
        io.set_alarm(token::PEERING, due.into_iter().flatten().min());
    }

    fn carry_mixed(&mut self, io: &mut Io<'_>, output: MixedOutput<Skip>) {
        let now = io.now();
        match output {
            MixedOutput::AskRecord { node } => {
                self.ask_discovery(io, Question::Record(Box::new(node)));
            }
            MixedOutput::Candidate { node, source } => {
                self.peering.handle_input(now, Input::Candidate { node, source });
            }
            MixedOutput::NotTaken { id, source, cause } => {
                self.seen.not_taken += 1;
                io.note(CANDIDATE, &[self.seen.not_taken], || {
                    format!("{id:?} of {source} is not taken: {cause}")
                });
            }
            MixedOutput::Want { source, count } => {
                self.ask_discovery(io, Question::Want { source, count });
            }
        }
    }

    fn carry(&mut self, io: &mut Io<'_>, output: Output) {
        match output {
            Output::Accepting(accepting) => {
                self.accepting = accepting;
                self.accept(io);
            }
            Output::Begin { conn, role } => self.begin(io, conn, role),
            Output::CancelDial { dial } => self.cancel_dial(io, dial),
            Output::CandidateSkipped { id, source, why } => {
                self.candidates.handle_input(io.now(), Mixed::Skipped { id, source, why });
            }
            Output::Dial { dial, addresses, .. } => self.dial(io, dial, addresses),
            Output::DialFailed { id, why, .. } => {
                self.seen.dials_failed += 1;
                io.note(Kind::CONNECTION, &[0], || format!("dial of {id:?} failed: {why}"));
            }
            Output::Disconnect { conn, reason } | Output::Reject { conn, reason } => {
                self.order(io, conn, Order::Disconnect(reason));
            }
            Output::Forget { list, id } => self.to_keep.push(Keep::RemoveListed { list, id }),
            Output::Keep { list, node } => self.to_keep.push(Keep::AddListed { list, node }),
            Output::Greet { conn } => self.order(io, conn, Order::Admit),
            Output::Locate { locate, key } => {
                self.ask_discovery(io, Question::Resolve { locate, key });
            }
            Output::PeerAdded { id, peer: Peer { conn, slot, .. }, .. } => {
                self.order(io, conn, Order::Admit);
                self.seen.added += 1;
                io.note(PEER, &[1, conn.0], || format!("added {id:?} c{} {slot:?}", conn.0));
                let before = self.peers.insert(id, (conn, slot));
                let before = before.map(|(conn, _)| conn);
                io.report(&NodeFact::Added { conn, id, slot, before });
            }
            Output::PeerDropped { conn, id, fault } => {
                self.seen.dropped += 1;
                io.note(PEER, &[2, conn.0], || format!("dropped {id:?} c{}: {fault}", conn.0));
                if self.peers.get(&id).is_some_and(|(of, _)| *of == conn) {
                    self.peers.remove(&id);
                    io.report(&NodeFact::Dropped { conn, id });
                }
            }
            Output::PolicyChanged { policy } => {
                self.ask_discovery(io, Question::SetPolicy(policy));
            }
            Output::Refuse { conn, .. } => {
                self.seen.refused += 1;
                if let Some(conn) = self.conns.remove(&conn) {
                    self.sockets.remove(&conn.socket);
                    io.close(conn.socket);
                }
            }
            Output::Resolve { resolve, host } => {
                self.names.handle_input(io.now(), NamesInput::Resolve { resolve, host });
                self.drain_names(io);
            }
            Output::SlotChanged { id, slot, .. } => {
                if let Some(peer) = self.peers.get_mut(&id) {
                    peer.1 = slot;
                }
            }
            Output::Stopped => {
                self.has_stopped = true;
                // Those that peering has not heard of are refused when it does.
                let known = self.conns.len() - self.unjudged;
                io.report(&NodeFact::Stopped { conns: known, dials: self.dials.len() });
            }
            Output::WantCandidates { count } => {
                self.candidates.handle_input(io.now(), Mixed::Want { count });
            }
        }
    }

    /// The system has answered a question of peering for a name.
    pub(super) fn on_name(&mut self, io: &mut Io<'_>, resolve: ResolveId, addresses: Vec<IpAddr>) {
        self.names.handle_input(io.now(), NamesInput::Answered { resolve, addresses });
        self.drain_names(io);
    }

    pub(super) fn drain_names(&mut self, io: &mut Io<'_>) {
        while let Some((resolve, addresses)) =
            question::poll_resolved(&mut self.names, io, question::peering)
        {
            self.input(io, Input::Resolved { resolve, addresses });
        }
        if let Some(due) = self.names.poll_timeout() {
            io.wake_by(token::HOUSE, due);
        }
    }

    fn ask_discovery(&mut self, io: &mut Io<'_>, question: Question) {
        io.mail(&mut self.to_discovery, Box::new(Mail::Discovery(question)));
    }

    pub(super) fn mail(&mut self, io: &mut Io<'_>, mail: Mail) {
        io.mail(&mut self.to_peering, Box::new(mail));
    }

    fn order(&mut self, io: &mut Io<'_>, conn: ConnId, order: Order) {
        if let Some(found) = self.conns.get_mut(&conn) {
            io.mail(&mut found.orders, Box::new(Mail::Conn { conn, order }));
        }
    }

    /// Takes streams out of the backlog while peering lets them in.
    pub(super) fn accept(&mut self, io: &mut Io<'_>) {
        let now = io.now().mono;
        while self.accepting && self.unjudged < UNJUDGED && self.accept_again <= now {
            match io.accept() {
                Ok((socket, remote)) => {
                    self.unjudged += 1;
                    let conn = self.add_conn(socket);
                    self.mail(io, Mail::Peering(Input::Accepted { conn, remote }));
                }
                Err(AcceptError::Nothing) => return,
                Err(AcceptError::TooManyOpen) => {
                    self.accept_again = now + ACCEPT_PAUSE;
                    io.wake_by(token::HOUSE, self.accept_again);
                }
            }
        }
    }

    fn add_conn(&mut self, socket: Socket) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        self.seen.connections += 1;
        self.conns.insert(conn, Conn::new(socket));
        self.sockets.insert(socket, conn);
        conn
    }

    fn dial(&mut self, io: &mut Io<'_>, dial: DialId, addresses: Vec<SocketAddr>) {
        let now = io.now().mono;
        let race = Race::new(now, addresses);
        self.dials.insert(dial, Dialing { race, tries: Vec::new() });
        self.drain_race(io, dial);
    }

    /// Tries the next address of each dial whose turn has come.
    pub(super) fn race_dials(&mut self, io: &mut Io<'_>) {
        let now = io.now();
        let is_due = |it: &Dialing| it.race.poll_timeout().is_some_and(|at| at <= now.mono);
        let due: Vec<DialId> =
            self.dials.iter().filter(|(_, it)| is_due(it)).map(|(dial, _)| *dial).collect();
        for dial in due {
            if let Some(dialing) = self.dials.get_mut(&dial) {
                dialing.race.handle_timeout(now);
            }
            self.drain_race(io, dial);
        }
    }

    /// Does what the race of a dial wants done.
    fn drain_race(&mut self, io: &mut Io<'_>, dial: DialId) {
        while let Some(dialing) = self.dials.get_mut(&dial)
            && let Some(output) = dialing.race.poll_output()
        {
            match output {
                RaceOutput::Lost(why) => self.end_dial(io, dial, why),
                RaceOutput::Try(address) => {
                    let socket = io.connect(address);
                    dialing.tries.push((socket, address));
                    self.dialed.insert(socket, dial);
                }
                RaceOutput::Won(remote) => self.win_dial(io, dial, remote),
            }
        }
        if let Some(next) = self.dials.get(&dial).and_then(|it| it.race.poll_timeout()) {
            io.wake_by(token::HOUSE, next);
        }
    }

    fn win_dial(&mut self, io: &mut Io<'_>, dial: DialId, remote: SocketAddr) {
        let Some(Dialing { tries, .. }) = self.dials.remove(&dial) else { return };
        let mut won = None;
        for (socket, address) in tries {
            self.dialed.remove(&socket);
            if address == remote {
                won = Some(socket);
            } else {
                io.close(socket);
            }
        }
        let Some(socket) = won else { return };
        let conn = self.add_conn(socket);
        self.input(io, Input::DialSucceeded { dial, conn, remote });
    }

    pub(super) fn on_connected(&mut self, io: &mut Io<'_>, socket: Socket, remote: SocketAddr) {
        let Some(dial) = self.dialed.get(&socket).copied() else { return io.close(socket) };
        if let Some(dialing) = self.dials.get_mut(&dial) {
            dialing.race.handle_input(io.now(), RaceInput::Connected(remote));
        }
        self.drain_race(io, dial);
    }

    pub(super) fn on_connect_failed(&mut self, io: &mut Io<'_>, socket: Socket, why: ConnectError) {
        let Some(dial) = self.dialed.remove(&socket) else { return };
        let Some(dialing) = self.dials.get_mut(&dial) else { return };
        let Some(at) = dialing.tries.iter().position(|(it, _)| *it == socket) else { return };
        let (_, address) = dialing.tries.swap_remove(at);
        let why = match why {
            ConnectError::Refused => DialError::Refused,
            ConnectError::TooManyOpen | ConnectError::Unreachable => DialError::Unreachable,
        };
        dialing.race.handle_input(io.now(), RaceInput::Failed(address, why));
        self.drain_race(io, dial);
    }

    fn end_dial(&mut self, io: &mut Io<'_>, dial: DialId, why: DialError) {
        let Some(dialing) = self.dials.remove(&dial) else { return };
        for (socket, _) in dialing.tries {
            self.dialed.remove(&socket);
            io.close(socket);
        }
        self.input(io, Input::DialFailed { dial, why });
    }

    fn cancel_dial(&mut self, io: &mut Io<'_>, dial: DialId) {
        let Some(dialing) = self.dials.remove(&dial) else { return };
        for (socket, _) in dialing.tries {
            self.dialed.remove(&socket);
            io.close(socket);
        }
        let now = io.now();
        self.peering.handle_input(now, Input::DialFailed { dial, why: DialError::Cancelled });
    }
}
