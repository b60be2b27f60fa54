//! The encryption handshake as it comes off the wire, in pieces.

use peerage_machine::{Random, Seed};
use peerage_node::{PublicKey, SecretKey};

use super::Role;
use crate::{Accepted, Initiator, PeerMisbehaved, Secrets, accept, packet_size};

/// Bytes of a handshake packet's size prefix.
const PREFIX: usize = 2;

/// Waiting for the peer's only packet: the ack for an initiator, the auth for a recipient.
#[derive(Debug)]
pub(super) struct Shaking {
    side: Side,
    /// What has arrived of the packet. At most 2,050 bytes: `packet_size` refuses larger ones.
    packet: Vec<u8>,
    /// How long the packet is, as far as is known: the prefix, then all of it.
    length: usize,
}

#[derive(Debug)]
enum Side {
    Initiator { initiator: Initiator, remote: PublicKey },
    Recipient { random: Random },
}

/// What comes out of a handshake.
pub(super) struct Shaken {
    pub(super) secrets: Secrets,
    pub(super) remote: PublicKey,
    /// Empty for an initiator.
    pub(super) reply: Vec<u8>,
}

impl Shaking {
    /// Begins a handshake. Returns what there is to send first: nothing for a recipient.
    pub(super) fn new(key: &SecretKey, role: Role, seed: Seed) -> (Self, Vec<u8>) {
        let mut random = Random::from_seed(seed);
        let (side, auth) = match role {
            Role::Initiator { remote } => {
                let (initiator, auth) = Initiator::start(key, &remote, &mut random);
                (Side::Initiator { initiator, remote }, auth)
            }
            Role::Recipient => (Side::Recipient { random }, Vec::new()),
        };
        (Self { side, packet: Vec::new(), length: PREFIX }, auth)
    }

    /// How many bytes are missing from what is known to come.
    pub(super) fn needs(&self) -> usize {
        self.length - self.packet.len()
    }

    /// Takes at most [`needs`](Self::needs) bytes from the front of `input`. Returns whether the
    /// packet is complete.
    pub(super) fn receive(&mut self, input: &mut &mut [u8]) -> Result<bool, PeerMisbehaved> {
        let taken = input.split_off_mut(..self.needs().min(input.len()));
        let taken = taken.expect("because no more is taken than is there");
        let (before, after) = (self.packet.len(), self.packet.len() + taken.len());
        if after > self.packet.capacity() {
            // Doubling keeps copying linear; beyond the packet it would hold up to twice as much.
            self.packet.reserve_exact(after.max(2 * before).min(self.length) - before);
        }
        self.packet.extend_from_slice(taken);
        if self.length == PREFIX && self.packet.len() == PREFIX {
            self.length += packet_size([self.packet[0], self.packet[1]])?;
        }
        Ok(self.needs() == 0)
    }

    /// The bytes held besides the value itself.
    pub(super) const fn memory(&self) -> usize {
        let auth = match &self.side {
            Side::Initiator { initiator, .. } => initiator.memory(),
            Side::Recipient { .. } => 0,
        };
        auth + self.packet.capacity()
    }

    /// Ends the handshake, once the packet is complete.
    pub(super) fn finish(self, key: &SecretKey) -> Result<Shaken, PeerMisbehaved> {
        match self.side {
            Side::Initiator { initiator, remote } => {
                let secrets = initiator.finish(key, &self.packet)?;
                Ok(Shaken { secrets, remote, reply: Vec::new() })
            }
            Side::Recipient { mut random } => {
                let Accepted { secrets, remote, ack } = accept(key, &self.packet, &mut random)?;
                Ok(Shaken { secrets, remote, reply: ack })
            }
        }
    }

    /// Whom this is a handshake with, if that is known before its end.
    pub(super) const fn remote(&self) -> Option<&PublicKey> {
        match &self.side {
            Side::Initiator { remote, .. } => Some(remote),
            Side::Recipient { .. } => None,
        }
    }
}
