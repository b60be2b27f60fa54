//! One RLPx connection of an adversary: the shipping machine, admitted everything, at a pace of its
//! own.

use peerage_node::NodeId;
use peerage_rlpx::{Connection, DisconnectReason, Event};

use crate::{
    node::Chat,
    world::{Io, Read, Socket},
};

/// How many bytes may move one way from one round (a second) to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    per_round: usize,
    left: usize,
}

impl Pace {
    /// No bound.
    pub(super) const FREE: Self = Self { per_round: usize::MAX, left: usize::MAX };
    /// A byte each second.
    pub(super) const DRIBBLE: Self = Self { per_round: 1, left: 1 };
}

/// The first bytes of one direction of a connection.
#[derive(Clone, Debug)]
pub(super) struct Tape {
    /// Who it was said to, where that was not the adversary.
    pub(super) to: Option<NodeId>,
    pub(super) bytes: Vec<u8>,
}

/// Bytes of a recording: a handshake, Hello and some messages.
const TAPE: usize = 2_048;

/// A connection.
#[derive(Debug)]
pub(super) struct Line {
    machine: Box<Connection>,
    has_greeted: bool,
    pub(super) reads: Pace,
    pub(super) writes: Pace,
    /// What was heard and what was said, while that is recorded.
    tapes: Option<[Vec<u8>; 2]>,
}

impl Line {
    pub(super) fn new(machine: Connection, reads: Pace, writes: Pace, is_recorded: bool) -> Self {
        let tapes = is_recorded.then(Default::default);
        Self { machine: Box::new(machine), has_greeted: false, reads, writes, tapes }
    }

    /// What was recorded, once that is all there will be.
    pub(super) fn take_tapes(&mut self) -> Vec<Tape> {
        let is_done = |tapes: &&mut [Vec<u8>; 2]| {
            self.machine.is_closed() || tapes.iter().all(|tape| tape.len() >= TAPE)
        };
        if self.tapes.as_mut().filter(is_done).is_none() {
            return Vec::new();
        }
        let to = self.remote();
        let [heard, said] = self.tapes.take().unwrap_or_default();
        let tapes = [Tape { to: None, bytes: heard }, Tape { to, bytes: said }];
        tapes.into_iter().filter(|tape| !tape.bytes.is_empty()).collect()
    }

    /// Whether messages flow.
    pub(super) fn is_open(&self) -> bool {
        self.machine.is_open()
    }

    /// The node at the other end.
    pub(super) fn remote(&self) -> Option<NodeId> {
        self.machine.remote().map(peerage_node::PublicKey::id)
    }

    /// Says goodbye.
    pub(super) fn disconnect(&mut self, io: &Io<'_>) {
        self.machine.disconnect(io.now(), DisconnectReason::Requested);
    }

    /// A second has passed.
    pub(super) fn on_round(&mut self, io: &Io<'_>) {
        self.reads.left = self.reads.per_round;
        self.writes.left = self.writes.per_round;
        self.machine.handle_timeout(io.now());
    }

    /// Moves what can be moved, and admits whoever it is. `false` at the end.
    pub(super) fn pump(&mut self, io: &mut Io<'_>, socket: Socket, chat: &Chat) -> bool {
        let (now, machine) = (io.now(), &mut self.machine);
        loop {
            let was_open = machine.is_open();
            if was_open && !self.has_greeted && !machine.shared().is_empty() {
                self.has_greeted = true;
                let (code, network) = chat.status();
                if machine.send(now, 0, code, &network).is_err() {
                    return false;
                }
            }
            let mut moved = false;
            let most = machine.queued().min(self.writes.left);
            if most > 0 {
                match io.write(socket, &machine.outgoing()[..most]) {
                    Some(n) => {
                        if let Some([_, said]) = &mut self.tapes {
                            record(said, &machine.outgoing()[..n]);
                        }
                        machine.written(now, n);
                        self.writes.left -= n;
                        moved = n > 0;
                    }
                    None => return false,
                }
            }
            match machine.poll_event() {
                Some(Event::Step(step)) => {
                    machine.handle_step(now, step.run());
                    continue;
                }
                Some(_) => return false,
                None => {}
            }
            let budget = machine.read_budget().min(self.reads.left);
            let mut bytes = match io.read(socket, budget) {
                Read::Bytes(bytes) => bytes,
                Read::Nothing if moved => continue,
                Read::Nothing => return true,
                Read::End => return false,
            };
            self.reads.left -= bytes.len();
            if let Some([heard, _]) = &mut self.tapes {
                record(heard, &bytes);
            }
            let (mut input, mut payload) = (bytes.as_mut_slice(), Vec::new());
            while let Some(event) = machine.receive(now, &mut input, &mut payload) {
                match event {
                    Event::Closed { .. } => return false,
                    Event::Identified { .. } | Event::Ready { .. } => machine.admit(now),
                    Event::Message { .. } => {}
                    Event::Step(step) => machine.handle_step(now, step.run()),
                }
            }
            if machine.is_open() && !was_open {
                // What it does as a peer is the plot's.
                return true;
            }
        }
    }
}

fn record(tape: &mut Vec<u8>, bytes: &[u8]) {
    let room = TAPE.saturating_sub(tape.len());
    tape.extend_from_slice(&bytes[..bytes.len().min(room)]);
}
