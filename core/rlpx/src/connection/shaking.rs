//! The encryption handshake of a connection: a packet each way, and the steps that make and read
//! them.
//!
//! ```text
//!   initiator: Due --taken--> Away --auth--> Listening --ack is complete--> Away --keys-->
//!   recipient:                               Listening --auth is complete-> Away --keys-->
//! ```

use std::{mem, sync::Arc};

use peerage_machine::{Instant, Random, Seed};
use peerage_node::PublicKey;

use crate::{Config, Initiator, PeerMisbehaved, Role, Step, outgoing::Outbox, packet_size};

/// Bytes of a handshake packet's size prefix.
const PREFIX: usize = 2;

/// A connection that has no keys yet.
#[derive(Debug)]
pub(super) struct Shaking {
    /// When auth, ack and Hello must be done.
    pub(super) deadline: Instant,
    pub(super) out: Outbox,
    pub(super) stage: Stage,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it lies in a box, and no longer than a handshake")]
pub(super) enum Stage {
    /// A step is being run; whom it is with, where that is known.
    Away(Option<PublicKey>),
    /// A step of an initiator is to be run, and nobody knows.
    Due(Step, PublicKey),
    /// The peer's only packet is awaited.
    Listening(Side, Packet),
}

/// Which end of the handshake we are.
#[derive(Debug)]
pub(super) enum Side {
    Initiator(Initiator, PublicKey),
    Recipient(Random),
}

/// A handshake packet as it comes off the wire, in pieces.
#[derive(Debug)]
pub(super) struct Packet {
    /// What has arrived. At most 2,050 bytes: `packet_size` refuses larger ones.
    bytes: Vec<u8>,
    /// How long the packet is, as far as is known: the prefix, then all of it.
    length: usize,
}

impl Shaking {
    pub(super) fn new(config: &Arc<Config>, role: Role, now: Instant, seed: Seed) -> Self {
        let random = Random::from_seed(seed);
        let stage = match role {
            Role::Initiator { remote } => {
                Stage::Due(Step::call(config.clone(), random, remote), remote)
            }
            Role::Recipient => Stage::Listening(Side::Recipient(random), Packet::new()),
        };
        Self { deadline: now + config.timeouts.handshake, out: Outbox::default(), stage }
    }

    /// Takes bytes from the front of `input`, at most [`needs`](Self::needs). Returns the step that
    /// is to be run if the packet is complete.
    pub(super) fn receive(
        &mut self,
        config: &Arc<Config>,
        input: &mut &mut [u8],
    ) -> Result<Option<Step>, PeerMisbehaved> {
        let Stage::Listening(_, packet) = &mut self.stage else { return Ok(None) };
        if !packet.receive(input)? {
            return Ok(None);
        }
        let away = Stage::Away(self.remote().copied());
        let Stage::Listening(side, packet) = mem::replace(&mut self.stage, away) else {
            unreachable!("because it was listening above")
        };
        let config = config.clone();
        Ok(Some(match side {
            Side::Initiator(initiator, remote) => {
                Step::finish(config, initiator, remote, packet.bytes)
            }
            Side::Recipient(random) => Step::accept(config, random, packet.bytes),
        }))
    }

    /// The auth of an initiator is made: it is sent, and the ack awaited.
    pub(super) fn call(&mut self, now: Instant, initiator: Initiator, auth: &[u8]) {
        if let Stage::Away(Some(remote)) = self.stage {
            self.out.push(now, auth);
            self.stage = Stage::Listening(Side::Initiator(initiator, remote), Packet::new());
        }
    }

    /// The step that is to be run, if nobody knows of it.
    pub(super) fn poll_step(&mut self) -> Option<Step> {
        let Stage::Due(_, remote) = self.stage else { return None };
        match mem::replace(&mut self.stage, Stage::Away(Some(remote))) {
            Stage::Due(step, _) => Some(step),
            Stage::Away(_) | Stage::Listening(..) => None,
        }
    }

    /// How many bytes are missing from what is known to come.
    pub(super) const fn needs(&self) -> usize {
        match &self.stage {
            Stage::Listening(_, packet) => packet.needs(),
            Stage::Away(_) | Stage::Due(..) => 0,
        }
    }

    /// Whether a step is being run.
    pub(super) const fn is_away(&self) -> bool {
        matches!(self.stage, Stage::Away(_))
    }

    /// Whom this is a handshake with, if that is known before its end.
    pub(super) const fn remote(&self) -> Option<&PublicKey> {
        match &self.stage {
            Stage::Away(remote) => remote.as_ref(),
            Stage::Due(_, remote) | Stage::Listening(Side::Initiator(_, remote), _) => Some(remote),
            Stage::Listening(Side::Recipient(_), _) => None,
        }
    }

    /// The bytes held besides the value itself.
    pub(super) fn memory(&self) -> usize {
        self.out.memory()
            + match &self.stage {
                Stage::Away(_) => 0,
                Stage::Due(step, _) => step.memory(),
                Stage::Listening(Side::Initiator(initiator, _), packet) => {
                    initiator.memory() + packet.bytes.capacity()
                }
                Stage::Listening(Side::Recipient(_), packet) => packet.bytes.capacity(),
            }
    }
}

impl Packet {
    const fn new() -> Self {
        Self { bytes: Vec::new(), length: PREFIX }
    }

    /// Takes at most [`needs`](Self::needs) bytes from the front of `input`. Returns whether the
    /// packet is complete.
    fn receive(&mut self, input: &mut &mut [u8]) -> Result<bool, PeerMisbehaved> {
        let taken = input.split_off_mut(..self.needs().min(input.len()));
        let taken = taken.expect("because no more is taken than is there");
        let (before, after) = (self.bytes.len(), self.bytes.len() + taken.len());
        if after > self.bytes.capacity() {
            // Doubling keeps copying linear; beyond the packet it would hold up to twice as much.
            self.bytes.reserve_exact(after.max(2 * before).min(self.length) - before);
        }
        self.bytes.extend_from_slice(taken);
        if self.length == PREFIX && self.bytes.len() == PREFIX {
            self.length += packet_size([self.bytes[0], self.bytes[1]])?;
        }
        Ok(self.needs() == 0)
    }

    const fn needs(&self) -> usize {
        self.length - self.bytes.len()
    }
}
